"""Losses in the detectors of transformers whose class term is a binary cross-entropy: RT-DETR, RT-DETR v2,
D-FINE and their like.

::

    model.loss_function = longtail.transformers.loss(model, longtail.torch.ACSLLoss(C, background="none",
    background_rule="dense"))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import _adapt
from .torch.modules import _SigmoidLoss

__all__ = ["loss"]

_BCE = "binary_cross_entropy_with_logits"


def loss(model: Any, loss: _SigmoidLoss) -> Callable[..., Any]:
    """The model's own loss function, with the negatives of its class term weighed by a loss. One line says
    what was replaced.

    Assign it to ``model.loss_function``. Keys of the losses, matching and box terms are the model's own, and
    checkpoints are plain.

    :param loss: ACSL, EQL or sigmoid BCE with ``background="none"``.
    :raises RuntimeError: if the model's class term is not a binary cross-entropy, or it was replaced before.
    """
    if not isinstance(loss, _SigmoidLoss) or loss.background != "none":
        raise ValueError("give ACSL, EQL or sigmoid BCE with background='none'")
    classes = getattr(getattr(model, "config", None), "num_labels", None)
    if classes is not None and classes != loss.num_classes:
        raise ValueError(f"the model has {classes} classes and the loss {loss.num_classes}")
    original = model.loss_function
    if getattr(original, "_longtail", False):
        raise RuntimeError("the model's loss_function is longtail's already")

    def bce(
        input: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None, **named: Any
    ) -> torch.Tensor:
        negatives = loss.negative_weights(input, target > 0).to(input.dtype)
        weight = negatives if weight is None else weight * negatives
        return torch.nn.functional.binary_cross_entropy_with_logits(input, target, weight=weight, **named)

    functional = _adapt.Functional(binary_cross_entropy_with_logits=bce)
    replaced: list[str] = []
    criteria: dict[str, Any] = {}
    for name in original.__code__.co_names:
        criterion = original.__globals__.get(name)
        if not isinstance(criterion, type):
            continue
        members: dict[str, Any] = {}
        for method in dir(criterion):
            if method.startswith("loss_labels") and _adapt.uses(getattr(criterion, method), "F", _BCE):
                members[method] = _adapt.with_names(getattr(criterion, method), F=functional)
                replaced.append(f"{name}.{method}")
        if members:
            criteria[name] = type(criterion.__name__, (criterion,), members)
    if not criteria:
        raise RuntimeError(
            f"{original.__name__} has no class term by F.{_BCE}; longtail knows RT-DETR and D-FINE, and losses of softmax "
            "cannot be weighed by class"
        )
    found = _adapt.with_names(original, **criteria)
    found._longtail = True  # type: ignore[attr-defined]
    print(f"longtail: {original.__name__}: {', '.join(replaced)}: negatives weighed by {loss}")
    return found
