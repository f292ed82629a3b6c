"""Losses in torchvision's two-stage detectors.

::

    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(num_classes=C + 1)
    longtail.torchvision.use_loss(model, longtail.torch.ACSLLoss(C))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import _adapt
from .torch.base import LongTailLoss

__all__ = ["use_loss"]


def use_loss(model: Any, loss: LongTailLoss) -> Callable[[], None]:
    """Makes a Faster or Mask R-CNN train its classifier with a loss and score with its scores. One line says
    what was replaced.

    The loss is not a part of the model: checkpoints stay plain. Losses with running statistics have a
    ``state_dict()`` of their own to save. The model cannot be scripted while the loss is used.

    :param loss: with ``background="first"`` and as many outputs as
        ``model.roi_heads.box_predictor.cls_score``.
    :returns: a function that puts the original back.
    :raises TypeError: if the model has no ``roi_heads``.
    :raises ValueError: if the loss does not fit the head.
    :raises RuntimeError: if a loss is used already, or the installed torchvision is not as this adapter knows
        it.
    """
    heads = getattr(model, "roi_heads", None)
    if heads is None or not hasattr(heads, "box_predictor"):
        raise TypeError(
            f"{type(model).__name__} has no roi_heads with a box_predictor; give a Faster or Mask R-CNN of torchvision"
        )
    if getattr(type(heads), "_longtail", False):
        raise RuntimeError(
            "this model uses a loss of longtail already; call the function that use_loss returned first"
        )
    if loss.background != "first":
        raise ValueError(f"torchvision has background first; the loss has background={loss.background!r}")
    width = getattr(getattr(heads.box_predictor, "cls_score", None), "out_features", None)
    if width is not None and width != loss.num_outputs:
        raise ValueError(
            f"box_predictor.cls_score has {width} outputs and the loss {loss.num_outputs}; make them agree"
        )
    original = type(heads)
    scope = original.forward.__globals__
    if "fastrcnn_loss" not in scope:
        raise RuntimeError(
            "torchvision's RoIHeads.forward does not call fastrcnn_loss; this version is not supported"
        )

    def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = loss(logits, labels)
        return found

    def softmax(scores: torch.Tensor, dim: int) -> torch.Tensor:
        return scores

    functional = _adapt.Functional(cross_entropy=cross_entropy, softmax=softmax)
    if not _adapt.uses(scope["fastrcnn_loss"], "F", "cross_entropy"):
        raise RuntimeError(
            "torchvision's fastrcnn_loss does not use F.cross_entropy; this version is not supported"
        )
    if not _adapt.uses(original.postprocess_detections, "F", "softmax"):
        raise RuntimeError(
            "torchvision's postprocess_detections does not use F.softmax; this version is not supported"
        )
    inner = _adapt.with_names(original.postprocess_detections, F=functional)

    def postprocess_detections(self: Any, class_logits: torch.Tensor, *arguments: Any) -> Any:
        # As many columns as there are boxes, also of losses with further outputs; that of background is dropped.
        scores = torch.nn.functional.pad(loss.scores(class_logits), (1, 0))
        return inner(self, scores, *arguments)

    members = {
        "_longtail": True,
        "forward": _adapt.with_names(
            original.forward, fastrcnn_loss=_adapt.with_names(scope["fastrcnn_loss"], F=functional)
        ),
        "postprocess_detections": postprocess_detections,
    }
    heads.__class__ = type(original.__name__, (original,), members)
    print(f"longtail: {type(model).__name__}.roi_heads: cross_entropy -> {loss}, softmax -> its scores")

    def undo() -> None:
        heads.__class__ = original

    return undo
