"""Losses in ultralytics' YOLO detectors.

Only a hook is set: nothing of ultralytics, which is under the AGPL, is copied here. Checkpoints stay plain,
since ultralytics strips the criterion from them.

On a dense head, ACSL is for a second stage, on a detector that is trained already; from the start, background
is learnt very slowly. ::

    model = YOLO("best.pt")
    model.add_callback("on_train_start", longtail.ultralytics.use_loss("acsl"))
    model.train(data="data.yaml", epochs=12)

With several GPUs the callback is not carried into the processes;
``model.train(trainer=longtail.ultralytics.LongTailTrainer)`` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .torch.base import LongTailLoss
from .torch.modules import _SigmoidLoss, make_loss

__all__ = ["LongTailTrainer", "apply_loss", "use_loss"]  # noqa: F822


def apply_loss(model: Any, loss: str | LongTailLoss = "acsl", **settings: Any) -> int:
    """Replaces the class term of a detection model's criterion. One line says what was replaced.

    :param model: an ultralytics ``DetectionModel``, not wrapped.
    :param loss: a loss with ``background="none"``, or its name: ``acsl`` (by default with
        ``background_rule="dense"``), ``eql`` or ``sigmoid-bce``, with its settings.
    :returns: how many criteria were changed: 1, or 2 for end-to-end models.
    :raises RuntimeError: if there is nothing to replace, or it was replaced before.
    """
    criterion = getattr(model, "criterion", None)
    if criterion is None:
        criterion = model.criterion = model.init_criterion()
    parts = [("criterion", criterion)]
    if hasattr(criterion, "one2many"):
        parts = [(f"criterion.{name}", getattr(criterion, name)) for name in ("one2many", "one2one")]
    parts = [(name, part) for name, part in parts if hasattr(part, "bce")]
    if not parts:
        raise RuntimeError(
            f"{type(criterion).__name__} has no `bce` to replace; losses are for YOLO detectors, not for RT-DETR or classifiers"
        )
    for name, part in parts:
        if isinstance(part.bce, LongTailLoss):
            raise RuntimeError(f"{name}.bce is a loss of longtail already")
    if isinstance(loss, str):
        if loss == "acsl":
            settings = {"background_rule": "dense", **settings}
        loss = make_loss(loss, parts[0][1].nc, background="none", reduction="none", **settings)
    elif settings:
        raise TypeError(f"{type(loss).__name__} is made already; leave out {', '.join(settings)}")
    if not isinstance(loss, _SigmoidLoss) or loss.background != "none" or loss.reduction != "none":
        raise ValueError(
            "element-wise targets need ACSL, EQL or sigmoid BCE with background='none' and reduction='none'"
        )
    for name, part in parts:
        if loss.num_classes != part.nc:
            raise ValueError(f"the model has {part.nc} classes and the loss {loss.num_classes}")
        part.bce = loss.to(part.device)
        print(f"longtail: {name}.bce: BCEWithLogitsLoss -> {loss}")
    return len(parts)


def use_loss(loss: str | LongTailLoss = "acsl", **settings: Any) -> Callable[[Any], None]:
    """A callback for ``on_train_start``; arguments as :func:`apply_loss`."""

    def on_train_start(trainer: Any) -> None:
        model = trainer.model
        # As DistributedDataParallel wraps it.
        apply_loss(getattr(model, "module", model), loss, **settings)

    return on_train_start


def _trainer() -> Any:
    try:
        from ultralytics.models.yolo.detect import DetectionTrainer
    except ImportError:
        raise ImportError("LongTailTrainer needs ultralytics: pip install ultralytics") from None

    class LongTailTrainer(DetectionTrainer):
        """``DetectionTrainer`` with ACSL in the place of binary cross-entropy. For other settings subclass it
        in an importable module and assign :attr:`long_tail_loss` and :attr:`long_tail_settings`."""

        long_tail_loss = "acsl"
        long_tail_settings: ClassVar[dict[str, Any]] = {}

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.add_callback("on_train_start", use_loss(self.long_tail_loss, **self.long_tail_settings))

    LongTailTrainer.__module__, LongTailTrainer.__qualname__ = __name__, "LongTailTrainer"
    return LongTailTrainer


def __getattr__(name: str) -> Any:
    # ultralytics is imported when its class is named, and the class is made once, so that other processes can
    # import it.
    if name == "LongTailTrainer":
        globals()[name] = _trainer()
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
