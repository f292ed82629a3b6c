"""What all losses share as modules: reduction, labels, native kernels, running statistics."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .. import losses as _losses
from .._errors import DataError
from .ops import key_of
from .ops import loss as loss_operator

Reduction = Literal["mean", "sum", "none"]


class _Native(torch.autograd.Function):
    """A loss whose gradient came with its value."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, compute: Callable[[Any], tuple[float, Any]], check_finite: bool
    ) -> Tensor:
        values = logits.detach().to(device="cpu", dtype=torch.float32).contiguous()
        try:
            value, gradient = compute(values.numpy())
        except DataError as error:
            # A scaler of mixed precision looks for inf and nan and skips the step.
            if check_finite or error.field != "logits":
                raise
            value, gradient = float("nan"), np.full(values.shape, np.nan, np.float32)
        ctx.save_for_backward(torch.from_numpy(gradient).to(device=logits.device, dtype=logits.dtype))
        return logits.new_tensor(
            value, dtype=torch.float32 if logits.dtype != torch.float64 else torch.float64
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad.to(gradient.dtype) * gradient, None, None


def sum_over_workers(values: Tensor) -> Tensor:
    """The sum over all processes of a data-parallel run; the values themselves without one."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        values = values.clone()
        distributed.all_reduce(values)
    return values


class LongTailLoss(nn.Module):
    """A classification loss for the classes of a data set; :func:`make_loss` and the classes below make one.

    :param num_classes: foreground classes C.
    :param class_counts: boxes of each class in the training set, ``[C]``, for losses that read them.
    :param image_counts: training images that hold each class, ``[C]``, and
    :param total_images: all training images, for losses that read frequencies.
    :param background: ``first``: column and label 0 (torchvision); ``last``: label C, column C (detectron2,
        mmdetection); ``none``: label C and no column (DETR, dense heads).
    :param reduction: ``mean`` over the rows that are not ignored, ``sum``, or ``none``: ``[N]``, and
        element-wise for element-wise targets.
    :param ignore_index: label of rows that take no part.
    :param loss_weight: factor of the loss.
    :param check_finite: raise on logits that are not finite; without, the loss is NaN, as mixed precision
        expects.
    :param seed: of random draws, where the method has some.
    :param method: the method's settings; ``longtail explain loss NAME`` lists them.

    Running statistics are buffers in float64: they are saved with the model, keep their precision under
    ``.half()``, are summed over processes, and change in training only.
    """

    name: str
    num_steps: Tensor
    positive: Tensor
    negative: Tensor
    counts: Tensor

    _statistics: tuple[str, ...] = ()

    def __init__(
        self,
        num_classes: int,
        *,
        class_counts: Sequence[int] | None = None,
        image_counts: Sequence[int] | None = None,
        total_images: int | None = None,
        background: _losses.Background = "first",
        reduction: Reduction = "mean",
        ignore_index: int = -100,
        loss_weight: float = 1.0,
        check_finite: bool = False,
        seed: int = 0,
        **method: Any,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is {reduction!r}; choose mean, sum or none")
        self.core = _losses.Loss(
            self.name,
            num_classes,
            class_counts=class_counts,
            image_counts=image_counts,
            total_images=total_images,
            background=background,
            **method,
        )
        self._counts = (class_counts, image_counts, total_images)
        self._key = key_of(self.core, self._counts)
        self.num_classes, self.background, self.reduction = num_classes, background, reduction
        self.ignore_index, self.loss_weight, self.check_finite, self.seed = (
            ignore_index,
            loss_weight,
            check_finite,
            seed,
        )
        self.settings = {**self._defaults(), **method}
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        for statistic in self._statistics:
            self.register_buffer(statistic, torch.zeros(num_classes, dtype=torch.float64))

    def _defaults(self) -> dict[str, Any]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        # The native loss is made anew from what it was made of.
        return {**self.__dict__, "core": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        boxes, images, total = self._counts
        names = {
            name: value
            for name, value in self.settings.items()
            if name not in self._defaults() or value != self._defaults()[name]
        }
        self.core = _losses.Loss(
            self.name,
            self.num_classes,
            class_counts=boxes,
            image_counts=images,
            total_images=total,
            background=self.background,
            **names,
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # Sums over a whole training do not fit half precision: they move, and keep theirs.
        kept = {name: self._buffers[name] for name in self._statistics}
        found = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in kept.items():
            after = self._buffers[name]
            assert before is not None and after is not None
            if after.dtype != before.dtype:
                self._buffers[name] = before.to(after.device)
        return found

    @property
    def num_outputs(self) -> int:
        """Width K of the head."""
        return self.core.num_outputs

    def scores(self, logits: Tensor) -> Tensor:
        """Scores in 0 to 1 of the classes, ``[N, C]``, of logits ``[N, K]``; what to use in place of softmax
        or sigmoid."""
        found = self.core.scores(logits.detach().float().cpu().numpy())
        return torch.from_numpy(found).to(device=logits.device, dtype=logits.dtype)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
    ) -> Tensor:
        """The loss.

        :param logits: ``[N, K]``; with element-wise targets ``[..., C]``.
        :param target: labels ``[N]``, or targets in 0 to 1 of the shape of the logits, for sigmoid losses
            without a background column.
        :param weight: of each row, ``[N]``, or of each element of element-wise targets.
        :param avg_factor: what ``mean`` divides by.
        :raises ValueError: if shapes do not fit or ``avg_factor`` comes with another reduction than ``mean``.
        :raises longtail.DataError: if a label is not a class (on the CPU), or, with ``check_finite``, a logit
            not finite.
        """
        if avg_factor is not None and self.reduction != "mean":
            raise ValueError("avg_factor is for reduction='mean'")
        if target.is_floating_point():
            return self._soft(logits, target, weight, avg_factor)
        if logits.ndim != 2 or logits.shape[1] != self.num_outputs:
            expected = (
                f"[N, {self.num_outputs}] for {self.num_classes} classes with background={self.background!r}"
            )
            raise ValueError(f"logits have shape {list(logits.shape)}; expected {expected}")
        for what, given in (("target", target), ("weight", weight)):
            if given is not None and given.shape != logits.shape[:1]:
                raise ValueError(
                    f"{what} has shape {list(given.shape)}; expected [{logits.shape[0]}], one a row"
                )
            if given is not None and given.device != logits.device:
                raise ValueError(
                    f"{what} is on {given.device} and the logits on {logits.device}; move one of both"
                )
        target = target.detach()
        if self._is_one_operator(logits):
            return self._operator(logits, target, weight, avg_factor)
        if self._runs_natively(logits):
            return self._native(logits, target, weight, avg_factor)
        return self._formula(logits, target, weight, avg_factor)

    def _has_formula(self) -> bool:
        return True

    def _runs_natively(self, logits: Tensor) -> bool:
        if not self._has_formula():
            if self.reduction == "none":
                raise NotImplementedError(
                    f"{self.name} draws at random for a whole batch; reduction='none' has no meaning for it"
                )
            return True
        on_cpu = logits.device.type == "cpu" and logits.dtype != torch.float64
        return on_cpu and self.reduction != "none" and not torch.compiler.is_compiling()

    def _is_one_operator(self, logits: Tensor) -> bool:
        """Whether a compiled graph calls the native kernel. Running statistics are traced as formulas."""
        fits = logits.device.type == "cpu" and logits.dtype != torch.float64 and self.reduction != "none"
        return torch.compiler.is_compiling() and fits and not self._statistics and not self.check_finite

    def _operator(self, logits: Tensor, target: Tensor, weight: Tensor | None, avg_factor: Any) -> Tensor:
        divided = self.reduction == "sum" or avg_factor is not None
        found = loss_operator(
            logits,
            target,
            None if weight is None else weight.detach(),
            self.num_steps.clone(),
            self._key,
            1.0 if divided else None,
            self.ignore_index,
            self.seed,
        )
        if self._updates():
            self.num_steps += 1
        value: Tensor = found[0] * self.loss_weight
        return value if avg_factor is None else value / avg_factor

    def _updates(self) -> bool:
        return self.training and torch.is_grad_enabled()

    def _native(self, logits: Tensor, target: Tensor, weight: Tensor | None, avg_factor: Any) -> Tensor:
        self.core.state = self._state()
        updates = self._updates()
        normalizer = 1.0 if self.reduction == "sum" else None if avg_factor is None else float(avg_factor)
        step = self.core.step(
            target.cpu().numpy(),
            None if weight is None else weight.detach().float().cpu().numpy(),
            ignore_index=self.ignore_index,
            normalizer=normalizer,
            step=int(self.num_steps),
            seed=self.seed,
            sum=(lambda values: sum_over_workers(torch.from_numpy(values)).numpy()) if updates else None,
        )

        def compute(values: Any) -> tuple[float, Any]:
            value, gradient, state = self.core._native.evaluate(self.core.to_native(values), step)
            if updates:
                self._set_state(state)
            gradient = self.core.from_native(gradient)
            if self.loss_weight != 1.0:
                gradient = gradient * np.float32(self.loss_weight)
            return self.loss_weight * value, gradient

        loss: Tensor = _Native.apply(logits, compute, self.check_finite)
        if updates:
            self.num_steps += 1
        return loss

    def _state(self) -> str:
        if not self._statistics:
            return '{"kind": "stateless"}'
        values = {name: getattr(self, name).tolist() for name in self._statistics}
        kind = "sample-counts" if "counts" in values else "gradient-sums"
        return json.dumps({"kind": kind, **values})

    def _set_state(self, state: str) -> None:
        values = json.loads(state)
        for name in self._statistics:
            buffer = getattr(self, name)
            buffer.copy_(torch.tensor(values[name], dtype=buffer.dtype))

    def _formula(self, logits: Tensor, target: Tensor, weight: Tensor | None, avg_factor: Any) -> Tensor:
        z = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
        if self.background == "last":
            z = z[:, torch.as_tensor(self.core.order, device=z.device)]
        if logits.device.type == "cpu" and not torch.compiler.is_compiling():
            self.core.native_labels(target.numpy(), self.ignore_index)
            if self.check_finite and not bool(torch.isfinite(z).all()):
                raise DataError("logits are not finite", field="logits")
        ignored = target == self.ignore_index
        labels = torch.where(ignored, 0, target)
        if self.background != "first":
            labels = torch.where(labels == self.num_classes, 0, labels + 1)
            labels = torch.where(ignored, 0, labels)
        rows = self._rows(z, labels, ignored)
        weights = (~ignored).to(rows.dtype)
        if weight is not None:
            weights = weights * weight.detach().to(rows.dtype)
        # A row without weight adds nothing, whatever its logits are.
        rows = torch.where(weights == 0, torch.zeros_like(rows), weights * rows) * self.loss_weight
        if self._updates():
            self.num_steps += 1
        if self.reduction == "none":
            return rows
        if self.reduction == "sum":
            return rows.sum()
        count = (~ignored).sum().clamp(min=1).to(rows.dtype) if avg_factor is None else avg_factor
        return rows.sum() / count

    def _rows(self, z: Tensor, labels: Tensor, ignored: Tensor) -> Tensor:
        """Loss of each row, ``[N]``; also brings running statistics up to date."""
        raise NotImplementedError

    def _soft(self, logits: Tensor, target: Tensor, weight: Tensor | None, avg_factor: Any) -> Tensor:
        raise ValueError(self._no_soft(target))

    def _no_soft(self, target: Tensor) -> str:
        """What is wrong with element-wise targets here."""
        return (
            f"targets are floats of shape {list(target.shape)}; element-wise targets are for ACSL, EQL and "
            "sigmoid BCE with background='none', and labels are whole numbers"
        )

    def extra_repr(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        return f"{self.num_classes}, background={self.background!r}, reduction={self.reduction!r}{settings}"
