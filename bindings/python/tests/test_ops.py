"""The operators: what PyTorch asks of them, and compiled graphs that use them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
import longtail.torch as lt
from longtail.losses import LOSSES
from longtail.torch import functional, ops

C, D = 6, 5
COUNTS: dict[str, Any] = {
    "class_counts": [5, 20, 80, 300, 900, 5000],
    "image_counts": [4, 15, 60, 200, 800, 4000],
    "total_images": 5000,
}
SETTINGS: dict[str, dict[str, Any]] = {"eql": {"frequency_threshold": 0.05}, "federated": {"classes": 3}}

pytestmark = pytest.mark.filterwarnings("ignore")


def make(name: str, **settings: Any) -> Any:
    return lt.make_loss(name, C, **{**COUNTS, **SETTINGS.get(name, {}), **settings})


def batch(loss: Any, rows: int = 24) -> tuple[Any, Any, Any]:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, loss.num_outputs, generator=draw)
    target = torch.randint(0, C + 1, (rows,), generator=draw)
    target[::5] = loss.ignore_index
    return logits.requires_grad_(), target, torch.rand(rows, generator=draw)


@pytest.fixture(autouse=True)
def fresh() -> Any:
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("normalizer", [None, 1.0])
def test_the_loss_is_a_proper_operator(weighed: bool, normalizer: float | None) -> None:
    loss = make("acsl", background_rule="adaptive")
    logits, target, weight = batch(loss)
    given = (logits, target, weight if weighed else None, loss.num_steps, loss._key, normalizer, -100, 0)
    torch.library.opcheck(ops.loss, given)
    value, gradient = ops.loss(*given)
    (2 * value).backward()
    torch.testing.assert_close(logits.grad, 2 * gradient)


def test_the_linear_loss_is_a_proper_operator() -> None:
    loss = make("acsl", background="none", background_rule="adaptive")
    _, target, weight = batch(loss)
    x, w, b = (torch.randn(s, requires_grad=True) for s in ((24, D), (C, D), (C,)))
    torch.library.opcheck(ops.linear, (x, w, b, target, weight, loss.num_steps, loss._key, None, -100, 0))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("training", [True, False])
def test_every_loss_compiles_into_one_graph(name: str, reduction: str, training: bool) -> None:
    """Also those that draw, and those with running statistics: values, gradients and buffers of eager mode."""
    eager, traced = (make(name, reduction=reduction).train(training) for _ in range(2))
    compiled = torch.compile(traced, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        logits, target, weight = batch(eager)
        other = logits.detach().clone().requires_grad_()
        a, b = eager(logits, target, weight), compiled(other, target, weight)
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)
        a.backward()
        b.backward()
        torch.testing.assert_close(other.grad, logits.grad, rtol=1e-4, atol=2e-6)
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(traced.state_dict()[key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_the_average_factor_is_taken_by_the_graph() -> None:
    loss = make("softmax-cross-entropy")
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    logits, target, _ = batch(loss)
    for factor in (7.0, torch.tensor(7.0)):
        torch.testing.assert_close(
            compiled(logits, target, avg_factor=factor), loss(logits, target, avg_factor=factor)
        )


@pytest.mark.parametrize("bias", [True, False])
def test_linear_acsl_compiles_into_one_graph(bias: bool) -> None:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(24, D, generator=draw, requires_grad=True)
    w = torch.randn(C, D, generator=draw, requires_grad=True)
    b = torch.randn(C, generator=draw, requires_grad=True) if bias else None
    target = torch.randint(0, C + 1, (24,), generator=draw)

    def value(x: Any, w: Any, b: Any) -> Any:
        return functional.linear_acsl(x, w, target, linear_bias=b)

    compiled = torch.compile(value, fullgraph=True, backend="aot_eager")
    inputs = [t for t in (x, w, b) if t is not None]
    eager = torch.autograd.grad(value(x, w, b), inputs)
    traced = torch.autograd.grad(compiled(x, w, b), inputs)
    torch.testing.assert_close(traced, eager, rtol=1e-5, atol=1e-6)


def test_nan_passes_through_the_graph() -> None:
    loss = make("acsl", background_rule="adaptive")
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    logits, target, _ = batch(loss)
    with torch.no_grad():
        logits[1, 1] = float("nan")
    value = compiled(logits, target)
    value.backward()
    assert value.isnan() and logits.grad.isnan().any()
