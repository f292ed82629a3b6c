"""Losses, samplers and a metric for PyTorch.

===============================  =====================================================================
:func:`make_loss`                a loss by its name in a recipe
:class:`ACSLLoss`, …             the losses as modules
:mod:`.functional`               :func:`.negative_weights` for any framework's own BCE, :func:`.linear_acsl`
:class:`LinearACSLLoss`          classifier layer and loss in one
:class:`RepeatFactorSampler`     images drawn by repeat factors
:class:`Resampled`               the same as a data set, for trainers that replace samplers
:func:`repair`                   a trained detector's classifier trained again
:class:`MeanAveragePrecision`    torchmetrics' arguments and keys, all classes in one pass
===============================  =====================================================================
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError("longtail.torch needs PyTorch: pip install 'longtail[torch]'") from None

from . import functional
from ._repair import RepairResult, repair
from .base import LongTailLoss
from .linear import LinearACSLLoss
from .metric import MeanAveragePrecision
from .modules import (
    ACSLLoss,
    BAGSLoss,
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    DropLoss,
    EQLLoss,
    EQLv2Loss,
    EqualizedFocalLoss,
    FederatedLoss,
    FocalLoss,
    LDAMLoss,
    SeesawLoss,
    SigmoidBCELoss,
    SoftmaxLoss,
    make_loss,
)
from .sampling import RepeatFactorSampler, Resampled

__all__ = [
    "ACSLLoss",
    "BAGSLoss",
    "BalancedSoftmaxLoss",
    "ClassBalancedLoss",
    "DropLoss",
    "EQLLoss",
    "EQLv2Loss",
    "EqualizedFocalLoss",
    "FederatedLoss",
    "FocalLoss",
    "LDAMLoss",
    "LinearACSLLoss",
    "LongTailLoss",
    "MeanAveragePrecision",
    "RepairResult",
    "RepeatFactorSampler",
    "Resampled",
    "SeesawLoss",
    "SigmoidBCELoss",
    "SoftmaxLoss",
    "functional",
    "make_loss",
    "repair",
]
