"""The losses as modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import formulas
from .base import LongTailLoss, sum_over_workers


class _SigmoidLoss(LongTailLoss):
    """A loss that is binary cross-entropy with weights on the negatives."""

    def negative_weights(self, logits: Tensor, is_positive: Tensor) -> Tensor:
        """Weights in 0 to 1 of the negatives, of the shape of the logits ``[..., C]``; 1 where
        ``is_positive``.

        A row without positives is background.
        """
        with torch.no_grad():
            shape = logits.shape
            z = logits.detach().reshape(-1, shape[-1])
            positive = is_positive.reshape(-1, shape[-1])
            weights = self._as_negative(z, ~positive.any(dim=1))
            return torch.where(positive, torch.ones_like(weights), weights).reshape(shape)

    def _soft(self, logits: Tensor, target: Tensor, weight: Tensor | None, avg_factor: Any) -> Tensor:
        if self.background != "none":
            raise ValueError(self._no_soft(target))
        if target.shape != logits.shape or logits.shape[-1] != self.num_classes:
            raise ValueError(
                f"logits {list(logits.shape)} and targets {list(target.shape)} must both be [..., {self.num_classes}]"
            )
        target = target.detach()
        z = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
        is_positive = target > 0
        weights = self.negative_weights(z, is_positive)
        loss = F.binary_cross_entropy_with_logits(z, target.to(z.dtype), reduction="none")
        loss = torch.where(is_positive, loss, weights * loss) * self.loss_weight
        if weight is not None:
            loss = loss * weight.detach()
        if self.reduction == "none":
            return loss
        if self.reduction == "sum":
            return loss.sum()
        count = max(loss.numel() // self.num_classes, 1) if avg_factor is None else avg_factor
        return loss.sum() / count

    def _as_negative(self, z: Tensor, background_rows: Tensor) -> Tensor:
        """Weights of negatives, ``[N, K]``."""
        raise NotImplementedError

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        own = formulas.own_columns(labels, z.shape[1], background=self.background != "none")
        with torch.no_grad():
            weights = self._as_negative(z, labels == 0)
        return formulas.weighted_bce(z, own, weights).sum(dim=1)


class SigmoidBCELoss(_SigmoidLoss):
    """Binary cross-entropy: every class that is not a row's is pushed down."""

    name = "sigmoid-bce"

    def _as_negative(self, z: Tensor, background_rows: Tensor) -> Tensor:
        return torch.ones_like(z)


class ACSLLoss(_SigmoidLoss):
    """Adaptive class suppression (Wang et al., CVPR 2021): a class is pushed down only where it scores at
    least ``threshold``.

    :param threshold: ξ in 0 to 1, 0.7 in the paper.
    :param background_rule: what background rows suppress: ``balanced`` (default), ``adaptive``, ``dense``,
        ``{"threshold": x}``, ``{"ramp": steps}``, ``frequency-sampled`` (the authors' code; reads
        ``image_counts``) or ``score-sampled``.

    >>> loss = ACSLLoss(3, background="none", background_rule="adaptive")
    >>> logits = torch.tensor([[2.0, 1.0, -1.0]], requires_grad=True)
    >>> loss(logits, torch.tensor([0])).backward()
    >>> logits.grad.sign().tolist()  # class 1 scores 0.73 and is pushed down, class 2 is left alone
    [[-1.0, 1.0, 0.0]]
    """

    name = "acsl"
    _statistics: tuple[str, ...] = ("positive", "negative")

    def __init__(
        self,
        num_classes: int,
        *,
        threshold: float = 0.7,
        background_rule: str | dict[str, Any] = "balanced",
        **settings: Any,
    ) -> None:
        if background_rule != "balanced":
            self._statistics = ()
        super().__init__(num_classes, threshold=threshold, background_rule=background_rule, **settings)
        self.threshold, self.background_rule = threshold, background_rule

    def _has_formula(self) -> bool:
        return self.background_rule not in ("frequency-sampled", "score-sampled")

    def _as_negative(self, z: Tensor, background_rows: Tensor) -> Tensor:
        weights = None
        if self.background_rule == "balanced":
            ratio = formulas.ratios(self.positive, self.negative, 1.0).clamp(max=1.0)
            extra = torch.ones(z.shape[1] - self.num_classes, dtype=ratio.dtype, device=ratio.device)
            weights = torch.cat([extra, ratio]).to(z.device)
        return formulas.acsl_negatives(
            z, background_rows, self.threshold, self.background_rule, int(self.num_steps), weights
        )

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        rows = super()._rows(z, labels, ignored)
        if self.background_rule == "balanced" and self._updates():
            with torch.no_grad():
                p = torch.sigmoid(z[:, z.shape[1] - self.num_classes :].detach().double())
                own = formulas.own_columns(labels, self.num_classes, background=False) & ~ignored[:, None]
                background = ((labels == 0) & ~ignored)[:, None]
                sums = torch.stack(
                    [torch.where(own, 1.0 - p, 0.0).sum(0), torch.where(background, p, 0.0).sum(0)]
                )
                sums = sum_over_workers(sums)
                self.positive += sums[0]
                self.negative += sums[1]
        return rows


class EQLLoss(_SigmoidLoss):
    """Equalization loss (Tan et al., CVPR 2020): foreground rows do not push down classes below
    ``frequency_threshold``.

    Reads ``image_counts`` and ``total_images``.
    """

    name = "eql"

    protected: Tensor

    def __init__(self, num_classes: int, *, frequency_threshold: float = 1.1e-3, **settings: Any) -> None:
        super().__init__(num_classes, frequency_threshold=frequency_threshold, **settings)
        frequency = torch.as_tensor(np.asarray(self._counts[1], dtype=np.float64)) / float(
            self._counts[2] or 1
        )
        self.register_buffer("protected", frequency < frequency_threshold, persistent=False)

    def _as_negative(self, z: Tensor, background_rows: Tensor) -> Tensor:
        kept = torch.ones(z.shape[1], dtype=z.dtype, device=z.device)
        kept[z.shape[1] - self.num_classes :] = (~self.protected).to(z.dtype)
        return torch.where(background_rows[:, None], torch.ones_like(z), kept.expand_as(z))


class EQLv2Loss(LongTailLoss):
    """Equalization loss v2 (Tan et al., CVPR 2021): classes weigh by the running ratio of their gradients.
    Reads no counts.

    :param gamma, mu: steepness and midpoint of the map from ratio to weight.
    :param alpha: how much positives of the tail are lifted.
    """

    name = "eql-v2"
    _statistics = ("positive", "negative")

    def _defaults(self) -> dict[str, Any]:
        return {"gamma": 12.0, "mu": 0.8, "alpha": 4.0}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        gamma, mu, alpha = (self.settings[name] for name in ("gamma", "mu", "alpha"))
        own = formulas.own_columns(labels, z.shape[1], background=True)
        with torch.no_grad():
            ratio = formulas.ratios(self.positive, self.negative, formulas.INITIAL_RATIO)
            weight = torch.sigmoid(gamma * (ratio - mu))
            one = torch.ones(1, dtype=weight.dtype, device=weight.device)
            as_negative = torch.cat([one, weight]).to(z.dtype)
            as_positive = torch.cat([one, 1.0 + alpha * (1.0 - weight)]).to(z.dtype)
        rows = formulas.weighted_bce(z, own, as_negative.expand_as(z), as_positive.expand_as(z)).sum(dim=1)
        if self._updates():
            _add_gradients(self, z[:, 1:], own[:, 1:], ignored, as_positive[1:], as_negative[1:])
        return rows


def _add_gradients(
    loss: LongTailLoss,
    z: Tensor,
    own: Tensor,
    ignored: Tensor,
    as_positive: Tensor | None,
    as_negative: Tensor | None,
) -> None:
    """Adds a step's sums of positive and negative gradients over all workers."""
    with torch.no_grad():
        p = torch.sigmoid(z.detach().double())
        counted = ~ignored[:, None]
        positive = torch.where(own & counted, 1.0 - p, 0.0)
        negative = torch.where(~own & counted, p, 0.0)
        if as_positive is not None and as_negative is not None:
            positive, negative = positive * as_positive.double(), negative * as_negative.double()
        sums = sum_over_workers(torch.stack([positive.sum(0), negative.sum(0)]))
        loss.positive += sums[0]
        loss.negative += sums[1]


class FocalLoss(LongTailLoss):
    """Focal loss (Lin et al., ICCV 2017), with ``gamma=2`` and ``alpha=0.25``."""

    name = "focal"

    def _defaults(self) -> dict[str, Any]:
        return {"gamma": 2.0, "alpha": 0.25}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        own = formulas.own_columns(labels, z.shape[1], background=self.background != "none")
        gamma = torch.as_tensor(float(self.settings["gamma"]), dtype=z.dtype, device=z.device)
        return formulas.focal(z, own, gamma, self.settings["alpha"]).sum(dim=1)


class EqualizedFocalLoss(LongTailLoss):
    """Equalized focal loss (Li et al., CVPR 2022): the tail is focused more, by ``scale``. Reads no
    counts."""

    name = "equalized-focal"
    _statistics = ("positive", "negative")

    def _defaults(self) -> dict[str, Any]:
        return {"gamma": 2.0, "scale": 8.0, "alpha": 0.25}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        gamma, scale, alpha = (self.settings[name] for name in ("gamma", "scale", "alpha"))
        own = formulas.own_columns(labels, z.shape[1], background=self.background != "none")
        extra = z.shape[1] - self.num_classes
        with torch.no_grad():
            ratio = formulas.ratios(self.positive, self.negative, 1.0).clamp(0.0, 1.0)
            gammas = torch.full((z.shape[1],), float(gamma), dtype=torch.float64, device=z.device)
            gammas[extra:] = gamma + scale * (1.0 - ratio)
            gammas = gammas.to(z.dtype)
        rows: Tensor = (gammas / gamma * formulas.focal(z, own, gammas, alpha)).sum(dim=1)
        if self._updates():
            _add_gradients(self, z[:, extra:], own[:, extra:], ignored, None, None)
        return rows


class SeesawLoss(LongTailLoss):
    """Seesaw loss (Wang et al., CVPR 2021); C + 2 outputs. Reads no counts.

    With ``background="last"`` the columns are those of mmdetection: classes, foreground, background.
    """

    name = "seesaw"
    _statistics = ("counts",)

    def _defaults(self) -> dict[str, Any]:
        return {"p": 0.8, "q": 2.0, "epsilon": 1e-2}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        updates = self._updates()
        with torch.no_grad():
            own = formulas.own_columns(labels, self.num_classes, background=False) & ~ignored[:, None]
            seen = own.sum(0).double()
            counts = self.counts + (sum_over_workers(seen) if updates else seen)
            if updates:
                self.counts.copy_(counts)
        p, q, epsilon = (self.settings[name] for name in ("p", "q", "epsilon"))
        return formulas.seesaw(z, labels, counts, p, q, epsilon)


class SoftmaxLoss(LongTailLoss):
    """Softmax cross-entropy: the baseline."""

    name = "softmax-cross-entropy"

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        return F.cross_entropy(z, labels, reduction="none")


def _boxes(loss: LongTailLoss) -> np.ndarray[Any, Any]:
    return np.maximum(np.asarray(loss._counts[0], dtype=np.float64), 1.0)


class BalancedSoftmaxLoss(LongTailLoss):
    """Balanced softmax (Ren et al., NeurIPS 2020), which is logit adjustment in training, with ``tau=1``.
    Reads ``class_counts``."""

    name = "balanced-softmax"

    def _defaults(self) -> dict[str, Any]:
        return {"tau": 1.0}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        counts = _boxes(self)
        added = np.concatenate([[0.0], self.settings["tau"] * np.log(counts / counts.max())])
        return F.cross_entropy(
            z + torch.as_tensor(added, dtype=z.dtype, device=z.device), labels, reduction="none"
        )


def _label_weights(loss: LongTailLoss, beta: float, like: Tensor) -> Tensor:
    raw = (1.0 - beta) / (1.0 - beta ** _boxes(loss))
    weights = np.concatenate([[1.0], raw / raw.mean()])
    return torch.as_tensor(weights, dtype=like.dtype, device=like.device)


class ClassBalancedLoss(LongTailLoss):
    """Class-balanced softmax (Cui et al., CVPR 2019), with ``beta=0.999``. Reads ``class_counts``."""

    name = "class-balanced"

    def _defaults(self) -> dict[str, Any]:
        return {"beta": 0.999}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        weights = _label_weights(self, self.settings["beta"], z)
        rows: Tensor = weights[labels] * F.cross_entropy(z, labels, reduction="none")
        return rows


class LDAMLoss(LongTailLoss):
    """Label-distribution-aware margins (Cao et al., NeurIPS 2019). Reads ``class_counts``.

    :param max_margin: of the smallest class.
    :param scale: factor of all logits.
    :param deferred_from: step from which rows weigh as in :class:`ClassBalancedLoss`, by ``beta``.
    """

    name = "ldam"

    def _defaults(self) -> dict[str, Any]:
        return {"max_margin": 0.5, "scale": 30.0, "deferred_from": None, "beta": 0.9999}

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        s = self.settings
        raw = _boxes(self) ** -0.25
        margins = np.concatenate([[0.0], s["max_margin"] * raw / raw.max()])
        of_label = torch.as_tensor(margins, dtype=z.dtype, device=z.device)[labels]
        scaled = s["scale"] * z
        scaled = scaled.scatter_add(1, labels[:, None], -(s["scale"] * of_label)[:, None])
        rows = F.cross_entropy(scaled, labels, reduction="none")
        if s["deferred_from"] is not None and int(self.num_steps) >= s["deferred_from"]:
            rows = _label_weights(self, s["beta"], z)[labels] * rows
        return rows


class _DrawnLoss(LongTailLoss):
    """A loss that draws at random for a whole batch: always native; tensors of other devices come to the CPU
    and back."""

    def _has_formula(self) -> bool:
        return False


class BAGSLoss(_DrawnLoss):
    """Balanced group softmax (Li et al., CVPR 2020); 2 + groups + C outputs. Reads ``class_counts``.

    :param cuts: division points in boxes, ``[10, 100, 1000]``.
    :param others_ratio: rows of others that a group sees for each of its own, 8.
    """

    name = "bags"


class DropLoss(_DrawnLoss):
    """DropLoss (Hsieh et al., AAAI 2021). Reads ``image_counts`` and ``total_images``."""

    name = "drop-loss"


class FederatedLoss(_DrawnLoss):
    """Federated loss (Zhou et al., 2021): binary cross-entropy over the batch's classes and others, drawn.
    Reads ``image_counts``."""

    name = "federated"


_CLASSES: dict[str, type[LongTailLoss]] = {
    cls.name: cls
    for cls in (
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
    )
}


def make_loss(name: str, num_classes: int, **settings: Any) -> LongTailLoss:
    """A loss by its name in a recipe, such as ``acsl``, ``eql-v2`` or ``seesaw``.

    :param settings: as its class takes them.
    :raises ValueError: if there is no such loss; the message lists those that there are.

    >>> make_loss("seesaw", 80).num_outputs
    82
    """
    found = _CLASSES.get(name.replace("_", "-"))
    if found is None:
        raise ValueError(f"{name!r} is not a loss; choose one of {', '.join(_CLASSES)}")
    return found(num_classes, **settings)
