"""Losses in RF-DETR.

RF-DETR builds its criterion deep inside its training, so the criterion is changed while a block runs::

    with longtail.rfdetr.use_loss(lambda classes: longtail.torch.ACSLLoss(classes, background="none",
                                                                          background_rule="dense")):
        model.train(dataset_dir=..., epochs=12)

On such a dense head ACSL is for a second stage, on a detector that is trained already.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .torch.modules import _SigmoidLoss

__all__ = ["apply_loss", "use_loss"]

_OUT = -60.0
"""A logit whose probability, loss and gradients are 0 in single precision."""


def apply_loss(criterion: Any, loss: _SigmoidLoss) -> None:
    """Makes a criterion leave out the negatives that a loss leaves out. One line says what was changed.

    Whatever its class term is (IoU-aware, varifocal or focal), elements that are left out enter it as logits
    of certain absence, which have neither loss nor gradient. Matching, box terms and keys are its own.

    :param loss: with ``background="none"``, and a rule that keeps an element or leaves it out: ACSL with the
        background rule ``adaptive``, ``dense`` or a threshold, or EQL.
    :raises RuntimeError: if the criterion has no ``loss_labels``, or was changed before.
    """
    if not isinstance(loss, _SigmoidLoss) or loss.background != "none" or loss._statistics:
        raise ValueError(
            "give ACSL with background_rule 'adaptive', 'dense' or a threshold, or EQL, with background='none'"
        )
    original = type(criterion)
    if getattr(original, "_longtail", False):
        raise RuntimeError("this criterion uses a loss of longtail already")
    if not hasattr(original, "loss_labels") or not hasattr(original, "_get_src_permutation_idx"):
        raise RuntimeError(f"{original.__name__} has no loss_labels; this version of rfdetr is not supported")

    def loss_labels(
        self: Any, outputs: dict[str, Any], targets: Any, indices: Any, *rest: Any, **named: Any
    ) -> Any:
        logits = outputs["pred_logits"]
        if logits.shape[-1] < loss.num_classes:
            raise ValueError(
                f"the model has {logits.shape[-1]} outputs and the loss {loss.num_classes} classes"
            )
        index = self._get_src_permutation_idx(indices)
        labels = torch.cat([t["labels"][matched] for t, (_, matched) in zip(targets, indices, strict=True)])
        positive = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        positive[(*index, labels)] = True
        kept = torch.ones_like(positive)
        of_classes = loss.negative_weights(logits[..., : loss.num_classes], positive[..., : loss.num_classes])
        kept[..., : loss.num_classes] = of_classes > 0
        changed = torch.where(kept, logits, logits.new_full((), _OUT))
        return original.loss_labels(
            self, {**outputs, "pred_logits": changed}, targets, indices, *rest, **named
        )

    members = {"_longtail": True, "loss_labels": loss_labels}
    criterion.__class__ = type(original.__name__, (original,), members)
    print(f"longtail: {original.__name__}.loss_labels: negatives left out by {loss}")


@contextlib.contextmanager
def use_loss(loss: _SigmoidLoss | Callable[[int], _SigmoidLoss]) -> Iterator[None]:
    """Changes every criterion that RF-DETR builds in the block; see :func:`apply_loss`.

    :param loss: a loss, or a function that makes one for a number of classes.
    :raises ImportError: if rfdetr is not installed.
    :raises RuntimeError: at the end of the block, if no criterion was built in it.
    """
    name = "build_criterion_from_config"
    try:
        home = importlib.import_module("rfdetr.models.lwdetr")
    except ImportError as error:
        raise ImportError("longtail.rfdetr needs rfdetr: pip install rfdetr") from error
    with contextlib.suppress(ImportError):
        importlib.import_module("rfdetr.training.module_model")
    original = getattr(home, name, None)
    if original is None:
        raise RuntimeError(f"rfdetr.models.lwdetr has no {name}; this version of rfdetr is not supported")
    built = 0

    def build(*arguments: Any, **named: Any) -> Any:
        nonlocal built
        found = original(*arguments, **named)
        criterion = found[0]
        made = loss if isinstance(loss, _SigmoidLoss) else loss(int(criterion.num_classes))
        apply_loss(criterion, made)
        built += 1
        return found

    # Modules that took the name by `from … import`.
    holders = [
        module
        for key, module in list(sys.modules.items())
        if key.startswith("rfdetr.") and getattr(module, "__dict__", {}).get(name) is original
    ]
    for module in holders:
        setattr(module, name, build)
    try:
        yield
    finally:
        for module in holders:
            setattr(module, name, original)
    if not built:
        raise RuntimeError("no criterion of RF-DETR was built in the block; nothing used the loss")
