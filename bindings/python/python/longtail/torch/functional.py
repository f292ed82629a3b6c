"""Losses as functions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import losses as _losses
from . import formulas, modules, ops
from .base import Reduction

__all__ = ["linear_acsl", "negative_weights"]


def negative_weights(
    logits: Tensor,
    is_positive: Tensor,
    *,
    loss: modules._SigmoidLoss | None = None,
    threshold: float = 0.7,
    background_rule: str | dict[str, Any] = "adaptive",
) -> Tensor:
    """Weights in 0 to 1 to multiply into a framework's own binary cross-entropy, of the shape of the logits
    ``[..., C]``.

    1 where ``is_positive``; elsewhere how much the class is pushed down. A row without positives is
    background. The weights are constants for differentiation.

    :param loss: ACSL, EQL or sigmoid BCE with their settings and running statistics; without, ACSL with
    :param threshold: ξ, and
    :param background_rule: ``adaptive``, ``dense`` or ``{"threshold": x}``.

    >>> logits = torch.tensor([[2.0, 1.0, -1.0]])
    >>> negative_weights(logits, torch.tensor([[True, False, False]])).tolist()
    [[1.0, 1.0, 0.0]]
    """
    if is_positive.shape != logits.shape:
        raise ValueError(
            f"logits have shape {list(logits.shape)} and is_positive {list(is_positive.shape)}; they must agree"
        )
    is_positive = is_positive.bool()
    if loss is not None:
        if loss.background != "none":
            raise ValueError("the logits have a column a class; make the loss with background='none'")
        return loss.negative_weights(logits, is_positive)
    if background_rule == "balanced" or (isinstance(background_rule, dict) and "ramp" in background_rule):
        raise ValueError(
            f"the rule {background_rule!r} keeps running statistics; make an ACSLLoss and give it as loss"
        )
    with torch.no_grad():
        z = logits.detach().reshape(-1, logits.shape[-1])
        positive = is_positive.reshape(z.shape)
        weights = formulas.acsl_negatives(z, ~positive.any(dim=1), threshold, background_rule, 0, None)
        return torch.where(positive, torch.ones_like(weights), weights).reshape(logits.shape)


def linear_acsl(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
    threshold: float = 0.7,
    background: _losses.Background = "none",
    background_rule: str | dict[str, Any] = "adaptive",
    chunk: int = 1024,
    check_finite: bool = False,
) -> Tensor:
    """ACSL of a linear layer's outputs that are never stored: argument names are those of
    ``F.linear_cross_entropy``.

    :param input: ``[N, D]``.
    :param linear_weight: ``[K, D]``, K = C, or C + 1 with a background column.
    :param target: labels ``[N]``; see :class:`longtail.torch.LongTailLoss` for ``background``.
    :param linear_bias: ``[K]``.
    :param weight: of each row, ``[N]``.
    :param chunk: rows at a time on other devices than the CPU, in other precisions than float32, and for
        ``reduction="none"``.

    On the CPU in float32 the native kernel makes one matrix product and keeps the few gradients that are not
    0; elsewhere chunks of rows are computed again in the backward pass. Both give the same numbers.
    """
    classes = linear_weight.shape[0] - (background != "none")
    in_graph = torch.compiler.is_compiling() and not check_finite
    if in_graph and _runs_natively(reduction, input) and background_rule != "balanced":
        # A module cannot be made inside of a graph.
        key = _acsl_key(classes, threshold, background, background_rule)
        step = torch.zeros((), dtype=torch.int64)
        options = (1.0 if reduction == "sum" else None, ignore_index, 0)
        return _in_graph(input, linear_weight, linear_bias, target, weight, step, key, *options)
    loss = modules.ACSLLoss(
        classes,
        threshold=threshold,
        background=background,
        background_rule=background_rule,
        reduction=reduction,
        ignore_index=ignore_index,
        check_finite=check_finite,
    )
    return linear_loss(
        loss, input, linear_weight, target, linear_bias=linear_bias, weight=weight, chunk=chunk
    )


def _runs_natively(reduction: str, input: Tensor) -> bool:
    return reduction != "none" and input.device.type == "cpu" and input.dtype == torch.float32


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _acsl_key(classes: int, threshold: float, background: str, rule: str | dict[str, Any]) -> str:
    settings: dict[str, Any] = {"threshold": threshold, "background_rule": rule}
    core = _losses.Loss("acsl", classes, background=background, **settings)  # type: ignore[arg-type]
    return ops.key_of(core, (None, None, None))


def _in_graph(
    input: Tensor,
    linear_weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    weight: Tensor | None,
    step: Tensor,
    key: str,
    normalizer: float | None,
    ignore_index: int,
    seed: int,
) -> Tensor:
    """Layer and loss as one node of a compiled graph."""
    biases = linear_weight.new_zeros(linear_weight.shape[0]) if bias is None else bias
    weights = None if weight is None else weight.detach()
    found: tuple[Tensor, ...] = ops.linear(
        input, linear_weight, biases, target.detach(), weights, step, key, normalizer, ignore_index, seed
    )
    return found[0]


def linear_loss(
    loss: modules._SigmoidLoss,
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    chunk: int = 1024,
) -> Tensor:
    """As :func:`linear_acsl`, of a loss that was made before."""
    if input.ndim != 2 or linear_weight.ndim != 2 or input.shape[1] != linear_weight.shape[1]:
        raise ValueError(
            f"input has shape {list(input.shape)} and linear_weight {list(linear_weight.shape)}; expected [N, D] and [K, D]"
        )
    if linear_weight.shape[0] != loss.num_outputs:
        raise ValueError(
            f"linear_weight has {linear_weight.shape[0]} rows; the loss has {loss.num_outputs} outputs"
        )
    if target.shape != input.shape[:1]:
        raise ValueError(f"target has shape {list(target.shape)}; expected [{input.shape[0]}], one a row")
    native = _runs_natively(loss.reduction, input)
    if native and torch.compiler.is_compiling() and not loss._statistics and not loss.check_finite:
        options = (1.0 if loss.reduction == "sum" else None, loss.ignore_index, loss.seed)
        value = _in_graph(
            input, linear_weight, linear_bias, target, weight, loss.num_steps.clone(), loss._key, *options
        )
        return value * loss.loss_weight
    if native and not torch.compiler.is_compiling():
        return _Fused.apply(loss, input, linear_weight, linear_bias, target, weight)  # type: ignore[no-any-return]
    from torch.utils.checkpoint import checkpoint

    def rows(x: Tensor, w: Tensor, b: Tensor | None, labels: Tensor) -> Tensor:
        found: Tensor = row_loss(torch.nn.functional.linear(x, w, b), labels)
        return found

    # The rows come unreduced; running statistics are not for chunks.
    row_loss = _unreduced(loss)
    parts = [
        checkpoint(rows, x, linear_weight, linear_bias, labels, use_reentrant=False)
        for x, labels in zip(torch.split(input, chunk), torch.split(target, chunk), strict=True)
    ]
    losses = torch.cat(parts) if parts else input.sum(dim=1)
    if weight is not None:
        losses = losses * weight.detach()
    if loss.reduction == "none":
        return losses
    total = losses.sum()
    return total if loss.reduction == "sum" else total / (target != loss.ignore_index).sum().clamp(min=1)


def _unreduced(loss: Any) -> Any:
    """The same loss, row by row, with no statistics of its own."""
    if loss._statistics:
        raise NotImplementedError(
            "a rule with running statistics needs the whole batch at once; choose background_rule='adaptive'"
        )
    found = modules.ACSLLoss(
        loss.num_classes,
        threshold=loss.threshold,
        background=loss.background,
        background_rule=loss.background_rule,
        reduction="none",
        ignore_index=loss.ignore_index,
        loss_weight=loss.loss_weight,
        check_finite=loss.check_finite,
    )
    return found.to(device=loss.num_steps.device)


class _Fused(torch.autograd.Function):
    """Layer and loss in one pass, with all gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        loss: Any,
        input: Tensor,
        linear_weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        weight: Tensor | None,
    ) -> Tensor:
        core = loss.core
        core.state = loss._state()
        normalizer = 1.0 if loss.reduction == "sum" else None
        step = core.step(
            target.detach().numpy(),
            None if weight is None else weight.detach().float().numpy(),
            ignore_index=loss.ignore_index,
            normalizer=normalizer,
            step=int(loss.num_steps),
            seed=loss.seed,
        )
        order = torch.as_tensor(core.order)
        weights = linear_weight.detach()[order].contiguous()
        biases = torch.zeros(len(order)) if bias is None else bias.detach().float()[order].contiguous()
        from .._errors import DataError

        try:
            value, of_input, of_weight, of_bias, state = core._native.evaluate_linear(
                input.detach().contiguous().numpy(),
                weights.numpy(),
                biases.numpy(),
                step,
                not ctx.needs_input_grad[1],
            )
        except DataError as error:
            if loss.check_finite or error.field != "logits":
                raise
            value, state = float("nan"), core.state
            of_input, of_weight, of_bias = (
                torch.full_like(t, torch.nan).numpy() for t in (input, weights, biases)
            )
        if loss._updates():
            loss._set_state(state)
            loss.num_steps += 1
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        ctx.save_for_backward(
            None if of_input is None else torch.from_numpy(of_input),
            torch.from_numpy(of_weight)[back],
            None if bias is None else torch.from_numpy(of_bias)[back],
        )
        ctx.factor = loss.loss_weight
        return torch.tensor(loss.loss_weight * value, dtype=torch.float32)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad: Tensor
    ) -> tuple[None, Tensor | None, Tensor | None, Tensor | None, None, None]:
        scale = grad * ctx.factor
        found = [None if saved is None else scale * saved for saved in ctx.saved_tensors]
        return None, found[0], found[1], found[2], None, None
