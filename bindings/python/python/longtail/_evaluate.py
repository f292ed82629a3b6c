"""Evaluation by every protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core, _inputs
from ._errors import DataError
from ._report import EvalReport
from ._types import AnyPath, Detections, GroundTruth, ProtocolName, Training

__all__ = ["Evaluator", "evaluate"]


def evaluate(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    protocol: ProtocolName = "coco",
    frequencies_from: Training | None = None,
    bins: Sequence[int] = (),
    max_detections: int | Sequence[int] | str | None = None,
    corrected_ids: bool = False,
    image_labels: AnyPath | None = None,
    classes: AnyPath | None = None,
    hierarchy: AnyPath | None = None,
    group_of_weight: float = 1.0,
    threads: int | None = None,
) -> EvalReport:
    """Scores detections by the exact rules of a protocol's reference implementation, to the bit.

    :param ground_truth: a path (COCO, LVIS, YOLO, VOC, CSV; Open Images' tables), a dict with ``images``,
        ``annotations`` and ``categories``, an object that holds one as ``dataset`` (``pycocotools``'
        ``COCO``), or columns ``image_id [N]``, ``category_id [N]`` and ``bbox`` (x, y, width, height) or
        ``xyxy`` ``[N, 4]``, optionally ``area``, ``iscrowd``, ``images`` (all ids) and ``categories`` (all
        ids, or names by id).
    :param detections: a path, a list of dicts as in COCO's results, an array ``[N, 7]`` (image id, x, y,
        width, height, score, category id), columns with ``score [N]``, or torchvision's dicts (``boxes`` by
        corners, ``labels``, ``scores``) as a list with ``image_id`` in each or as a dict by image id. Arrays
        may be torch tensors.
    :param protocol: ``coco``, ``lvis``, ``lvis-fixed``, ``lvis-pooled`` or ``open-images``.
    :param frequencies_from: training annotations, or training images by category id: they decide which
        classes are rare (1 to 10 images), common (to 100) and frequent.
    :param bins: with ``frequencies_from``, AP by bins of training images, such as ``[10, 100, 1000]``.
    :param max_detections: another cap, for ``lvis`` detections an image (``"none"``: no cap).
    :param corrected_ids: count matches of the ground-truth box with id 0, which the references read as none.
    :param image_labels: Open Images' tables of verified labels, with ``classes`` and ``hierarchy`` as the
        challenge has them; ground truth and detections are then CSV paths.
    :param group_of_weight: Open Images: 1, as in the challenge, or 0.
    :param threads: at most so many; by default the processors divided by ``LOCAL_WORLD_SIZE``.
    :raises FileNotFoundError: if a path does not exist.
    :raises longtail.DataError: if data cannot be used, with file, entry and field.

    >>> truth = {"image_id": [1, 1], "category_id": [1, 2], "bbox": [[10, 10, 40, 40], [80, 20, 30, 30]]}
    >>> found = {"image_id": [1], "category_id": [1], "bbox": [[10, 10, 40, 40]], "score": [0.9]}
    >>> round(evaluate(truth, found).metric("AP"), 6)
    0.5
    """
    if image_labels is not None:
        if protocol != "open-images":
            raise ValueError("image_labels, classes and hierarchy are for protocol='open-images'")
        paths = {"ground_truth": ground_truth, "detections": detections}
        for name, path in paths.items():
            if not isinstance(path, (str, os.PathLike)):
                raise TypeError(f"with image_labels, {name} must be the path of a CSV file")
        text = _core.evaluate_open_images(
            os.fspath(ground_truth),  # type: ignore[arg-type]
            os.fspath(detections),  # type: ignore[arg-type]
            os.fspath(image_labels),
            None if classes is None else os.fspath(classes),
            None if hierarchy is None else os.fspath(hierarchy),
            group_of_weight,
            threads,
        )
        return EvalReport(json.loads(text))
    if classes is not None or hierarchy is not None:
        raise ValueError("classes and hierarchy are tables of Open Images; give image_labels too")
    cap = max_detections
    if isinstance(cap, Sequence) and not isinstance(cap, str):
        cap = ",".join(str(int(c)) for c in cap)
    text = _core.evaluate(
        _inputs.ground_truth(ground_truth),
        _inputs.detections(detections),
        protocol,
        _inputs.training(frequencies_from),
        [int(bound) for bound in bins],
        None if cap is None else str(cap),
        corrected_ids,
        threads,
    )
    return EvalReport(json.loads(text))


class Evaluator:
    """Evaluates batch by batch, over any number of processes.

    With ground truth, ``update(predictions)``; without, ``update(predictions, targets)`` with torchvision's
    dicts an image. It can be pickled; :meth:`merge` joins the evaluators of several processes.

    :param ground_truth: as :func:`evaluate` takes it; or None, where the targets come with the predictions.
    :param categories: without ground truth, names by category id, or ids; by default those of the targets.
    :param settings: as :func:`evaluate`: ``frequencies_from``, ``bins``, ``max_detections``,
        ``corrected_ids``, ``threads``.

    >>> evaluator = Evaluator(categories={1: "cat"})
    >>> box, label = [[10.0, 10.0, 50.0, 50.0]], [1]
    >>> evaluator.update(
    ...     [{"boxes": box, "labels": label, "scores": [0.9], "image_id": 7}],
    ...     [{"boxes": box, "labels": label, "image_id": 7}],
    ... )
    >>> round(evaluator.compute().metric("AP"), 6)
    1.0
    """

    def __init__(
        self,
        ground_truth: GroundTruth | None = None,
        protocol: ProtocolName = "coco",
        *,
        categories: Mapping[int, str] | Iterable[int] | None = None,
        **settings: Any,
    ) -> None:
        if ground_truth is not None and categories is not None:
            raise ValueError("the ground truth names its categories; give one of both")
        allowed = {"frequencies_from", "bins", "max_detections", "corrected_ids", "threads"}
        if unknown := sorted(set(settings) - allowed):
            raise TypeError(f"Evaluator has no setting {unknown[0]!r}; it has {', '.join(sorted(allowed))}")
        if ground_truth is None and protocol != "coco":
            raise ValueError(
                f"targets an image have no lists of verified classes, which {protocol} needs; give ground_truth"
            )
        self._truth = None if ground_truth is None else _inputs.ground_truth(ground_truth)
        self._protocol: ProtocolName = protocol
        self._categories = (
            categories if categories is None or isinstance(categories, Mapping) else list(categories)
        )
        self._settings = settings
        self._images: dict[int, None] = {}
        self._found: list[_inputs.Columns] = []
        self._targets: list[dict[str, Any]] = []

    def update(
        self,
        predictions: Sequence[Mapping[str, Any]] | Mapping[Any, Any],
        targets: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Adds the predictions of some images.

        :param predictions: a dict an image (``boxes`` by corners, ``labels``, ``scores``, ``image_id``), or
            such dicts by image id; or any form that :func:`evaluate` takes but a path.
        :param targets: without ground truth: a dict an image (``boxes``, ``labels``, optionally ``area``,
            ``iscrowd``, ``image_id``), in the order of the predictions. Images without any ``image_id`` are
            numbered.
        :raises longtail.DataError: if an image was added before, or something cannot be used; nothing is
            added then.
        """
        # All detections of an image come together: otherwise an image that a sampler repeats would count
        # twice.
        if self._truth is not None:
            if targets is not None:
                raise ValueError("the evaluator was made with ground truth; leave out targets")
            self._add(predictions)
            return
        if targets is None:
            raise ValueError("give targets too, or make the evaluator with ground truth")
        found = list(predictions)
        if len(found) != len(targets):
            raise DataError(
                f"{len(found)} predictions for {len(targets)} targets; they must be of the same images"
            )
        numbered: list[tuple[int, Mapping[str, Any]]] = []
        for index, (prediction, target) in enumerate(zip(found, targets, strict=True)):
            given = target.get(
                "image_id", prediction.get("image_id") if isinstance(prediction, Mapping) else None
            )
            image = (
                len(self._images) + index if given is None else int(_inputs.to_numpy(given).reshape(-1)[0])
            )
            if image in self._images or any(image == known for known, _ in numbered):
                raise DataError(f"image {image} was added before", entry=index, field="image_id")
            for name in ("boxes", "labels"):
                if name not in target:
                    raise DataError(f"targets[{index}] has no {name!r}", entry=index, field=name)
            numbered.append((image, target))
        columns = _inputs.of_images(
            [
                {**prediction, "image_id": image}
                for prediction, (image, _) in zip(found, numbered, strict=True)
            ]
        )
        parsed = [_target(image, target, index) for index, (image, target) in enumerate(numbered)]
        self._found.append(columns)
        self._targets.extend(parsed)
        self._images.update((image, None) for image, _ in numbered)

    def _add(self, predictions: Any) -> None:
        taken = _inputs.detections(predictions)
        if isinstance(taken, str):
            raise TypeError("update() takes predictions in memory; give a path to longtail.evaluate")
        if isinstance(taken, list):
            if not all(isinstance(entry, Mapping) for entry in taken):
                raise TypeError(f"predictions are not dicts; give {_inputs.FORMS}")
            names = ("image_id", "category_id", "bbox", "score")
            for index, entry in enumerate(taken):
                if missing := [name for name in names if name not in entry]:
                    raise DataError(
                        f"predictions[{index}] has no {missing[0]!r}", entry=index, field=missing[0]
                    )
            taken = (
                _inputs.ids([entry["image_id"] for entry in taken], "image_id"),
                _inputs.ids([entry["category_id"] for entry in taken], "category_id"),
                _inputs.boxes([entry["bbox"] for entry in taken], "bbox", corners=False),
                _inputs.floats([entry["score"] for entry in taken], "score"),
            )
        images = np.unique(taken[0]).tolist()
        if repeated := [image for image in images if image in self._images]:
            raise DataError(
                f"image {repeated[0]} was added before; give all detections of an image at once",
                field="image_id",
            )
        self._found.append(taken)
        self._images.update((image, None) for image in images)

    def merge(self, others: Evaluator | Iterable[Evaluator]) -> None:
        """Adds what the evaluators of other processes hold. Of an image that several have, as samplers give
        it to more than one process to make their shares equal, the first counts.

        :raises ValueError: if one has another protocol, other settings, or ground truth where this has none.
        """
        for other in [others] if isinstance(others, Evaluator) else list(others):
            if (other._protocol, other._settings) != (self._protocol, self._settings):
                raise ValueError("the evaluators differ in protocol or settings")
            if (other._truth is None) != (self._truth is None):
                raise ValueError("one of the evaluators has ground truth and the other has not")
            known = np.array(list(self._images), dtype=np.int64)
            for columns in other._found:
                new = ~np.isin(columns[0], known)
                self._found.append((columns[0][new], columns[1][new], columns[2][new], columns[3][new]))
            for target in other._targets:
                if target["image"] not in self._images:
                    self._targets.append(target)
            self._images.update(other._images)

    def compute(self) -> EvalReport:
        """The report of everything so far."""
        empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
        image, category, rows, scores = zip(empty, *self._found, strict=True)
        found = {
            "image_id": np.concatenate(image),
            "category_id": np.concatenate(category),
            "bbox": np.concatenate(rows),
            "score": np.concatenate(scores),
        }
        truth: GroundTruth = self._truth if self._truth is not None else self._columns()
        return evaluate(truth, found, protocol=self._protocol, **self._settings)

    def _columns(self) -> dict[str, Any]:
        def joined(name: str, shape: tuple[int, ...], kind: Any) -> np.ndarray[Any, Any]:
            return np.concatenate([np.zeros(shape, kind), *(target[name] for target in self._targets)])

        columns: dict[str, Any] = {
            "image_id": joined("image_id", (0,), np.int64),
            "category_id": joined("category_id", (0,), np.int64),
            "bbox": joined("bbox", (0, 4), np.float64),
            "area": joined("area", (0,), np.float64),
            "iscrowd": joined("iscrowd", (0,), np.int64),
            "images": np.array(list(self._images), dtype=np.int64),
        }
        if self._categories is not None:
            columns["categories"] = self._categories
        return columns

    def reset(self) -> None:
        """Forgets all images."""
        self._images, self._found, self._targets = {}, [], []


def _target(image: int, target: Mapping[str, Any], index: int) -> dict[str, Any]:
    where = f"targets[{index}]"
    rows = _inputs.boxes(target["boxes"], f"{where}.boxes", corners=True)
    labels = _inputs.ids(target["labels"], f"{where}.labels")
    area = _inputs.floats(target["area"], f"{where}.area") if "area" in target else rows[:, 2] * rows[:, 3]
    crowd = (
        _inputs.ids(target["iscrowd"], f"{where}.iscrowd") if "iscrowd" in target else np.zeros_like(labels)
    )
    if not len(rows) == len(labels) == len(area) == len(crowd):
        raise DataError(
            f"{where} has {len(rows)} boxes and {len(labels)} labels; they must agree", entry=index
        )
    return {
        "image": image,
        "image_id": np.full(len(rows), image, dtype=np.int64),
        "category_id": labels,
        "bbox": rows,
        "area": area,
        "iscrowd": crowd,
    }
