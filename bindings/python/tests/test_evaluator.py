"""``longtail.Evaluator``: batches, several processes, targets that come with the predictions."""

from __future__ import annotations

import pickle
from typing import Any

import longtail
import numpy as np
import pytest
from conftest import Record, make_case
from test_evaluate import corners


def by_image(dataset: Record, detections: list[Record]) -> tuple[list[Record], list[Record]]:
    predictions, targets = [], []
    for image in dataset["images"]:
        found = [d for d in detections if d["image_id"] == image["id"]]
        truth = [a for a in dataset["annotations"] if a["image_id"] == image["id"]]
        predictions.append(
            {
                "image_id": image["id"],
                "boxes": np.array([corners(d["bbox"]) for d in found]),
                "labels": np.array([d["category_id"] for d in found], dtype=np.int64),
                "scores": np.array([d["score"] for d in found]),
            }
        )
        targets.append(
            {
                "image_id": image["id"],
                "boxes": np.array([corners(a["bbox"]) for a in truth]),
                "labels": np.array([a["category_id"] for a in truth], dtype=np.int64),
                "area": np.array([a["area"] for a in truth]),
                "iscrowd": np.array([a["iscrowd"] for a in truth], dtype=np.int64),
            }
        )
    return predictions, targets


@pytest.fixture
def expected(case: tuple[Record, list[Record]]) -> dict[str, float | None]:
    return longtail.evaluate(*case).metrics


def test_batches_give_what_one_call_gives(case: tuple[Record, list[Record]], expected: Any) -> None:
    predictions, targets = by_image(*case)
    with_truth = longtail.Evaluator(case[0])
    with_targets = longtail.Evaluator(categories={c["id"]: c["name"] for c in case[0]["categories"]})
    for first in range(0, len(predictions), 5):
        with_truth.update(predictions[first : first + 5])
        with_targets.update(predictions[first : first + 5], targets[first : first + 5])
    assert with_truth.compute().metrics == expected
    assert with_targets.compute().metrics == expected
    with_truth.reset()
    assert with_truth.compute().metric("AP") == 0


def test_processes_are_merged_and_padding_counts_once(
    case: tuple[Record, list[Record]], expected: Any
) -> None:
    predictions, targets = by_image(*case)
    for truth in (case[0], None):
        parts = []
        for rank in range(2):
            part = longtail.Evaluator(truth) if truth is not None else longtail.Evaluator()
            # As a distributed sampler pads: the second process has the first image again.
            share = range(rank, len(predictions), 2)
            share = [*share, 0] if rank else list(share)
            for n in share:
                part.update([predictions[n]], *([] if truth is not None else [[targets[n]]]))
            parts.append(pickle.loads(pickle.dumps(part)))
        parts[0].merge(parts[1:])
        assert parts[0].compute().metrics == expected


def test_misuse_is_named(case: tuple[Record, list[Record]]) -> None:
    predictions, targets = by_image(*case)
    evaluator = longtail.Evaluator()
    with pytest.raises(ValueError, match="targets"):
        evaluator.update(predictions)
    evaluator.update(predictions[:2], targets[:2])
    with pytest.raises(longtail.DataError, match="added before"):
        evaluator.update(predictions[1:3], targets[1:3])
    with pytest.raises(longtail.DataError, match="2 predictions for 1 targets"):
        evaluator.update(predictions[2:4], targets[2:3])
    with pytest.raises(ValueError, match="lvis"):
        longtail.Evaluator(protocol="lvis")
    with pytest.raises(TypeError, match="max_dets"):
        longtail.Evaluator(case[0], max_dets=3)
    with pytest.raises(ValueError, match="leave out targets"):
        longtail.Evaluator(case[0]).update(predictions, targets)
    with pytest.raises(ValueError, match="differ"):
        evaluator.merge(longtail.Evaluator(max_detections=5))
    with pytest.raises(longtail.DataError, match="no 'scores'"):
        longtail.Evaluator(case[0]).update([{"boxes": [], "labels": [], "image_id": 3}])


def test_flat_lists_are_taken_too(case: tuple[Record, list[Record]], expected: Any) -> None:
    evaluator = longtail.Evaluator(case[0])
    for image in case[0]["images"]:
        evaluator.update([d for d in case[1] if d["image_id"] == image["id"]])
    assert evaluator.compute().metrics == expected


def test_lvis_runs_batch_by_batch() -> None:
    dataset, detections = make_case(5, federated=True)
    evaluator = longtail.Evaluator(dataset, "lvis")
    evaluator.update(detections)
    assert evaluator.compute().metrics == longtail.evaluate(dataset, detections, protocol="lvis").metrics
