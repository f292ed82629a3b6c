"""Mean average precision under torchmetrics' names."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .._errors import DataError
from .._inputs import to_numpy
from ..eval import COCO, COCOeval

__all__ = ["MeanAveragePrecision"]

_Pair: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""Predictions and targets of an image."""


class MeanAveragePrecision:
    """``torchmetrics.detection.MeanAveragePrecision`` for boxes: its arguments, its keys and its numbers,
    with the numbers of all classes from one evaluation.

    :param box_format: ``xyxy``, ``xywh`` or ``cxcywh``.
    :param iou_thresholds, rec_thresholds, max_detection_thresholds: by default COCO's.
    :param class_metrics: also ``map_per_class`` and ``mar_100_per_class``.
    :param average: ``macro``, or ``micro``: all classes as one.

    >>> metric = MeanAveragePrecision()
    >>> box, label = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([0])
    >>> found = {"boxes": box, "scores": torch.tensor([0.9]), "labels": label}
    >>> metric.update([found], [{"boxes": box, "labels": label}])
    >>> round(metric.compute()["map"].item(), 4)
    1.0
    """

    def __init__(
        self,
        box_format: Literal["xyxy", "xywh", "cxcywh"] = "xyxy",
        iou_type: str = "bbox",
        iou_thresholds: Sequence[float] | None = None,
        rec_thresholds: Sequence[float] | None = None,
        max_detection_thresholds: Sequence[int] | None = None,
        class_metrics: bool = False,
        extended_summary: bool = False,
        average: Literal["macro", "micro"] = "macro",
    ) -> None:
        if box_format not in ("xyxy", "xywh", "cxcywh"):
            raise ValueError(f"box_format is {box_format!r}; choose xyxy, xywh or cxcywh")
        if iou_type not in ("bbox", ("bbox",), ["bbox"]):
            raise NotImplementedError(
                f"iou_type is {iou_type!r}; this class has boxes only, torchmetrics' has masks too"
            )
        if average not in ("macro", "micro"):
            raise ValueError(f"average is {average!r}; choose macro or micro")
        if max_detection_thresholds is not None and len(max_detection_thresholds) != 3:
            raise ValueError(
                f"max_detection_thresholds must be three numbers, found {list(max_detection_thresholds)}"
            )
        self.box_format, self.average = box_format, average
        self.class_metrics, self.extended_summary = class_metrics, extended_summary
        # torchmetrics makes its thresholds in float32.
        self.iou_thresholds = list(iou_thresholds or torch.linspace(0.5, 0.95, 10).tolist())
        self.rec_thresholds = list(rec_thresholds or torch.linspace(0.0, 1.0, 101).tolist())
        self.max_detection_thresholds = sorted(max_detection_thresholds or (1, 10, 100))
        self.images: list[_Pair] = []

    def update(self, preds: Sequence[dict[str, Any]], target: Sequence[dict[str, Any]]) -> None:
        """Adds images: ``boxes [n, 4]``, ``scores [n]``, ``labels [n]``, and of targets optionally
        ``iscrowd`` and ``area``."""
        if len(preds) != len(target):
            raise DataError(
                f"{len(preds)} predictions for {len(target)} targets; they must be of the same images"
            )
        images = []
        for index, (found, truth) in enumerate(zip(preds, target, strict=True)):
            images.append(
                (
                    self._read(found, ("boxes", "scores", "labels"), f"preds[{index}]"),
                    self._read(truth, ("boxes", "labels"), f"target[{index}]"),
                )
            )
        self.images.extend(images)

    def _read(self, entry: dict[str, Any], needed: tuple[str, ...], where: str) -> dict[str, Any]:
        for name in needed:
            if name not in entry:
                raise DataError(f"{where} has no {name!r}", field=name)
        names = (*needed, *(name for name in ("iscrowd", "area") if name in entry and "scores" not in needed))
        arrays = {name: to_numpy(entry[name]) for name in names}
        count = len(arrays["labels"])
        if any(len(array) != count for array in arrays.values()):
            raise DataError(
                f"{where} has members of different lengths: { ({n: len(a) for n, a in arrays.items()}) }"
            )
        boxes = arrays["boxes"].reshape(-1, 4).astype(np.float32)
        if self.box_format == "xyxy":
            boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        elif self.box_format == "cxcywh":
            boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
        arrays["boxes"] = boxes
        return arrays

    def _coco(self, images: list[_Pair], side: int, *, merged: bool, classes: list[int]) -> COCO:
        annotations: list[dict[str, Any]] = []
        for image, pair in enumerate(images):
            entry = pair[side]
            for n, (box, label) in enumerate(
                zip(entry["boxes"].tolist(), entry["labels"].tolist(), strict=True)
            ):
                given = float(entry["area"][n]) if "area" in entry else 0.0
                annotation = {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "bbox": box,
                    "area": given if given > 0 else box[2] * box[3],
                    "category_id": 0 if merged else int(label),
                    "iscrowd": int(entry["iscrowd"][n]) if "iscrowd" in entry else 0,
                }
                if "scores" in entry:
                    annotation["score"] = float(entry["scores"][n])
                annotations.append(annotation)
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(images))],
            "categories": [{"id": c, "name": str(c)} for c in ([0] if merged else classes)],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    def _evaluate(self, images: list[_Pair], *, merged: bool, classes: list[int]) -> COCOeval:
        truth, found = (self._coco(images, side, merged=merged, classes=classes) for side in (1, 0))
        evaluation = COCOeval(truth, found, iouType="bbox")
        evaluation.params.iouThrs = np.array(self.iou_thresholds, dtype=np.float64)
        evaluation.params.recThrs = np.array(self.rec_thresholds, dtype=np.float64)
        evaluation.params.maxDets = list(self.max_detection_thresholds)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation

    def compute(self) -> dict[str, Any]:
        """The metrics of all images, of all processes; -1 where nothing counts."""
        images = self._gathered()
        classes = sorted(
            {int(label) for pair in images for entry in pair for label in entry["labels"].tolist()}
        )
        caps = self.max_detection_thresholds
        names = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large"]
        names += [*(f"mar_{cap}" for cap in caps), "mar_small", "mar_medium", "mar_large"]
        per_class: tuple[Tensor, Tensor] = (torch.tensor([-1.0]), torch.tensor([-1.0]))
        if not images:
            result: dict[str, Any] = {name: torch.tensor(-1.0) for name in names}
        else:
            with contextlib.redirect_stdout(io.StringIO()):
                evaluation = self._evaluate(images, merged=self.average == "micro", classes=classes)
                of_classes = evaluation
                if self.class_metrics and self.average == "micro":
                    of_classes = self._evaluate(images, merged=False, classes=classes)
            result = {
                name: torch.tensor(value, dtype=torch.float32)
                for name, value in zip(names, evaluation.stats, strict=True)
            }
            if self.extended_summary:
                result["ious"] = {
                    k: torch.as_tensor(np.asarray(v), dtype=torch.float32) for k, v in evaluation.ious.items()
                }
                result |= {
                    name: torch.tensor(evaluation.eval[name]) for name in ("precision", "recall", "scores")
                }
            if self.class_metrics:
                per_class = _by_class(of_classes, len(classes))
        result["map_per_class"], result[f"mar_{caps[-1]}_per_class"] = per_class
        result["classes"] = torch.tensor(classes, dtype=torch.int32)
        return result

    def _gathered(self) -> list[_Pair]:
        """The images of all processes."""
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            everyone: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(everyone, self.images)
            return [pair for images in everyone for pair in images]
        return self.images

    def reset(self) -> None:
        """Forgets all images."""
        self.images = []


def _by_class(evaluation: COCOeval, count: int) -> tuple[Tensor, Tensor]:
    """AP and recall of each class, from the arrays of all."""

    def mean(cells: Any) -> float:
        defined = cells[cells > -1]
        return float(np.mean(defined)) if len(defined) else -1.0

    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    # As the reference, whose AP is at 100 detections or undefined.
    caps = [n for n, cap in enumerate(evaluation.params.maxDets) if cap == 100]
    ap = [mean(precision[:, :, k, [0], caps]) for k in range(count)]
    ar = [mean(recall[:, k, 0, -1]) for k in range(count)]
    return torch.tensor(ap, dtype=torch.float32), torch.tensor(ar, dtype=torch.float32)
