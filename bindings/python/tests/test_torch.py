"""``longtail.torch``: native kernels and PyTorch formulas hold each other; states, precisions, processes."""

from __future__ import annotations

import copy
import io
import os
import pickle
from pathlib import Path
from typing import Any

import longtail
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import longtail.torch as lt
from longtail.losses import LOSSES
from longtail.torch import functional

C = 6
COUNTS = {
    "class_counts": [5, 20, 80, 300, 900, 5000],
    "image_counts": [4, 15, 60, 200, 800, 4000],
    "total_images": 5000,
}
DRAWN = ("bags", "drop-loss", "federated")
FORMULAS = [name for name in LOSSES if name not in DRAWN]
SETTINGS: dict[str, dict[str, Any]] = {"eql": {"frequency_threshold": 0.05}, "federated": {"classes": 3}}
RULES: list[Any] = ["adaptive", "dense", "balanced", {"threshold": 0.3}, {"ramp": 5}]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def make(name: str, **settings: Any) -> Any:
    return lt.make_loss(name, C, **{**COUNTS, **SETTINGS.get(name, {}), **settings})


def batch(loss: Any, rows: int = 40, seed: int = 0, dtype: Any = torch.float32) -> tuple[Any, Any, Any]:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, loss.num_outputs, generator=draw).to(dtype)
    # A quarter is background, as the layout has it, and some rows take no part.
    target = torch.randint(0, C + 1, (rows,), generator=draw)
    target[rows // 2 :: 5] = loss.ignore_index
    return logits.requires_grad_(), target, torch.rand(rows, generator=draw)


def variants() -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in FORMULAS if name != "acsl"]
    found += [("acsl", {"background_rule": rule}) for rule in RULES]
    return found


@pytest.mark.parametrize("background", ["first", "last", "none"])
@pytest.mark.parametrize(("name", "settings"), variants(), ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_formula_is_the_kernel(name: str, settings: Any, background: str, reduction: str) -> None:
    """Several steps, so that running statistics take part: float64 formulas against float32 kernels."""
    if background == "none" and not LOSSES[name].with_and_without:
        pytest.skip("this loss needs a background column")
    kernel, formula = (make(name, background=background, reduction=reduction, **settings) for _ in range(2))
    for step in range(4):
        logits, target, weight = batch(kernel, seed=step)
        exact = logits.detach().double().requires_grad_()
        a, b = kernel(logits, target, weight), formula(exact, target, weight)
        assert a.dtype == torch.float32 and b.dtype == torch.float64
        torch.testing.assert_close(a.double(), b, rtol=2e-6, atol=1e-6)
        a.backward()
        b.backward()
        torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=1e-4, atol=2e-6)
        for (key, x), (_, y) in zip(kernel.state_dict().items(), formula.state_dict().items(), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-6, msg=key)


@pytest.mark.parametrize(("name", "settings"), variants(), ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradcheck(name: str, settings: Any, reduction: str) -> None:
    # Constants for differentiation that depend on the logits have no difference quotient: a threshold far
    # from every logit, and no compensation.
    fixed = {"seesaw": {"q": 0.0}}.get(name, {})
    loss = make(name, reduction=reduction, **settings, **fixed).eval()
    logits, target, weight = batch(loss, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z: loss(z, target, weight.double()), (logits,), eps=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_rows_add_up(name: str) -> None:
    rows, mean = make(name, reduction="none"), make(name)
    logits, target, weight = batch(rows)
    found = rows(logits, target, weight)
    counted = (target != -100).sum()
    torch.testing.assert_close(found.sum() / counted, mean(logits, target, weight), rtol=1e-5, atol=1e-6)
    (found * torch.arange(len(found))).sum().backward()
    assert torch.isfinite(logits.grad).all() and not logits.grad[target == -100].any()


@pytest.mark.parametrize("name", LOSSES)
def test_factors_of_the_mean(name: str) -> None:
    plain, divided, heavy = make(name).eval(), make(name).eval(), make(name, loss_weight=3.0).eval()
    logits, target, _ = batch(plain)
    value = plain(logits, target)
    torch.testing.assert_close(heavy(logits, target), 3 * value)
    if name != "bags":  # which averages within its groups
        counted = float((target != -100).sum())
        torch.testing.assert_close(divided(logits, target, avg_factor=2 * counted), value / 2)
    with pytest.raises(ValueError, match="avg_factor"):
        make(name, reduction="sum")(logits, target, avg_factor=2.0)


@pytest.mark.parametrize("name", LOSSES)
def test_scaled_outputs_scale_the_gradient(name: str) -> None:
    loss = make(name).eval()
    logits, target, _ = batch(loss)
    (once,) = torch.autograd.grad(loss(logits, target), logits)
    (twice,) = torch.autograd.grad(loss(logits, target) * 2.5, logits)
    torch.testing.assert_close(twice, 2.5 * once)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_and_out(name: str, dtype: Any) -> None:
    loss = make(name).eval()
    logits, target, _ = batch(loss, dtype=dtype)
    value = loss(logits, target)
    value.backward()
    assert value.dtype == torch.float32 and logits.grad.dtype == dtype
    torch.testing.assert_close(value, loss(logits.detach().float(), target))


@pytest.mark.parametrize("name", LOSSES)
def test_not_finite_passes_through_for_the_scaler(name: str) -> None:
    loss = make(name)
    logits, target, _ = batch(loss)
    with torch.no_grad():
        logits[int((target != -100).nonzero()[0]), :] = float("nan")
    value = loss(logits, target)
    assert not torch.isfinite(value)
    value.backward()
    assert not torch.isfinite(logits.grad).all()
    strict = make(name, check_finite=True)
    with pytest.raises(longtail.DataError) as caught:
        strict(logits, target)
    assert caught.value.field == "logits"


def test_grad_scaler_skips_the_step() -> None:
    model, loss = torch.nn.Linear(3, C + 1), make("acsl")
    optimizer, scaler = torch.optim.SGD(model.parameters(), 0.1), torch.amp.GradScaler("cpu", init_scale=4.0)
    before = copy.deepcopy(model.state_dict())
    features = torch.full((4, 3), float("inf"))
    scaler.scale(loss(model(features), torch.tensor([0, 1, 2, 3]))).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("device", DEVICES)
def test_autocast(device: str) -> None:
    model, loss = torch.nn.Linear(8, C + 1).to(device), make("acsl").to(device)
    with torch.autocast(device, dtype=torch.bfloat16):
        value = loss(model(torch.randn(16, 8, device=device)), torch.randint(0, C + 1, (16,), device=device))
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(model.weight.grad).all()


@pytest.mark.parametrize("name", ["acsl", "eql-v2", "equalized-focal", "seesaw"])
def test_statistics(name: str) -> None:
    loss = make(name)
    assert all(b.dtype in (torch.float64, torch.int64) for b in loss.buffers())
    logits, target, _ = batch(loss)

    def state() -> Any:
        return [b.clone() for b in loss.buffers()]

    def changed(before: Any) -> bool:
        return any(not torch.equal(a, b) for a, b in zip(before, loss.buffers(), strict=True))

    before = state()
    loss.eval()(logits, target)
    with torch.no_grad():
        loss.train()(logits, target)
    assert not changed(before)
    loss(logits, target)
    assert changed(before)
    before = state()
    loss.half()
    assert not changed(before) and all(b.dtype in (torch.float64, torch.int64) for b in loss.buffers())
    loss.float().double().bfloat16()
    assert not changed(before)
    other = make(name)
    saved = io.BytesIO()
    torch.save(loss.state_dict(), saved)
    saved.seek(0)
    other.load_state_dict(torch.load(saved, weights_only=True))
    torch.testing.assert_close(other.eval()(logits, target), loss.eval()(logits, target), rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_copies_and_pickles(name: str) -> None:
    loss = make(name)
    logits, target, _ = batch(loss)
    loss(logits, target)
    for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        torch.testing.assert_close(copied.eval()(logits, target), loss.eval()(logits, target), rtol=0, atol=0)
        assert repr(copied) == repr(loss)
        loss.train()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LOSSES)
def test_devices(name: str, device: str) -> None:
    """On another device the numbers are those of the CPU."""
    here, there = make(name), make(name).to(device)
    for step in range(3):
        logits, target, _ = batch(here, seed=step)
        moved = logits.detach().to(device).requires_grad_()
        a, b = here(logits, target), there(moved, target.to(device))
        a.backward()
        b.backward()
        torch.testing.assert_close(b.cpu(), a, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(moved.grad.cpu(), logits.grad, rtol=1e-3, atol=1e-5)
        assert there.scores(moved).device.type == device


def test_scores_are_what_the_loss_trains() -> None:
    logits = torch.randn(5, C + 1)
    torch.testing.assert_close(make("softmax-cross-entropy").scores(logits), logits.softmax(1)[:, 1:])
    torch.testing.assert_close(make("acsl").scores(logits), logits.sigmoid()[:, 1:])
    torch.testing.assert_close(make("acsl", background="last").scores(logits), logits.sigmoid()[:, :-1])


def test_compile() -> None:
    loss = lt.ACSLLoss(C, background="none", background_rule="adaptive", reduction="none").eval()
    try:
        compiled = torch.compile(lambda z, t: loss(z, t), fullgraph=True, backend="aot_eager")
        logits, target, _ = batch(loss)
        target = target.clamp(min=0)
        torch.testing.assert_close(compiled(logits, target), loss(logits, target))
    finally:
        torch._dynamo.reset()


@pytest.mark.parametrize("name", ["acsl", "eql", "sigmoid-bce"])
def test_element_wise_targets(name: str) -> None:
    """As dense heads have them: targets in 0 to 1, an element's loss for each."""
    settings = {"background_rule": {"threshold": 0.4}} if name == "acsl" else {}
    loss = make(name, background="none", reduction="none", **settings)
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, C, generator=draw, requires_grad=True)
    target = torch.rand(2, 7, C, generator=draw) * (torch.rand(2, 7, C, generator=draw) < 0.1)
    found = loss(logits, target)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weights = functional.negative_weights(logits, target > 0, loss=loss)
    torch.testing.assert_close(found, bce * weights)
    assert weights[target > 0].eq(1).all()
    if name == "acsl":
        row_is_background = ~(target > 0).any(-1, keepdim=True)
        limit = torch.where(row_is_background, 0.4, 0.7)
        torch.testing.assert_close(weights, ((target > 0) | (logits.sigmoid() >= limit)).float())
    mean = make(name, background="none", **settings)
    torch.testing.assert_close(mean(logits, target, avg_factor=5.0), found.sum() / 5)
    torch.testing.assert_close(mean(logits, target), found.sum() / 14)
    with pytest.raises(ValueError, match="labels are whole numbers"):
        make("softmax-cross-entropy")(logits, target)
    with pytest.raises(ValueError, match="must both be"):
        loss(logits, target[..., :3])


def test_negative_weights_of_the_paper() -> None:
    logits = torch.tensor([[3.0, 0.5, 0.9], [2.0, -1.0, 0.0]])
    positive = torch.tensor([[True, False, False], [False, False, False]])
    found = functional.negative_weights(logits, positive, threshold=0.7)
    assert found.tolist() == [[1, 0, 1], [1, 0, 0]]
    assert functional.negative_weights(logits, positive, background_rule="dense").tolist() == [
        [1, 0, 1],
        [1, 1, 1],
    ]
    with pytest.raises(ValueError, match="give it as loss"):
        functional.negative_weights(logits, positive, background_rule="balanced")
    with pytest.raises(ValueError, match="must agree"):
        functional.negative_weights(logits, positive[:1])


def test_misuse_is_named() -> None:
    loss = make("acsl")
    logits, target, weight = batch(loss)
    with pytest.raises(ValueError, match=r"expected \[N, 7\]"):
        loss(logits[:, :6], target)
    with pytest.raises(ValueError, match="target has shape"):
        loss(logits, target[:3])
    with pytest.raises(ValueError, match="weight has shape"):
        loss(logits, target, weight[:3])
    with pytest.raises(longtail.DataError, match=r"target\[0\]"):
        loss(logits, torch.full_like(target, 9))
    with pytest.raises(longtail.DataError, match=r"target\[0\]"):
        make("acsl", reduction="none")(logits, torch.full_like(target, 9))
    with pytest.raises(ValueError, match="choose one of acsl"):
        lt.make_loss("acls", 3)
    with pytest.raises(ValueError, match="mean, sum or none"):
        make("acsl", reduction="average")
    with pytest.raises(NotImplementedError, match="bags"):
        make("bags", reduction="none")(*batch(make("bags"))[:2])
    not_contiguous = torch.randn(loss.num_outputs, 40).t().requires_grad_()
    torch.testing.assert_close(
        loss.eval()(not_contiguous, target), loss(not_contiguous.detach().contiguous(), target)
    )
    assert loss(logits[:0], target[:0]).item() == 0


def test_names_with_underscores_are_taken() -> None:
    assert isinstance(lt.make_loss("eql_v2", 3), lt.EQLv2Loss)


@pytest.mark.parametrize("background", ["none", "first", "last"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_acsl_is_the_layer_and_the_loss(background: Any, bias: bool, reduction: Any) -> None:
    torch.manual_seed(0)
    outputs = C + (background != "none")
    x, w = torch.randn(50, 9, requires_grad=True), torch.randn(outputs, 9, requires_grad=True)
    b = torch.randn(outputs, requires_grad=True) if bias else None
    target, weight = torch.randint(0, C + 1, (50,)), torch.rand(50)
    target[::7] = -100
    loss = lt.ACSLLoss(C, background=background, background_rule="adaptive", reduction=reduction)
    leaves = [x, w, *([b] if b is not None else [])]
    scale = torch.rand(50) if reduction == "none" else torch.tensor(1.7)
    expected = loss(torch.nn.functional.linear(x, w, b), target, weight)
    gradients = torch.autograd.grad((expected * scale).sum(), leaves)
    for chunk in (7, 1000):
        found = functional.linear_acsl(
            x,
            w,
            target,
            linear_bias=b,
            weight=weight,
            reduction=reduction,
            background=background,
            chunk=chunk,
        )
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(torch.autograd.grad((found * scale).sum(), leaves), gradients, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    exact = functional.linear_acsl(
        x.double(),
        w.double(),
        target,
        linear_bias=None if b is None else b.double(),
        weight=weight.double(),
        reduction=reduction,
        background=background,
        chunk=16,
    )
    torch.testing.assert_close(exact.float(), expected, rtol=1e-5, atol=1e-5)


def test_linear_acsl_of_frozen_inputs_and_bad_shapes() -> None:
    head = lt.LinearACSLLoss(9, C)
    x, target = torch.randn(20, 9), torch.randint(0, C + 1, (20,))
    head(x, target).backward()
    assert head.weight.grad.abs().sum() > 0 and head.bias.grad.abs().sum() > 0
    linear = torch.nn.Linear(9, C)
    linear.load_state_dict({k: v for k, v in head.state_dict().items() if k in ("weight", "bias")})
    torch.testing.assert_close(head.scores(x), linear(x).sigmoid())
    with pytest.raises(ValueError, match=r"expected \[N, D\]"):
        functional.linear_acsl(x, torch.randn(3, 8), target)
    with pytest.raises(ValueError, match="one a row"):
        functional.linear_acsl(x, head.weight, target[:3])
    x[0, 0] = float("nan")
    value = head(x, target)
    assert torch.isnan(value)
    value.backward()
    with pytest.raises(longtail.DataError):
        lt.LinearACSLLoss(9, C, check_finite=True)(x, target)


def test_samplers() -> None:
    factors = [1.0, 2.5, 1.0, 3.0]
    shares = [list(lt.RepeatFactorSampler(factors, seed=3, rank=rank, world_size=2)) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1])
    whole = list(lt.RepeatFactorSampler(factors, seed=3))
    assert sorted(set(shares[0] + shares[1])) == [0, 1, 2, 3] and len(whole) in (7, 8)
    sampler = lt.RepeatFactorSampler(factors, seed=3, infinite=True)
    stream = iter(sampler)
    assert [next(stream) for _ in range(len(whole))] == whole
    next(stream)
    plain = lt.RepeatFactorSampler(factors, seed=3)
    plain.set_epoch(1)
    assert list(plain) != whole and len(plain) == len(list(plain))
    with pytest.raises(ValueError, match="rank"):
        lt.RepeatFactorSampler(factors, rank=2, world_size=2)
    view = lt.Resampled(["a", "b", "c", "d"], factors, seed=3)
    items = [view[n] for n in range(len(view))]
    assert items.count("d") == 3 and items.count("b") in (2, 3) and sorted(items) == items
    assert len(list(torch.utils.data.DataLoader(view, batch_size=2))) == (len(view) + 1) // 2
    with pytest.raises(ValueError, match="4 factors for 3 images"):
        lt.Resampled([1, 2, 3], factors)
    assert pickle.loads(pickle.dumps(view))[0] == "a"


def _worker(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": "2"}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    try:
        found: dict[str, Any] = {}
        for name in ("acsl", "eql-v2", "seesaw", "equalized-focal"):
            for dtype in (torch.float32, torch.float64):
                loss = make(name)
                for step in range(3):
                    logits, target, _ = batch(loss, seed=step)
                    half = slice(rank * 20, rank * 20 + 20)
                    loss(logits[half].to(dtype), target[half])
                found[f"{name} {dtype}"] = loss.state_dict()
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, C + 1))
        loss = make("acsl")
        loss(model(torch.randn(8, 4)), torch.randint(0, C + 1, (8,))).backward()
        found["gradient"] = model.module.weight.grad
        metric = lt.MeanAveragePrecision()
        box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        metric.update(
            [{"boxes": box + rank, "scores": torch.tensor([0.5 + rank / 4]), "labels": torch.tensor([1])}],
            [{"boxes": box, "labels": torch.tensor([1])}],
        )
        found["map"] = metric.compute()["map"]
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_two_processes_keep_one_state(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_worker, (port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(first["gradient"], second["gradient"], rtol=0, atol=0)
    assert first["map"] == second["map"] > 0
    for key in first:
        if " " not in key:
            continue
        for a, b in zip(first[key].values(), second[key].values(), strict=True):
            assert torch.equal(a, b)
    # One step of a whole batch has the same sums where the weights do not depend on the halves.
    whole = make("seesaw")
    for step in range(3):
        whole(*batch(whole, seed=step)[:2])
    torch.testing.assert_close(first["seesaw torch.float32"]["counts"], whole.counts)


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    centres = torch.randn(C + 1, 8) * 2
    for name in LOSSES:
        loss = make(name)
        model = torch.nn.Linear(8, loss.num_outputs)
        optimizer, losses = torch.optim.SGD(model.parameters(), 0.1), []
        for step in range(60):
            target = torch.randint(0, C + 1, (64,), generator=torch.Generator().manual_seed(step))
            features = centres[target] + 0.3 * torch.randn(64, 8)
            value = loss(model(features), target)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
        assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:3]), name
