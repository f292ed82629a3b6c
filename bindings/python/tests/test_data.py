"""``longtail.data``: repeat factors against the formula as detectron2 writes it, and orders of epochs."""

from __future__ import annotations

import math
from collections import Counter

import longtail
import numpy as np
import pytest
from longtail.data import class_weights, epoch_indices, repeat_factors


def reference(images: list[list[int]], threshold: float, sqrt: bool) -> list[float]:
    counts: Counter[int] = Counter(c for labels in images for c in set(labels))
    of_class = {}
    for c, n in counts.items():
        ratio = threshold / (n / len(images))
        of_class[c] = max(1.0, math.sqrt(ratio) if sqrt else ratio)
    return [max((of_class[c] for c in set(labels)), default=1.0) for labels in images]


@pytest.mark.parametrize("sqrt", [True, False])
def test_factors_are_the_papers(sqrt: bool) -> None:
    draw = np.random.default_rng(0)
    images = [draw.geometric(0.3, draw.integers(0, 6)).tolist() for _ in range(200)]
    for threshold in (0.01, 0.1, 0.5):
        assert repeat_factors(images, threshold=threshold, sqrt=sqrt).tolist() == reference(
            images, threshold, sqrt
        )


def test_auto_is_the_median_frequency() -> None:
    images = [[1]] * 8 + [[2]] * 4 + [[3]]
    expected = reference(images, 4 / 13, True)
    np.testing.assert_allclose(repeat_factors(images), expected)
    assert repeat_factors(images).max() == pytest.approx(2.0)


def test_images_without_boxes_keep_their_index() -> None:
    assert repeat_factors([[], [1], [], [1], [1], [2]], threshold=0.5)[[0, 2]].tolist() == [1.0, 1.0]
    assert repeat_factors([]).shape == (0,)
    assert repeat_factors([[], []]).tolist() == [1.0, 1.0]


def test_many_boxes_count_under_irfs_alone() -> None:
    few, many = [[1], [2], [3]] * 3, [[1] * 50, [2], [3]] * 3
    assert repeat_factors(few, threshold=0.5).tolist() == repeat_factors(many, threshold=0.5).tolist()
    assert (
        repeat_factors(many, threshold=0.5, kind="irfs")[1]
        > repeat_factors(few, threshold=0.5, kind="irfs")[1]
    )


def test_class_weights_give_every_class_the_same_share() -> None:
    images = [[1]] * 8 + [[2]] * 2 + [[]]
    weights = class_weights(images)
    assert weights[:8].sum() == pytest.approx(1.0) == weights[8:10].sum()
    assert weights[10] == 0


def test_fractions_are_rounded_at_random_to_their_mean() -> None:
    factors = np.array([1.0, 1.25, 2.5])
    counts = (
        sum(np.bincount(epoch_indices(factors, seed=1, epoch=n), minlength=3) for n in range(2000)) / 2000
    )
    np.testing.assert_allclose(counts, factors, atol=0.05)
    assert (
        epoch_indices(factors, seed=1, epoch=3).tolist() == epoch_indices(factors, seed=1, epoch=3).tolist()
    )


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="above 0"):
        repeat_factors([[1]], threshold=0)
    with pytest.raises(ValueError, match="rfs or irfs"):
        repeat_factors([[1]], kind="rsf")  # type: ignore[arg-type]
    with pytest.raises(longtail.DataError, match=r"labels_per_image\[1\]"):
        repeat_factors([[1], [0.5]])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least 0"):
        epoch_indices([-1.0], seed=0, epoch=0)
