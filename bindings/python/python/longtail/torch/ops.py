"""The native kernels as operators of PyTorch: ``torch.ops.longtail.loss`` and ``torch.ops.longtail.linear``.

``torch.compile`` keeps them as one node of its graph; in eager mode the losses call the kernels directly, which
is faster. Gradients come with the value, so both are exact for any scaling of the output.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import losses as _losses
from .._errors import DataError

__all__ = ["key_of", "linear", "loss"]


def key_of(core: _losses.Loss, counts: Any) -> str:
    """What a loss is made of, as a text that an operator can take."""
    boxes, images, total = counts
    listed = [None if c is None else np.asarray(c).tolist() for c in (boxes, images)]
    return json.dumps([core.name, core.num_classes, *listed, total, core.background, core.settings])


@functools.lru_cache(maxsize=64)
def _core(key: str) -> _losses.Loss:
    name, classes, boxes, images, total, background, settings = json.loads(key)
    return _losses.Loss(
        name,
        classes,
        class_counts=boxes,
        image_counts=images,
        total_images=total,
        background=background,
        **settings,
    )


def _step(
    core: _losses.Loss,
    target: Tensor,
    weight: Tensor | None,
    step: Tensor,
    normalizer: float | None,
    ignore_index: int,
    seed: int,
) -> Any:
    return core.step(
        target.numpy(),
        None if weight is None else weight.float().numpy(),
        ignore_index=ignore_index,
        normalizer=normalizer,
        step=int(step),
        seed=seed,
    )


@torch.library.custom_op("longtail::loss", mutates_args=(), device_types="cpu")
def loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    step: Tensor,
    key: str,
    normalizer: float | None,
    ignore_index: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Value ``[]`` and gradient ``[N, K]`` of a loss without running statistics, on the CPU.

    :param step: number of the step, ``[]``, for losses that draw.
    :param key: of :func:`key_of`.
    :param normalizer: what the sum over rows is divided by; None: rows that are not ignored.
    """
    core = _core(key)
    values = core.to_native(logits.detach().float().contiguous().numpy())
    given = _step(core, target, weight, step, normalizer, ignore_index, seed)
    try:
        value, gradient, _ = core._native.evaluate(values, given)
        found = torch.from_numpy(np.ascontiguousarray(core.from_native(gradient)))
    except DataError as error:
        # As in eager mode: mixed precision looks for nan.
        if error.field != "logits":
            raise
        value, found = float("nan"), torch.full(logits.shape, float("nan"))
    return torch.tensor(value, dtype=torch.float32), found.to(logits.dtype)


@loss.register_fake
def _(
    logits: Any, target: Any, weight: Any, step: Any, key: Any, normalizer: Any, ignore_index: Any, seed: Any
) -> Any:
    return logits.new_empty((), dtype=torch.float32), torch.empty_like(logits)


def _save_gradient(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _scale_gradient(ctx: Any, grad: Tensor, _: Any) -> Any:
    (gradient,) = ctx.saved_tensors
    return (grad.to(gradient.dtype) * gradient, *[None] * 7)


loss.register_autograd(_scale_gradient, setup_context=_save_gradient)


@torch.library.custom_op("longtail::linear", mutates_args=(), device_types="cpu")
def linear(
    input: Tensor,
    linear_weight: Tensor,
    bias: Tensor,
    target: Tensor,
    weight: Tensor | None,
    step: Tensor,
    key: str,
    normalizer: float | None,
    ignore_index: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value ``[]`` of a loss on a linear layer, with the gradients of input, weight and bias."""
    core = _core(key)
    order = torch.as_tensor(np.ascontiguousarray(core.order))
    given = _step(core, target, weight, step, normalizer, ignore_index, seed)
    layer = linear_weight.detach()[order].contiguous().numpy(), bias.detach()[order].contiguous().numpy()
    try:
        value, x, w, b, _ = core._native.evaluate_linear(
            input.detach().contiguous().numpy(), *layer, given, False
        )
        of_input, of_weight, of_bias = (torch.from_numpy(found) for found in (x, w, b))
    except DataError as error:
        if error.field != "logits":
            raise
        value = float("nan")
        of_input, of_weight, of_bias = (
            torch.full_like(t, float("nan")) for t in (input, linear_weight, bias)
        )
    back = torch.argsort(order)
    return torch.tensor(value, dtype=torch.float32), of_input, of_weight[back], of_bias[back]


@linear.register_fake
def _(
    input: Any,
    linear_weight: Any,
    bias: Any,
    target: Any,
    weight: Any,
    step: Any,
    key: Any,
    normalizer: Any,
    ignore_index: Any,
    seed: Any,
) -> Any:
    return (
        input.new_empty((), dtype=torch.float32),
        torch.empty_like(input),
        torch.empty_like(linear_weight),
        torch.empty_like(bias),
    )


def _save_gradients(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _scale_gradients(ctx: Any, grad: Tensor, *_: Any) -> Any:
    return (*[grad * saved for saved in ctx.saved_tensors], *[None] * 7)


linear.register_autograd(_scale_gradients, setup_context=_save_gradients)
