"""Losses in detectron2's two-stage detectors.

::

    longtail.detectron2.use_loss(model, longtail.torch.ACSLLoss(1203, background="last"))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .torch.base import LongTailLoss

__all__ = ["use_loss"]


def use_loss(model: Any, loss: LongTailLoss) -> Callable[[], None]:
    """Makes every ``FastRCNNOutputLayers`` of a model, of a cascade all of them, train its classifier with a
    loss and score with its scores. One line each says what was replaced.

    :param loss: with ``background="last"`` and as many outputs as ``cls_score``.
    :returns: a function that puts the originals back.
    :raises TypeError: if the model has no ``roi_heads.box_predictor``.
    :raises ValueError: if the loss does not fit.
    :raises RuntimeError: if a loss is used already.
    """
    heads = getattr(model, "roi_heads", None)
    predictors = getattr(heads, "box_predictor", None)
    if predictors is None:
        raise TypeError(
            f"{type(model).__name__} has no roi_heads.box_predictor; give a Faster, Mask or Cascade R-CNN of detectron2"
        )
    listed = list(predictors) if isinstance(predictors, (list, torch.nn.ModuleList)) else [predictors]
    if loss.background != "last":
        raise ValueError(f"detectron2 has background last; the loss has background={loss.background!r}")
    for predictor in listed:
        if getattr(type(predictor), "_longtail", False):
            raise RuntimeError(
                "this model uses a loss of longtail already; call the function that use_loss returned first"
            )
        needed = ("losses", "predict_probs", "cls_score")
        if missing := [name for name in needed if not hasattr(predictor, name)]:
            raise TypeError(f"{type(predictor).__name__} has no {missing[0]}; expected FastRCNNOutputLayers")
        width = predictor.cls_score.out_features
        if width != loss.num_outputs:
            raise ValueError(
                f"cls_score has {width} outputs and the loss {loss.num_outputs}; make them agree"
            )
    undo = []
    for index, predictor in enumerate(listed):
        original, before = type(predictor), predictor.use_sigmoid_ce
        predictor.__class__ = type(original.__name__, (original,), _members(original, loss))
        # The branch that asks a method for the class term.
        predictor.use_sigmoid_ce = True
        undo.append((predictor, original, before))
        where = "box_predictor" if len(listed) == 1 else f"box_predictor[{index}]"
        print(f"longtail: {type(model).__name__}.roi_heads.{where}: class loss and scores -> {loss}")

    def put_back() -> None:
        for predictor, original, before in undo:
            predictor.__class__, predictor.use_sigmoid_ce = original, before

    return put_back


def _members(original: type[Any], loss: LongTailLoss) -> dict[str, Any]:
    def sigmoid_cross_entropy_loss(self: Any, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        if classes.numel() == 0:
            return logits.sum() * 0.0
        found: torch.Tensor = loss(logits, classes)
        return found

    def predict_probs(self: Any, predictions: Any, proposals: Any) -> Any:
        scores = loss.scores(predictions[0])
        # A last column for background, which the caller drops.
        scores = torch.nn.functional.pad(scores, (0, 1))
        return torch.split(scores, [len(p) for p in proposals], dim=0)

    return {
        "_longtail": True,
        "sigmoid_cross_entropy_loss": sigmoid_cross_entropy_loss,
        "predict_probs": predict_probs,
    }
