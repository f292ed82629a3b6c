"""Feature banks and heads: written, opened, trained, exported."""

from __future__ import annotations

import json
import threading
import warnings
from pathlib import Path
from typing import Any

import longtail
import numpy as np
import pytest
from longtail.losses import Loss

C, D = 3, 8


def rois(seed: int = 0, images: int = 40) -> dict[str, Any]:
    """Classes that a line tells apart, with a long tail; background last among the labels of an image."""
    draw = np.random.default_rng(seed)
    labels = draw.choice([0, 1, 2, 3], size=images * 16, p=[0.6, 0.3, 0.08, 0.02])
    centres = 3 * np.eye(4, D)
    features = (centres[labels] + draw.normal(size=(len(labels), D))).astype(np.float32)
    return {"features": features, "labels": labels, "image_ids": np.repeat(np.arange(images), 16)}


COUNTS = {"class_counts": [200, 50, 12], "image_counts": [40, 30, 10]}


@pytest.fixture
def bank(tmp_path: Path) -> longtail.Bank:
    return longtail.Bank.write(
        tmp_path / "bank",
        **rois(),
        **COUNTS,
        class_names=["cup", "fork", "wasp"],
        category_ids=[3, 7, 20],
        classifier=(np.zeros((C + 1, D)), np.zeros(C + 1)),
        rois_per_image=16,
        positive_fraction=1.0,
        precision="f32",
    )


def test_a_bank_holds_what_was_written(bank: longtail.Bank) -> None:
    given = rois()
    assert (len(bank), bank.num_images, bank.num_classes, bank.width) == (640, 40, C, D)
    features, labels, ids = bank.rows()
    # Foreground comes first in each image; otherwise the order stays.
    order = np.lexsort((given["labels"] == 0, given["image_ids"]))
    np.testing.assert_array_equal(features, given["features"][order])
    np.testing.assert_array_equal(labels, given["labels"][order])
    np.testing.assert_array_equal(ids, given["image_ids"][order])
    classes = bank.header["classes"]
    assert [c["category_id"] for c in classes] == [3, 7, 20] and classes[2]["train_instances"] == 12
    assert longtail.Bank.open(bank.path).header == bank.header
    assert "640 rows of 40 images" in repr(bank)


def test_background_last_is_the_same_bank(tmp_path: Path, bank: longtail.Bank) -> None:
    given = rois()
    last = np.where(given["labels"] == 0, C, given["labels"] - 1)
    draw = np.random.default_rng(1)
    weight, bias = draw.normal(size=(C + 1, D)), draw.normal(size=C + 1)
    common = {**COUNTS, "precision": "f32", "rois_per_image": 16}
    first = longtail.Bank.write(tmp_path / "a", **given, **common, classifier=(weight, bias))
    order = [1, 2, 3, 0]
    other = longtail.Bank.write(
        tmp_path / "b",
        **{**given, "labels": last},
        **common,
        background="last",
        classifier=(weight[order], bias[order]),
    )
    np.testing.assert_array_equal(first.rows()[1], other.rows()[1])
    heads = [longtail.train_head(b, "acsl", iterations=5) for b in (first, other)]
    np.testing.assert_array_equal(heads[0].weight, heads[1].weight)


@pytest.mark.parametrize("loss", ["softmax-cross-entropy", "acsl", "seesaw", "bags"])
def test_a_head_learns_and_comes_back_from_its_file(tmp_path: Path, bank: longtail.Bank, loss: str) -> None:
    seen: list[tuple[int, int, float]] = []
    settings = {"cuts": [10, 100]} if loss == "bags" else {}
    head = longtail.train_head(
        bank,
        loss,
        epochs=30,
        learning_rate=0.5,
        progress=lambda *step: seen.append(step),
        **settings,
    )
    features, labels, _ = bank.rows()
    scores = head.scores(features)
    assert scores.shape == (640, C) and scores.min() >= 0 and scores.max() <= 1
    foreground = labels > 0
    assert (scores.argmax(axis=1) + 1 == labels)[foreground].mean() > 0.85
    assert seen[-1][0] == seen[-1][1] == head.description["training"]["iterations"]
    assert head.loss["kind"] == loss and len(head.columns) == len(head.bias) == len(head.weight)
    head.save(tmp_path / "head.safetensors")
    again = longtail.Head.read(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(again.scores(features), scores)
    # The scores are the loss's, of a plain linear layer.
    named = {**COUNTS, "total_images": 40, **settings}
    reference = Loss(loss, C, **named).scores(features @ head.weight.T + head.bias)
    np.testing.assert_allclose(scores, reference, atol=2e-5)


def test_a_head_starts_from_the_classifier(tmp_path: Path) -> None:
    weight = np.random.default_rng(3).normal(size=(C + 1, D)).astype(np.float32)
    bank = longtail.Bank.write(
        tmp_path / "bank", **rois(), **COUNTS, classifier=(weight, np.ones(C + 1)), precision="f32"
    )
    settings = {"iterations": 1, "learning_rate": 1e-12}
    np.testing.assert_allclose(longtail.train_head(bank, "acsl", **settings).weight, weight, atol=1e-6)
    fresh = longtail.train_head(bank, "acsl", from_classifier=False, **settings)
    np.testing.assert_allclose(fresh.weight, 0, atol=1e-6)


def test_a_sweep_is_the_same_heads_and_the_best_comes_first(bank: longtail.Bank) -> None:
    features, labels, _ = bank.rows()

    def right(head: longtail.Head) -> float:
        return float((head.scores(features).argmax(axis=1) + 1 == labels)[labels > 0].mean())

    found = longtail.sweep_heads(
        bank,
        {"soft": {"loss": "softmax-cross-entropy"}, "acsl 0.5": {"loss": "acsl", "threshold": 0.5}},
        seeds=[0, 1],
        score=right,
        iterations=20,
    )
    assert sorted((r.name, r.seed) for r in found) == [
        ("acsl 0.5", 0),
        ("acsl 0.5", 1),
        ("soft", 0),
        ("soft", 1),
    ]
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
    alone = longtail.train_head(bank, "acsl", threshold=0.5, iterations=20, seed=1)
    swept = next(r.head for r in found if (r.name, r.seed) == ("acsl 0.5", 1))
    np.testing.assert_array_equal(alone.weight, swept.weight)


def test_export_writes_the_names_of_the_framework(tmp_path: Path, bank: longtail.Bank) -> None:
    head = longtail.train_head(bank, "acsl", iterations=2)
    head.export(tmp_path / "layer.safetensors", "torchvision")
    raw = (tmp_path / "layer.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert "roi_heads.box_predictor.cls_score.weight" in header
    with pytest.raises(ValueError, match="torchvision, mmdetection or detectron2"):
        head.export(tmp_path / "x", "keras")


def test_a_failing_progress_stops_the_training(bank: longtail.Bank) -> None:
    def fail(done: int, total: int, loss: float) -> None:
        raise LookupError("no more")

    threads = threading.active_count()
    with pytest.raises(LookupError, match="no more"):
        longtail.train_head(bank, "acsl", iterations=100_000, progress=fail)
    assert threading.active_count() == threads


def test_what_is_wrong_is_named(tmp_path: Path, bank: longtail.Bank) -> None:
    given = rois()

    def write(**changed: Any) -> None:
        longtail.Bank.write(tmp_path / "other", **{**given, **COUNTS, **changed})

    with pytest.raises(FileExistsError, match="finished bank"):
        longtail.Bank.write(bank.path, **given, **COUNTS, **_like(bank))
    with pytest.raises(FileNotFoundError, match=r"bank\.json"):
        longtail.Bank.open(tmp_path / "nothing")
    with pytest.raises(longtail.DataError, match=r"target\[0\] is 9"):
        write(labels=np.full(640, 9))
    with pytest.raises(longtail.DataError, match="labels 3"):
        write(labels=np.zeros(3))
    with pytest.raises(longtail.DataError, match="must agree"):
        write(image_counts=[1, 2])
    features = given["features"].copy()
    features[5, 2] = np.nan
    with pytest.raises(longtail.DataError, match="a feature"):
        write(features=features)
    with pytest.raises(longtail.DataError, match=r"weight \[2, 8\]"):
        write(classifier=(np.zeros((2, D)), np.zeros(2)))
    with pytest.raises(longtail.DataError, match="stage1"):
        plain = longtail.Bank.write(tmp_path / "plain", **given, **COUNTS)
        longtail.train_head(plain, "acsl", iterations=1)
    with pytest.raises(ValueError, match="nothing"):
        longtail.train_head(bank, "nothing")
    with pytest.raises(ValueError, match="treshold"):
        longtail.train_head(bank, "acsl", treshold=0.5)
    with pytest.raises(longtail.DataError, match="takes 8"):
        longtail.train_head(bank, "acsl", iterations=1).scores(np.zeros((2, 3)))


def _like(bank: longtail.Bank) -> dict[str, Any]:
    return {
        "class_names": ["cup", "fork", "wasp"],
        "category_ids": [3, 7, 20],
        "classifier": (np.zeros((C + 1, D)), np.zeros(C + 1)),
        "rois_per_image": 16,
        "positive_fraction": 1.0,
        "precision": "f32",
    }


def test_remarks_of_the_training_are_warnings(tmp_path: Path) -> None:
    """A bank without background keeps on training, and says what that means."""
    given = rois()
    kept = given["labels"] > 0
    bank = longtail.Bank.write(
        tmp_path / "bank", **{k: v[kept] for k, v in given.items()}, **COUNTS, rois_per_image=16
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        longtail.train_head(bank, "acsl", iterations=2, from_classifier=False)
    assert all(issubclass(w.category, UserWarning) for w in caught)
