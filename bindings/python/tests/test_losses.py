"""``longtail.losses``: every loss's gradient against differences, layouts of columns, what is said of bad
input."""

from __future__ import annotations

from typing import Any

import longtail
import numpy as np
import pytest
from longtail.losses import LOSSES, Loss

COUNTS = {"class_counts": [5, 50, 500, 5000], "image_counts": [4, 40, 400, 4000], "total_images": 5000}
# The gradient of these is exact where their constants (weights, draws, margins) are held; differences hold
# them too.
SETTINGS: dict[str, dict[str, Any]] = {
    "eql": {"frequency_threshold": 0.05},
    "drop-loss": {"frequency_threshold": 0.05},
    "federated": {"classes": 3},
}


def make(name: str, background: Any = "first", **settings: Any) -> Loss:
    return Loss(name, 4, background=background, **COUNTS, **{**SETTINGS.get(name, {}), **settings})


def batch(loss: Loss, rows: int = 24, seed: int = 0) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, loss.num_outputs)).astype(np.float32)
    return logits, draw.integers(0, 5, rows), draw.random(rows).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_value(name: str) -> None:
    # Seesaw's compensation depends on the logits, and is a constant for differentiation by definition: q = 0.
    loss = make(name, **({"q": 0.0} if name == "seesaw" else {"threshold": 0.0} if name == "acsl" else {}))
    logits, target, weight = batch(loss)
    value, gradient = loss.evaluate(logits, target, weight, training=False)
    assert value > 0 and gradient.shape == logits.shape
    draw, step = np.random.default_rng(1), 1e-2
    for _ in range(12):
        row, column = draw.integers(0, logits.shape[0]), draw.integers(0, logits.shape[1])
        sides = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[row, column] += np.float32(sign * step)
            sides.append(loss.evaluate(moved, target, weight, training=False).value)
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(gradient[row, column], abs=2e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_last_is_first_with_columns_and_labels_moved(name: str) -> None:
    first, last = make(name), make(name, "last")
    logits, target, weight = batch(first)
    extras = first.num_outputs - 4
    order = [*range(extras, extras + 4), *range(extras)[::-1]]
    moved = np.where(target == 0, 4, target - 1)
    a = first.evaluate(logits, target, weight)
    b = last.evaluate(logits[:, order], moved, weight)
    assert a.value == b.value and np.array_equal(a.gradient[:, order], b.gradient)
    assert np.array_equal(first.scores(logits), last.scores(logits[:, order]))
    assert [first.columns()[n] for n in order] == last.columns()


@pytest.mark.parametrize("name", [name for name, method in LOSSES.items() if method.with_and_without])
def test_none_has_a_column_a_class(name: str) -> None:
    loss = make(name, "none")
    assert loss.num_outputs == 4 and loss.columns() == [0, 1, 2, 3]
    logits, target, _ = batch(loss)
    assert loss.evaluate(logits, target).value > 0
    assert loss.scores(logits).shape == (len(logits), 4)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_rows_take_no_part(name: str) -> None:
    loss, logits, target, weight = (make(name), *batch(make(name), 8))
    kept = loss.evaluate(logits[:5], target[:5], weight[:5], training=False)
    target[5:] = -100
    both = loss.evaluate(logits, target, weight, training=False)
    assert both.value == pytest.approx(kept.value, rel=1e-6)
    assert not both.gradient[5:].any()


@pytest.mark.parametrize("name", LOSSES)
def test_no_rows_and_no_positives(name: str) -> None:
    loss = make(name)
    empty = loss.evaluate(np.zeros((0, loss.num_outputs), np.float32), np.zeros(0, np.int64))
    assert empty.value == 0 and empty.gradient.shape == (0, loss.num_outputs)
    logits, target, _ = batch(loss)
    assert np.isfinite(loss.evaluate(logits, np.zeros_like(target)).value)


def test_acsl_is_its_formula() -> None:
    loss = Loss("acsl", 4, background="none", threshold=0.6, background_rule="adaptive")
    logits, target, _ = batch(loss)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    own = target[:, None] == np.arange(4)
    expected = np.where(own, -np.log(p), np.where(p >= 0.6, -np.log1p(-p), 0)).sum() / len(target)
    gradient = np.where(own, p - 1, np.where(p >= 0.6, p, 0)) / len(target)
    found = loss.evaluate(logits, target)
    assert found.value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-7)


def test_statistics_run_in_training_only() -> None:
    loss = make("eql-v2")
    logits, target, _ = batch(loss)
    first = loss.evaluate(logits, target, training=False)
    assert loss.evaluate(logits, target, training=False).value == first.value
    assert loss.evaluate(logits, target).value == first.value
    assert loss.evaluate(logits, target).value != first.value


def test_the_key_decides_the_draws() -> None:
    loss = make("bags", others_ratio=0.5)
    logits, target, _ = batch(loss, 200)
    values = [loss.evaluate(logits, target, step=step).value for step in (0, 1, 0)]
    assert values[0] == values[2] != values[1]


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="choose one of acsl"):
        Loss("acls", 4)
    with pytest.raises(ValueError, match="thresold"):
        Loss("acsl", 4, thresold=0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Loss("acsl", 4, threshold=7)
    with pytest.raises(ValueError, match="counts"):
        Loss("bags", 4)
    with pytest.raises(ValueError, match="3 class counts for 4 classes"):
        Loss("bags", 4, class_counts=[1, 2, 3])
    with pytest.raises(ValueError, match="whole numbers"):
        Loss("bags", 4, class_counts=[1.5, 2, 3, 4])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="background"):
        Loss("eql-v2", 4, background="none")
    with pytest.raises(ValueError, match="first, last or none"):
        Loss("acsl", 4, background="0")  # type: ignore[arg-type]
    loss = Loss("acsl", 4)
    logits, target, weight = batch(loss)
    with pytest.raises(longtail.DataError, match=r"target\[2\] is 5") as caught:
        loss.evaluate(logits, np.where(np.arange(24) == 2, 5, target))
    assert (caught.value.entry, caught.value.field) == (2, "target")
    logits[3, 1] = np.nan
    with pytest.raises(longtail.DataError, match="RoI 3, column 1") as caught:
        loss.evaluate(logits, target)
    assert (caught.value.entry, caught.value.field) == (3, "logits")
    with pytest.raises(ValueError, match="shape"):
        loss.evaluate(logits[:, :4], target)
    with pytest.raises(ValueError, match="24"):
        loss.evaluate(np.nan_to_num(logits), target, weight[:3])
