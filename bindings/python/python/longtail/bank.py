"""Feature banks and the heads that are trained on them, without a deep-learning framework.

A bank holds what the last layer of a trained detector sees: features of its regions of interest, with their
labels. A head, that layer with another loss, is trained on it in seconds. :func:`longtail.repair` does all of
it for a model in PyTorch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from ._errors import DataError
from ._types import AnyPath
from .losses import Background, Loss

__all__ = ["Bank", "Head", "HeadResult", "train_head", "sweep_heads"]

Progress = Callable[[int, int, float], Any]


class Bank:
    """A feature bank in a folder; :meth:`write` and :meth:`open` make one."""

    def __init__(self, native: _core.Bank, path: str) -> None:
        self._native, self.path = native, path
        self._header: dict[str, Any] = json.loads(native.header)

    @classmethod
    def write(
        cls,
        path: AnyPath,
        features: npt.ArrayLike,
        labels: npt.ArrayLike,
        image_ids: npt.ArrayLike,
        *,
        class_counts: Sequence[int] | npt.NDArray[Any],
        image_counts: Sequence[int] | npt.NDArray[Any] | None = None,
        total_images: int | None = None,
        class_names: Sequence[str] | None = None,
        category_ids: Sequence[int] | None = None,
        background: Background = "first",
        classifier: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        classifier_loss: str = "softmax-cross-entropy",
        rois_per_image: int = 512,
        positive_fraction: float = 0.25,
        precision: str = "f16",
        threads: int | None = None,
    ) -> Bank:
        """Writes features into a new folder, whole or not at all.

        :param features: ``[N, D]``, what the classifier saw.
        :param labels: ``[N]``, by ``background``: 0 and classes from 1 (``first``), or classes from 0 and C
            (``last``, ``none``).
        :param image_ids: of each row, ``[N]``: samplers draw images.
        :param class_counts: boxes of each class in the training set, ``[C]``.
        :param image_counts: training images that hold each class, ``[C]``; by default ``class_counts``.
        :param total_images: all training images; by default those of ``image_ids``.
        :param class_names, category_ids: by default ``class 0``, … and 1 to C.
        :param classifier: weight ``[K, D]`` and bias ``[K]`` of the trained layer, which heads start from.
        :param classifier_loss: the loss that it was trained with.
        :param rois_per_image, positive_fraction: how the detector samples regions of an image.
        :param precision: ``f16``, ``f32`` or ``int8``.
        :raises FileExistsError: if the folder holds a bank.
        :raises longtail.DataError: if arrays do not fit together, or a value is not finite.
        """
        counts = np.asarray(class_counts)
        classes = len(counts)
        in_images = counts if image_counts is None else np.asarray(image_counts)
        ids = list(range(1, classes + 1)) if category_ids is None else [int(c) for c in category_ids]
        names = [f"class {c}" for c in range(classes)] if class_names is None else list(class_names)
        if not classes == len(in_images) == len(ids) == len(names):
            raise DataError(
                f"{classes} class counts, {len(in_images)} image counts, {len(ids)} category ids and {len(names)} names; "
                "they must agree"
            )
        columns = Loss(
            classifier_loss, classes, background=background, **_any_counts(classifier_loss, counts)
        )
        native_labels, _ = columns.native_labels(np.asarray(labels, dtype=np.int64), -(1 << 62))
        images = np.ascontiguousarray(image_ids, dtype=np.int64)
        values = np.ascontiguousarray(features, dtype=np.float32)
        if values.ndim != 2:
            raise DataError(f"features have shape {values.shape}; expected [N, D]", field="features")
        description = {
            "classes": [
                [i, n, int(m), int(k)] for i, n, m, k in zip(ids, names, in_images, counts, strict=True)
            ],
            "total_images": len(np.unique(images)) if total_images is None else total_images,
            "rois_per_image": rois_per_image,
            "positive_fraction": positive_fraction,
            "precision": precision,
            "source": "imported",
        }
        before = None if classifier is None else _Classifier(columns, *classifier)
        folder = os.fspath(path)
        rois = _Rois(values, native_labels, images)
        _core.write_bank(folder, rois, json.dumps(description), before, threads)
        return cls.open(folder)

    @classmethod
    def open(cls, path: AnyPath) -> Bank:
        """Opens a bank.

        :raises FileNotFoundError: if there is none.
        :raises longtail.DataError: if it is damaged or was not finished.
        """
        return cls(_core.Bank(os.fspath(path)), os.fspath(path))

    @property
    def header(self) -> dict[str, Any]:
        """Everything but the rows, as ``bank.json`` says it; a copy."""
        copy: dict[str, Any] = json.loads(self._native.header)
        return copy

    @property
    def width(self) -> int:
        """Width D of a feature vector."""
        return int(self._header["width"])

    @property
    def num_classes(self) -> int:
        """Classes C."""
        return len(self._header["classes"])

    @property
    def num_images(self) -> int:
        """Images."""
        return int(self._header["images"])

    def __len__(self) -> int:
        return sum(int(shard["rows"]) for shard in self._header["shards"])

    def rows(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Features ``[N, D]``, labels ``[N]`` (0 is background, else class + 1) and image ids ``[N]``."""
        found: tuple[Any, Any, Any] = self._native.rows()
        return found

    def __repr__(self) -> str:
        return f"Bank({self.path!r}: {len(self)} rows of {self.num_images} images, {self.num_classes} classes, width {self.width})"


@dataclass
class _Rois:
    """Rows as the native module takes them."""

    features: Any
    labels: Any
    image_ids: Any


class _Classifier:
    """A layer as the native module takes it."""

    def __init__(self, columns: Loss, weight: npt.ArrayLike, bias: npt.ArrayLike) -> None:
        order = columns.order
        w, b = np.asarray(weight, dtype=np.float32), np.asarray(bias, dtype=np.float32)
        if w.ndim != 2 or w.shape[0] != len(order) or b.shape != (len(order),):
            raise DataError(
                f"the classifier has weight {list(w.shape)} and bias {list(b.shape)}; {columns.name} with "
                f"{columns.num_classes} classes has {len(order)} outputs",
                field="classifier",
            )
        self.weight, self.bias = np.ascontiguousarray(w[order]), np.ascontiguousarray(b[order])
        self.loss = json.dumps(columns.config)


class Head:
    """A trained classification layer; :func:`train_head` and :meth:`read` make one."""

    def __init__(self, native: _core.Head) -> None:
        self._native = native

    @property
    def weight(self) -> npt.NDArray[np.float32]:
        """``[K, D]``: background and other extra columns first, then the classes."""
        found: npt.NDArray[np.float32] = self._native.weight
        return found

    @property
    def bias(self) -> npt.NDArray[np.float32]:
        """``[K]``."""
        found: npt.NDArray[np.float32] = self._native.bias
        return found

    @property
    def columns(self) -> list[int]:
        """What each output is about, as :meth:`longtail.losses.Loss.columns` numbers them."""
        return self._native.columns

    @property
    def description(self) -> dict[str, Any]:
        """Classes, loss and every setting of the training; a copy."""
        copy: dict[str, Any] = json.loads(self._native.file)
        return copy

    @property
    def loss(self) -> dict[str, Any]:
        """The loss that trained it, as a recipe's table."""
        return dict(self.description["loss"])

    def scores(self, features: npt.ArrayLike, *, threads: int | None = None) -> npt.NDArray[np.float32]:
        """Scores in 0 to 1 of the classes, ``[N, C]``, of features ``[N, D]``."""
        values = np.ascontiguousarray(features, dtype=np.float32)
        if values.ndim != 2:
            raise DataError(f"features have shape {values.shape}; expected [N, D]", field="features")
        found: npt.NDArray[np.float32] = self._native.scores(values, threads)
        return found

    def save(self, path: AnyPath) -> None:
        """Writes the file that ``longtail head`` reads too."""
        self._native.write(os.fspath(path))

    def export(self, path: AnyPath, framework: str) -> None:
        """Writes the layer alone, as safetensors with the names of ``torchvision``, ``mmdetection`` or
        ``detectron2``."""
        self._native.export(os.fspath(path), framework)

    @classmethod
    def read(cls, path: AnyPath) -> Head:
        """Reads what :meth:`save` or ``longtail head train`` wrote."""
        return cls(_core.Head.read(os.fspath(path)))

    def __repr__(self) -> str:
        outputs, width = self.weight.shape
        return f"Head({self.description['name']}: {outputs} outputs of width {width})"


def _any_counts(name: str, counts: npt.NDArray[Any]) -> dict[str, Any]:
    """Counts for a loss of which only the columns are asked."""
    return {"class_counts": counts, "image_counts": counts, "total_images": int(max(counts.sum(), 1))}


def _recipe(
    loss: str,
    settings: Mapping[str, Any],
    epochs: float,
    iterations: int | None,
    learning_rate: float | None,
    batch_images: int,
    sampler: str | Mapping[str, Any],
    seed: int,
    correction: Mapping[str, Any] | None,
    from_classifier: bool,
) -> str:
    table: dict[str, Any] = {"kind": loss, **settings}
    if "background_rule" in table:
        table["background"] = table.pop("background_rule")
    recipe: dict[str, Any] = {
        "name": loss,
        "loss": table,
        "seed": seed,
        "length": {"epochs": float(epochs)} if iterations is None else {"iterations": iterations},
        "batch": {"images": batch_images},
        "sampler": {"kind": sampler} if isinstance(sampler, str) else dict(sampler),
        "from_stage1": from_classifier,
    }
    if learning_rate is not None:
        recipe["learning_rate"] = learning_rate
    if correction is not None:
        recipe["correction"] = dict(correction)
    return json.dumps(recipe)


def train_head(
    bank: Bank | AnyPath,
    loss: str = "acsl",
    *,
    epochs: float = 12,
    iterations: int | None = None,
    learning_rate: float | None = None,
    batch_images: int = 16,
    sampler: str | Mapping[str, Any] = "shuffled",
    seed: int = 0,
    correction: Mapping[str, Any] | None = None,
    from_classifier: bool = True,
    progress: Progress | None = None,
    threads: int | None = None,
    **settings: Any,
) -> Head:
    """Trains a head on a bank, as stage 2 of the published recipe does.

    :param loss: its name in a recipe, such as ``acsl``, ``bags`` or ``softmax-cross-entropy``.
    :param epochs: passes over the bank's images, or
    :param iterations: steps.
    :param learning_rate: by default 0.02.
    :param batch_images: images a step.
    :param sampler: ``shuffled``, or a recipe's table such as ``{"kind": "repeat-factor",
        "threshold": 0.001}``.
    :param correction: of softmax scores, such as ``{"kind": "norcal", "gamma": 0.6}``.
    :param from_classifier: start from the layer that the bank holds; else from zeros.
    :param progress: called with steps done, steps in all and the loss, at most ten times a second.
    :param settings: the loss's own, such as ``threshold=0.7``; ACSL's rule for background is
        ``background_rule``.
    :raises longtail.DataError: if the bank cannot be learned from, or the loss becomes infinite.
    :raises KeyboardInterrupt: on Ctrl-C, at once.
    """
    opened = bank if isinstance(bank, Bank) else Bank.open(bank)
    recipe = _recipe(
        loss,
        settings,
        epochs,
        iterations,
        learning_rate,
        batch_images,
        sampler,
        seed,
        correction,
        from_classifier,
    )
    return _train(opened, [recipe], progress, threads)[0]


def _train(bank: Bank, recipes: list[str], progress: Progress | None, threads: int | None) -> list[Head]:
    steps: dict[int, tuple[int, int, float]] = {}

    def watch(index: int, kind: str, done: int, total: int, loss: float, text: str) -> None:
        if kind == "note":
            notes.setdefault(text)
        elif progress is not None:
            steps[index] = (done, total, loss)
            done, total = sum(s[0] for s in steps.values()), total * len(recipes)
            progress(done, total, loss)

    notes: dict[str, None] = {}
    heads = [Head(native) for native in _core.train_heads(bank._native, recipes, watch, threads)]
    if notes:
        import warnings

        for text in notes:
            warnings.warn(text, UserWarning, stacklevel=3)
    return heads


class HeadResult(NamedTuple):
    """A head of a sweep."""

    name: str
    seed: int
    score: float
    head: Head


def sweep_heads(
    bank: Bank | AnyPath,
    settings: Mapping[str, Mapping[str, Any]] | Iterable[str],
    *,
    score: Callable[[Head], float],
    seeds: Sequence[int] = (0,),
    progress: Progress | None = None,
    threads: int | None = None,
    **shared: Any,
) -> list[HeadResult]:
    """Trains many heads side by side and scores them; the best comes first.

    :param settings: names of losses, or arguments of :func:`train_head` by name, such as ``{"acsl 0.5":
        {"loss": "acsl", "threshold": 0.5}}``.
    :param score: of a head, higher is better. Score on images held out of training, and not on those that the
        result is reported on.
    :param seeds: each setting is trained with all of them.
    :param shared: arguments of :func:`train_head` that all have.
    """
    opened = bank if isinstance(bank, Bank) else Bank.open(bank)
    table = dict(settings) if isinstance(settings, Mapping) else {name: {"loss": name} for name in settings}
    default: dict[str, Any] = {
        "loss": "acsl",
        "epochs": 12,
        "iterations": None,
        "learning_rate": None,
        "batch_images": 16,
        "sampler": "shuffled",
        "correction": None,
        "from_classifier": True,
    }
    jobs, recipes = [], []
    for name, chosen in table.items():
        values = {**default, **shared, **chosen}
        own = {key: value for key, value in values.items() if key not in default}
        for seed in seeds:
            jobs.append((name, seed))
            recipes.append(
                _recipe(
                    values["loss"],
                    own,
                    values["epochs"],
                    values["iterations"],
                    values["learning_rate"],
                    values["batch_images"],
                    values["sampler"],
                    seed,
                    values["correction"],
                    values["from_classifier"],
                )
            )
    heads = _train(opened, recipes, progress, threads)
    found = [
        HeadResult(name, seed, float(score(head)), head)
        for (name, seed), head in zip(jobs, heads, strict=True)
    ]
    return sorted(found, key=lambda result: -result.score)
