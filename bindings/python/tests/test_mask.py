"""``longtail.mask`` against ``pycocotools.mask``."""

from __future__ import annotations

from typing import Any

import longtail
import longtail.mask as ours
import numpy as np
import pytest
from test_cocoeval import same

theirs = pytest.importorskip("pycocotools.mask")


def bitmaps(seed: int) -> Any:
    draw = np.random.default_rng(seed)
    height, width, count = draw.integers(1, 30, 3).tolist()
    filled = draw.random((height, width, count)) < draw.random(count)
    return np.asfortranarray(filled.astype(np.uint8))


@pytest.mark.parametrize("seed", range(12))
def test_bitmaps_and_runs(seed: int) -> None:
    masks = bitmaps(seed)
    runs = theirs.encode(masks)
    same(ours.encode(masks), runs)
    same(ours.encode(np.ascontiguousarray(masks[:, :, 0])), theirs.encode(np.asfortranarray(masks[:, :, 0])))
    same(ours.encode(masks.astype(bool)), runs)
    for value, expected in (
        (ours.decode(runs), theirs.decode(runs)),
        (ours.decode(runs[0]), theirs.decode(runs[0])),
    ):
        assert value.dtype == expected.dtype and np.array_equal(value, expected)
    same(ours.area(runs), theirs.area(runs))
    same(ours.toBbox(runs), theirs.toBbox(runs))
    same(ours.toBbox(runs[0]), theirs.toBbox(runs[0]))
    assert ours.area(runs[0]) == theirs.area(runs[0])
    same(ours.merge(runs), theirs.merge(runs))
    same(ours.merge(runs, intersect=1), theirs.merge(runs, intersect=1))
    crowd = [n % 2 for n in range(len(runs))]
    found, expected = ours.iou(runs[:5], runs, crowd), theirs.iou(runs[:5], runs, crowd)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("seed", range(12))
def test_polygons_boxes_and_counts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    polygons = [(draw.random(2 * int(n)) * 40 - 2).tolist() for n in draw.integers(3, 9, 4)]
    boxes = (draw.random((4, 4)) * 20).tolist()
    counts = {"size": [6, 7], "counts": [3, 9, 20, 10]}
    for given in (polygons, np.array(boxes), [counts], counts):
        same(ours.frPyObjects(given, 40, 37), theirs.frPyObjects(given, 40, 37))
    # Of lists of boxes, and of a single polygon or box, the original makes a TypeError.
    same(ours.frPyObjects(boxes, 40, 37), theirs.frPyObjects(np.array(boxes), 40, 37))
    for several in (boxes, polygons):
        assert ours.frPyObjects(several[0], 40, 37) == ours.frPyObjects(several, 40, 37)[0]
    assert np.array_equal(ours.iou(boxes, boxes[1:], [0, 1, 0]), theirs.iou(boxes, boxes[1:], [0, 1, 0]))
    assert ours.iou([], boxes, [0] * 4) == theirs.iou([], boxes, [0] * 4) == []


def test_text_may_be_a_string() -> None:
    runs = ours.encode(np.eye(5, dtype=np.uint8))
    assert np.array_equal(ours.decode({**runs, "counts": runs["counts"].decode()}), np.eye(5))


def test_bad_masks_are_named() -> None:
    good = ours.encode(np.eye(5, dtype=np.uint8))
    for bad in (
        {"size": [5, 5], "counts": b"9"},
        {"size": [5], "counts": b""},
        {"counts": b""},
        {"size": [5, 5], "counts": [25]},
    ):
        with pytest.raises(longtail.DataError, match="mask 1") as caught:
            ours.area([good, bad])
        assert caught.value.entry == 1
    with pytest.raises(longtail.DataError, match="5 × 5 and 6 × 5"):
        ours.decode([good, ours.encode(np.ones((6, 5), np.uint8))])
    with pytest.raises(longtail.DataError, match="float64"):
        ours.encode(np.eye(5))
    with pytest.raises(longtail.DataError, match="same data type"):
        ours.iou([good], [[0, 0, 1, 1]], [0])
    with pytest.raises(longtail.DataError, match="crowd"):
        ours.iou([good], [good], [])
    with pytest.raises(longtail.DataError, match="polygons"):
        ours.frPyObjects([], 3, 3)
