"""Classifier layer and loss in one module."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from . import functional, modules

__all__ = ["LinearACSLLoss"]


class LinearACSLLoss(nn.Module):
    """A linear classifier with ACSL on it, whose logits are never stored in training.

    :param in_features: D.
    :param num_classes: foreground classes C.
    :param bias: whether the layer has one.
    :param settings: as :class:`longtail.torch.ACSLLoss`; ``background="none"`` and
        ``background_rule="adaptive"`` by default.

    The parameters ``weight [K, D]`` and ``bias [K]`` have the names of ``nn.Linear``, so that its state can
    be loaded.

    >>> head = LinearACSLLoss(4, 3)
    >>> head(torch.zeros(2, 4), torch.tensor([0, 3])).item() > 0
    True
    """

    def __init__(self, in_features: int, num_classes: int, *, bias: bool = True, **settings: Any) -> None:
        super().__init__()
        self.loss = modules.ACSLLoss(
            num_classes, **{"background": "none", "background_rule": "adaptive", **settings}
        )
        self.in_features, self.num_classes = in_features, num_classes
        self.weight = nn.Parameter(torch.empty(self.loss.num_outputs, in_features))
        self.bias = nn.Parameter(torch.empty(self.loss.num_outputs)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As ``nn.Linear``."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss of features ``[N, D]`` and labels ``[N]``, with row weights ``[N]``."""
        return functional.linear_loss(
            self.loss, input, self.weight, target, linear_bias=self.bias, weight=weight
        )

    def logits(self, input: Tensor) -> Tensor:
        """Logits ``[N, K]`` of features ``[N, D]``."""
        return nn.functional.linear(input, self.weight, self.bias)

    def scores(self, input: Tensor) -> Tensor:
        """Scores in 0 to 1 of the classes, ``[N, C]``, of features ``[N, D]``."""
        return self.loss.scores(self.logits(input))
