"""Losses in mmdetection's two-stage detectors, by configuration::

    custom_imports = dict(imports=['longtail.mmdet'])
    model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(type='longtail.ACSLLoss', num_classes=1203))))

Every loss with a background column is registered under its name in :mod:`longtail.torch`. Where mmdetection
is not installed, :func:`make` gives the same modules.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .torch.base import LongTailLoss
from .torch.modules import _CLASSES

__all__ = ["ClassificationLoss", "make", "register"]


class ClassificationLoss(nn.Module):
    """A loss as mmdetection 3's ``Shared2FCBBoxHead`` calls it. It tells the head its number of columns, its
    scores and its accuracy.

    :param loss: with ``background="last"``.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True
    use_sigmoid = False

    def __init__(self, loss: LongTailLoss) -> None:
        super().__init__()
        if loss.background != "last":
            raise ValueError(f"mmdetection has background last; the loss has background={loss.background!r}")
        self.loss = loss
        self.loss_weight = loss.loss_weight

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        ignore_index: int | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss of logits ``[N, K]`` and labels ``[N]``, C for background."""
        if reduction_override not in (None, "mean"):
            raise ValueError(
                f"reduction_override is {reduction_override!r}; make the loss with reduction instead"
            )
        if ignore_index is not None and ignore_index != self.loss.ignore_index:
            label = torch.where(label == ignore_index, self.loss.ignore_index, label)
        found: Tensor = self.loss(cls_score, label, weight, avg_factor)
        return found

    def get_cls_channels(self, num_classes: int) -> int:
        """Columns of the head."""
        if num_classes != self.loss.num_classes:
            raise ValueError(f"the head has {num_classes} classes and the loss {self.loss.num_classes}")
        return self.loss.num_outputs

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Scores ``[N, C + 1]`` of logits; the last column, background, is what the classes leave."""
        scores = self.loss.scores(cls_score)
        return torch.cat([scores, (1.0 - scores.sum(dim=1, keepdim=True)).clamp(min=0.0)], dim=1)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Share of the foreground rows whose best class is right, in percent."""
        foreground = (labels >= 0) & (labels < self.loss.num_classes)
        best = self.loss.scores(cls_score).argmax(dim=1)
        right = (best == labels)[foreground].float()
        value = right.mean() * 100 if right.numel() else cls_score.new_zeros(())
        return {"acc_classes": value}


def make(name: str, num_classes: int, **settings: Any) -> ClassificationLoss:
    """A loss by its name in a recipe, such as ``acsl``, for ``num_classes`` foreground classes."""
    if settings.pop("background", "last") != "last":
        raise ValueError("mmdetection has background last; leave out background")
    # What mmdetection's own configurations say of every loss.
    settings.pop("use_sigmoid", None)
    found = _CLASSES.get(name.replace("_", "-"))
    if found is None:
        raise ValueError(f"{name!r} is not a loss; choose one of {', '.join(_CLASSES)}")
    return ClassificationLoss(found(num_classes, background="last", **settings))


def _builder(name: str, title: str) -> type[ClassificationLoss]:
    def __init__(self: ClassificationLoss, num_classes: int, **settings: Any) -> None:
        ClassificationLoss.__init__(self, make(name, num_classes, **settings).loss)

    return type(
        title, (ClassificationLoss,), {"__init__": __init__, "__doc__": f"``{name}`` for mmdetection."}
    )


def register(registry: Any) -> list[str]:
    """Registers every loss as ``longtail.NAME``, such as ``longtail.ACSLLoss``. One line says so.

    :param registry: ``mmdet.registry.MODELS``.
    :returns: the names.
    """
    names = []
    for name, cls in _CLASSES.items():
        title = f"longtail.{cls.__name__}"
        registry.register_module(name=title, module=_builder(name, cls.__name__), force=True)
        names.append(title)
    print(f"longtail: registered {len(names)} losses for mmdetection: {', '.join(names)}")
    return names


try:
    from mmdet.registry import MODELS as _MODELS
except ImportError:
    pass
else:
    register(_MODELS)
