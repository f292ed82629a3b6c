"""The losses as PyTorch operations: on any device, in any precision, row by row, so that every reduction has
its exact gradient.

Columns are in native order: background and other extra columns first, then the classes. Labels are 0 for
background, else class + 1. The native module computes the same on the CPU; tests hold both together.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

INITIAL_RATIO = 100.0
"""Gradient ratio of EQL v2 before the first gradient: balanced."""
TINY = 1e-10


def logit(p: float) -> float:
    """``ln(p / (1 - p))``; infinite at 0 and 1."""
    if p <= 0.0:
        return -math.inf
    return math.inf if p >= 1.0 else math.log(p / (1.0 - p))


def own_columns(labels: Tensor, outputs: int, *, background: bool) -> Tensor:
    """Which column is a row's own, ``[N, K]``; none on background without a background column."""
    columns = torch.arange(outputs, device=labels.device)
    own = labels if background else labels - 1
    return own[:, None] == columns[None, :]


def ratios(positive: Tensor, negative: Tensor, initial: float) -> Tensor:
    """Running ratios of positive to negative gradients, ``[C]``."""
    begun = (positive != 0) | (negative != 0)
    return torch.where(begun, positive / (negative + TINY), torch.full_like(positive, initial))


def acsl_negatives(
    z: Tensor, background_rows: Tensor, threshold: float, rule: Any, step: int, class_weights: Tensor | None
) -> Tensor:
    """Weights of negatives, ``[N, K]``: 1 where a class scores at least ξ; on background rows by the rule.

    :param background_rows: ``[N]``.
    :param class_weights: of the rule ``balanced``, ``[K]``.
    """
    kept = (z >= logit(threshold)).to(z.dtype)
    if rule == "adaptive":
        return kept
    if rule == "dense":
        on_background = torch.ones_like(z)
    elif rule == "balanced":
        assert class_weights is not None
        on_background = class_weights.to(z.dtype).expand_as(z)
    elif isinstance(rule, dict) and "threshold" in rule:
        on_background = (z >= logit(rule["threshold"])).to(z.dtype)
    elif isinstance(rule, dict) and "ramp" in rule:
        on_background = (z >= logit(threshold * min(step / rule["ramp"], 1.0))).to(z.dtype)
    else:
        raise NotImplementedError(
            f"the background rule {rule!r} draws at random and runs natively on hard labels only"
        )
    return torch.where(background_rows[:, None], on_background, kept)


def weighted_bce(z: Tensor, own: Tensor, as_negative: Tensor, as_positive: Tensor | None = None) -> Tensor:
    """Binary cross-entropy with constant weights, ``[N, K]``."""
    positive = F.softplus(-z)
    if as_positive is not None:
        positive = positive * as_positive
    return torch.where(own, positive, as_negative * F.softplus(z))


def focal(z: Tensor, own: Tensor, gamma: Tensor, alpha: float) -> Tensor:
    """Focal loss with a focusing for each column, ``[N, K]``."""
    sign = torch.where(own, -1.0, 1.0).to(z.dtype)
    balance = torch.where(own, alpha, 1.0 - alpha).to(z.dtype)
    signed = sign * z
    return balance * torch.sigmoid(signed) ** gamma * F.softplus(signed)


def seesaw(z: Tensor, labels: Tensor, counts: Tensor, p: float, q: float, epsilon: float) -> Tensor:
    """Seesaw loss, ``[N]``; columns background, foreground, classes."""
    foreground = labels > 0
    loss = F.cross_entropy(z[:, :2], foreground.long(), reduction="none")
    classes = z[:, 2:]
    own = (labels - 1).clamp(min=0)
    with torch.no_grad():
        logarithms = counts.clamp(min=1.0).log().to(z.dtype)
        log_p = F.log_softmax(classes, dim=1)
        log_own = log_p.gather(1, own[:, None]).clamp(min=math.log(epsilon))
        mitigation = p * (logarithms[None, :] - logarithms[own][:, None]).clamp(max=0.0)
        compensation = q * (log_p - log_own).clamp(min=0.0)
        added = (mitigation + compensation).scatter(1, own[:, None], 0.0)
    of_class = F.cross_entropy(classes + added, own, reduction="none")
    return loss + torch.where(foreground, of_class, torch.zeros_like(of_class))
