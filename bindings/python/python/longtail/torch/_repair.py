"""A trained detector's last layer trained again with a loss for the tail, and put back."""

from __future__ import annotations

import contextlib
import html
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import losses as _losses
from .._errors import DataError
from .._evaluate import Evaluator
from .._report import EvalReport
from .._types import AnyPath
from ..bank import Bank, Head, Progress, train_head
from .base import LongTailLoss
from .modules import make_loss

__all__ = ["RepairResult", "repair"]

Rows = Callable[[nn.Module, Any], Any]

_PLAIN_SOFTMAX = ("softmax-cross-entropy", "balanced-softmax", "class-balanced")


@dataclass
class RepairResult:
    """What :func:`repair` did.

    :param model: the model, changed.
    :param before, after: reports on the validation images; None without them.
    :param head: the trained layer.
    :param loss: the loss; its ``scores(logits)`` are the scores to use.
    :param bank: where the features are, or None if they were in a temporary folder.
    """

    model: Any
    before: EvalReport | None
    after: EvalReport | None
    head: Head
    loss: LongTailLoss
    bank: str | None

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        if self.before is None or self.after is None:
            return
        for name, before in self.before.metrics.items():
            after = self.after.metrics.get(name)
            if before is not None and after is not None:
                yield name, f"{100 * before:.2f}", f"{100 * after:.2f}", f"{100 * (after - before):+.2f}"

    def __str__(self) -> str:
        rows = [("metric, %", "before", "after", "change"), *self._rows()]
        if len(rows) == 1:
            return f"{self.head!r}; give validation to see what it changes"
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in rows
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:right'>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in self._rows()
        )
        return (
            f"<table><tr><th>metric, %</th><th>before</th><th>after</th><th>change</th></tr>{cells}</table>"
        )


def repair(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    loss: str = "acsl",
    validation: Iterable[Any] | None = None,
    epochs: float = 12,
    seed: int = 0,
    bank: AnyPath | None = None,
    classifier: str | None = None,
    rows: Rows | None = None,
    num_classes: int | None = None,
    class_names: Mapping[int, str] | None = None,
    background: _losses.Background = "first",
    background_budget: int | None = None,
    learning_rate: float | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    **settings: Any,
) -> RepairResult:
    """Trains a detector's classification layer again, with everything below it frozen, and puts it back.

    The features of the training images are kept in a feature bank, the layer is trained on it by native code,
    and its weights are copied into the model. In torchvision's detectors the scores become those of the loss.

    :param model: a Faster or Mask R-CNN of torchvision; or, with ``classifier`` and ``rows``, any model.
    :param loader: batches of training images, ``(images, targets)`` as torchvision takes them; boxes by
        corners, labels from 1, and an ``image_id`` where an image comes more than once.
    :param loss: its name in a recipe.
    :param validation: batches like those of ``loader``: the reports before and after are on them.
    :param bank: a new folder to keep the features in; by default a temporary one.
    :param classifier: the dotted name of the layer, an ``nn.Linear`` or an ``nn.Conv2d`` of size 1.
    :param rows: called with the model and a batch. Runs the model and returns the labels of the rows that the
        layer saw, in their order, or a pair of them with image ids.
    :param num_classes: C; by default as the layer's outputs and ``background`` say.
    :param class_names: by label, for reports.
    :param background: where the layer has its background column. With ``none``, label C is background.
    :param background_budget: most background rows kept of an image, for heads with thousands of positions.
    :param learning_rate: by default 0.02.
    :param settings: the loss's own, such as ``threshold=0.7``.
    :raises TypeError: if the layer cannot be found.
    :raises longtail.DataError: if no row is foreground, or a label is not a class.

    The model's modes and its random numbers are as before. Batch normalisation is not changed.
    """
    layer, path = _layer(model, classifier)
    if classifier is None and rows is not None:
        raise TypeError("rows belongs to a layer; name it in classifier")
    if classifier is not None and rows is None:
        raise TypeError(
            "with classifier, give rows too: a function of the model and a batch that runs the model and returns the "
            "labels of the rows that the layer saw"
        )
    if rows is None:
        if background != "first":
            raise ValueError("torchvision has background first")
        if getattr(type(model.roi_heads), "_longtail", False):
            raise RuntimeError(
                "this model uses a loss of longtail already; call the function that use_loss returned first"
            )
    outputs, width = layer.weight.shape[:2]
    classes = num_classes if num_classes is not None else outputs - (background != "none")
    found = _collect(model, loader, layer, rows, classes, background, background_budget, seed)
    names = {label: f"class {label}" for label in found.boxes}
    names.update(class_names or {})
    first = 1 if background == "first" else 0
    labels = range(first, first + classes)
    counts: dict[str, Any] = {
        "class_counts": [found.boxes[label] for label in labels],
        "image_counts": [found.images[label] for label in labels],
        "total_images": found.total_images,
    }
    before = None if validation is None else _score(model, validation, found, class_names)

    with contextlib.ExitStack() as stack:
        folder = bank
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="longtail-")) + "/bank"
        trained_with = "softmax-cross-entropy" if background != "none" else "sigmoid-bce"
        fits = outputs == _losses.Loss(trained_with, classes, background=background).num_outputs
        weight = layer.weight.detach().float().cpu().numpy().reshape(outputs, width)
        bias = (
            np.zeros(outputs, np.float32) if layer.bias is None else layer.bias.detach().float().cpu().numpy()
        )
        stored = Bank.write(
            folder,
            found.features,
            found.labels,
            found.image_ids,
            **counts,
            class_names=[str(names.get(label, f"class {label}")) for label in labels],
            category_ids=list(labels) if background == "first" else None,
            background=background,
            classifier=(weight, bias) if fits else None,
            classifier_loss=trained_with,
            rois_per_image=found.most_rows,
            threads=threads,
        )
        own = dict(settings)
        if _losses.LOSSES[loss].with_and_without:
            own["background_logit"] = background != "none"
        head = train_head(
            stored,
            loss,
            epochs=epochs,
            seed=seed,
            learning_rate=learning_rate,
            from_classifier=fits,
            progress=progress,
            threads=threads,
            **own,
        )
    made = make_loss(loss, classes, background=background, **counts, **settings)
    _put_back(model, layer, path, head, made.core.order)
    if rows is None and loss not in _PLAIN_SOFTMAX:
        from ..torchvision import use_loss

        use_loss(model, made)
    print(f"longtail: {type(model).__name__}.{path}: trained again with {made}")
    after = None if validation is None else _score(model, validation, found, class_names)
    return RepairResult(model, before, after, head, made, None if bank is None else str(bank))


def _layer(model: nn.Module, classifier: str | None) -> tuple[Any, str]:
    path = classifier
    if path is None:
        path = "roi_heads.box_predictor.cls_score"
    try:
        layer = model.get_submodule(path)
    except AttributeError:
        raise TypeError(
            f"{type(model).__name__} has no {path}; give a Faster or Mask R-CNN of torchvision, or name the layer in classifier"
        ) from None
    if isinstance(layer, nn.Conv2d):
        if layer.kernel_size != (1, 1) or layer.groups != 1:
            raise TypeError(
                f"{path} is a convolution of size {layer.kernel_size}; only those of size 1 are linear"
            )
    elif not isinstance(layer, nn.Linear):
        raise TypeError(f"{path} is {type(layer).__name__}; expected nn.Linear or an nn.Conv2d of size 1")
    return layer, path


@dataclass
class _Collected:
    features: Any
    labels: Any
    image_ids: Any
    boxes: Counter[int]
    images: Counter[int]
    total_images: int
    most_rows: int


@contextlib.contextmanager
def _modes(model: nn.Module, *, training: bool) -> Iterator[None]:
    """The model's mode changed for a while; what would learn or draw without gradients is in ``eval``."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    for module in model.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)):
            module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in before:
            module.training = mode


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_moved(item, device) for item in value]
    return value


def _flat(seen: Tensor) -> Tensor:
    """Inputs of a linear layer ``[..., D]`` or of a convolution ``[B, D, H, W]`` as rows."""
    rows = seen.detach().float().cpu()
    if rows.ndim == 4:
        rows = rows.permute(0, 2, 3, 1)
    return rows.reshape(-1, rows.shape[-1])


def _collect(
    model: Any,
    loader: Iterable[Any],
    layer: nn.Module,
    rows: Rows | None,
    classes: int,
    background: _losses.Background,
    budget: int | None,
    seed: int,
) -> _Collected:
    device, seen = _device(model), []
    features, labels, image_ids = [], [], []
    boxes: Counter[int] = Counter()
    images: Counter[int] = Counter()
    ids: dict[int, None] = {}
    behind = 0 if background == "first" else classes
    is_conv = isinstance(layer, nn.Conv2d)

    def hook(module: nn.Module, inputs: Any) -> None:
        value = inputs[0] if inputs[0].ndim == 4 or not is_conv else inputs[0][None]
        seen.append(_flat(value))

    draw = np.random.default_rng(seed)
    handle = layer.register_forward_pre_hook(hook)
    try:
        with _modes(model, training=rows is None), torch.random.fork_rng():
            torch.manual_seed(seed)
            for batch in loader:
                seen.clear()
                batch = _moved(batch, device)
                if rows is None:
                    of_rows, of_images = _torchvision_rows(model, batch, len(ids), boxes, images)
                else:
                    given = rows(model, batch)
                    of_rows, of_images = given if isinstance(given, tuple) else (given, None)
                    of_rows = torch.as_tensor(of_rows).detach().cpu().numpy().reshape(-1)
                    if of_images is None:
                        of_images = np.full(len(of_rows), len(ids))
                    of_images = np.asarray(torch.as_tensor(of_images).cpu()).reshape(-1)
                if not seen:
                    raise DataError(
                        "the classification layer was not called for a batch; is it the one named?"
                    )
                values = torch.cat(seen).numpy()
                if len(values) != len(of_rows) or len(of_rows) != len(of_images):
                    raise DataError(
                        f"the layer saw {len(values)} rows, and there are {len(of_rows)} labels and {len(of_images)} image ids; "
                        "give one of each a row"
                    )
                if rows is not None:
                    for label in of_rows[of_rows != behind].tolist():
                        boxes[label] += 1
                    pairs = np.unique(np.stack([of_images, of_rows], axis=1), axis=0)
                    for label in pairs[pairs[:, 1] != behind, 1].tolist():
                        images[label] += 1
                ids.update((image, None) for image in np.unique(of_images).tolist())
                if budget is not None:
                    kept = _within(of_rows == behind, of_images, budget, draw)
                    values, of_rows, of_images = values[kept], of_rows[kept], of_images[kept]
                features.append(values)
                labels.append(of_rows)
                image_ids.append(of_images)
    finally:
        handle.remove()
    if not features:
        raise DataError("the loader gave no batch")
    joined = np.concatenate(labels)
    if not (joined != behind).any():
        raise DataError(
            "no row is foreground: are the labels those of this model, and do boxes match its proposals?"
        )
    all_ids = np.concatenate(image_ids)
    most = int(np.unique(all_ids, return_counts=True)[1].max())
    return _Collected(np.concatenate(features), joined, all_ids, boxes, images, len(ids), most)


def _within(is_background: Any, images: Any, budget: int, draw: np.random.Generator) -> Any:
    """Indices of all foreground and of at most ``budget`` background rows of each image."""
    kept = [np.flatnonzero(~is_background)]
    for image in np.unique(images):
        rows = np.flatnonzero(is_background & (images == image))
        kept.append(rows if len(rows) <= budget else draw.choice(rows, budget, replace=False))
    return np.sort(np.concatenate(kept))


def _torchvision_rows(
    model: Any, batch: Any, known: int, boxes: Counter[int], images: Counter[int]
) -> tuple[Any, Any]:
    """A training step's labels and image ids by row, with the boxes counted."""
    pictures, targets = batch
    heads, sampled = model.roi_heads, []
    select = heads.select_training_samples

    def capture(proposals: Any, targets: Any) -> Any:
        sampled.append(select(proposals, targets))
        return sampled[-1]

    heads.select_training_samples = capture
    try:
        model(list(pictures), [dict(target) for target in targets])
    finally:
        del heads.select_training_samples
    labels = sampled[0][2]
    ids = [
        int(torch.as_tensor(target["image_id"]).reshape(-1)[0]) if "image_id" in target else known + index
        for index, target in enumerate(targets)
    ]
    for target in targets:
        of_image = target["labels"].tolist()
        boxes.update(of_image)
        images.update(set(of_image))
    rows = torch.cat(labels).cpu().numpy()
    return rows, np.repeat(ids, [len(found) for found in labels])


def _score(
    model: nn.Module, loader: Iterable[Any], found: _Collected, names: Mapping[int, str] | None
) -> EvalReport:
    """The report of a detector on batches of images and targets."""
    evaluator = Evaluator(categories=names, frequencies_from=dict(found.images))
    device = _device(model)
    with _modes(model, training=False):
        for pictures, targets in loader:
            predictions = model([picture.to(device) for picture in pictures])
            evaluator.update([_moved(p, torch.device("cpu")) for p in predictions], targets)
    return evaluator.compute()


def _put_back(model: nn.Module, layer: Any, path: str, head: Head, order: Any) -> None:
    """The head's weights as the model's columns, in the layer or in one of another width in its place."""
    weight, bias = torch.from_numpy(np.array(head.weight)), torch.from_numpy(np.array(head.bias))
    back = torch.as_tensor(np.argsort(order))
    weight, bias = weight[back], bias[back]
    if isinstance(layer, nn.Conv2d):
        weight = weight[:, :, None, None]
    if layer.bias is None or layer.weight.shape[0] != weight.shape[0]:
        like = {"device": layer.weight.device, "dtype": layer.weight.dtype}
        size = (weight.shape[1], weight.shape[0])
        # Without drawing weights: random numbers stay as they are.
        make: Any = nn.utils.skip_init
        if isinstance(layer, nn.Conv2d):
            made = make(nn.Conv2d, *size, 1, **like)
        else:
            made = make(nn.Linear, *size, **like)
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, made)
        layer = made
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
