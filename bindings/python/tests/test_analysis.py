"""Comparisons, errors, look-alikes, calibration, corrections, the page, and data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import longtail
import numpy as np
import pytest
from conftest import Record, make_case
from longtail import corrections, data


@pytest.fixture
def scored() -> tuple[Record, list[Record]]:
    return make_case(3, images=30)


def test_a_detector_against_itself_is_no_different(scored: tuple[Record, list[Record]]) -> None:
    truth, found = scored
    better = [{**d, "score": d["score"] / 2} if i % 3 else d for i, d in enumerate(found)]
    result = longtail.compare(truth, {"a": found, "same": found, "b": better}, resamples=40)
    assert all(row["value"] == row["low"] == row["high"] == 0 for row in result.metrics("same").values())
    assert not result.is_certain("AP", "same")
    reports = [longtail.evaluate(truth, d) for d in (found, better)]
    difference = reports[1].metric("AP") - reports[0].metric("AP")
    assert result.metrics("b")["AP"]["value"] == pytest.approx(difference, abs=1e-12)
    assert result.baseline.metrics == reports[0].metrics
    assert result.metrics(2) == result.metrics("b") and len(result.per_class("b")) == 5
    again = longtail.compare(truth, {"a": found, "same": found, "b": better}, resamples=40)
    assert again.to_dict() == result.to_dict()
    assert "b against a" in str(result) and "<table>" in result._repr_html_()
    with pytest.raises(ValueError, match="two or more"):
        longtail.compare(truth, [found])
    with pytest.raises(KeyError, match="no detector"):
        result.metrics("c")
    with pytest.raises(IndexError, match="held against"):
        result.metrics(0)


def test_errors_by_kind(scored: tuple[Record, list[Record]]) -> None:
    truth, found = scored
    report = longtail.error_analysis(truth, found)
    perfect = longtail.error_analysis(
        truth,
        [
            {key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
            for a in truth["annotations"]
            if not a["iscrowd"]
        ],
    )
    assert report.keys() == perfect.keys()
    text = json.dumps(report)
    for kind in ("localisation", "class", "duplicate", "background", "missed"):
        assert kind in text


def test_look_alikes_are_counted() -> None:
    box = [10, 10, 40, 40]
    truth = {
        "image_id": list(range(5)),
        "category_id": [1, 1, 1, 2, 2],
        "bbox": [box] * 5,
        "categories": {1: "sunglasses", 2: "eye mask"},
    }
    found = {"image_id": [0, 1, 2], "category_id": [2, 2, 1], "bbox": [box] * 3, "score": [0.9, 0.8, 0.7]}
    (pair,) = longtail.look_alikes(truth, found, frequencies_from={1: 500, 2: 4})
    assert (pair["truth"], pair["claimed"], pair["count"], pair["total"]) == ("sunglasses", "eye mask", 2, 3)
    assert pair["across"] and pair["training_images"] == [500, 4]


def test_calibration_is_the_formula(scored: tuple[Record, list[Record]]) -> None:
    truth, found = scored
    everything = longtail.calibration(truth, found)[0]
    error, total = 0.0, sum(b["true_positives"] + b["false_positives"] for b in everything["bins"])
    for row in everything["bins"]:
        count = row["true_positives"] + row["false_positives"]
        if count:
            assert row["precision"] == row["true_positives"] / count
            error += count / total * abs(row["mean_score"] - row["precision"])
    assert everything["frequency"] is None
    assert everything["expected_calibration_error"] == pytest.approx(error)
    with pytest.raises(longtail.DataError, match="COCO and LVIS"):
        longtail.calibration(truth, found, protocol="open-images")


class TestCorrections:
    def test_of_logits(self) -> None:
        logits = np.random.default_rng(0).normal(size=(6, 4))
        counts = np.array([1000, 30, 2])
        e = np.exp(logits)
        weighed = np.concatenate([e[:, :1], e[:, 1:] / counts**0.6], axis=1)
        expected = (weighed / weighed.sum(axis=1, keepdims=True))[:, 1:]
        np.testing.assert_allclose(corrections.norcal(logits, counts), expected, rtol=1e-5)
        weighed = np.concatenate([e[:, :1], e[:, 1:] / (counts / counts.max())], axis=1)
        expected = (weighed / weighed.sum(axis=1, keepdims=True))[:, 1:]
        np.testing.assert_allclose(corrections.adjust_logits(logits, counts), expected, rtol=1e-5)
        with pytest.raises(ValueError, match="shape"):
            corrections.norcal(logits[0], counts)
        with pytest.raises(ValueError):
            corrections.norcal(logits, counts[:2])

    def test_of_weights(self) -> None:
        weight = np.random.default_rng(0).normal(size=(4, 5))
        found = corrections.tau_normalize(weight, tau=0.7)
        norms = np.linalg.norm(weight[1:], axis=1, keepdims=True)
        np.testing.assert_allclose(found[0], weight[0].astype(np.float32))
        np.testing.assert_allclose(found[1:], weight[1:] / norms**0.7, rtol=1e-5)

    @pytest.mark.parametrize("method", ["platt", "norcal", "logit-adjustment"])
    def test_fitted_on_detections(
        self, method: Any, scored: tuple[Record, list[Record]], tmp_path: Path
    ) -> None:
        truth, found = scored
        counts = {c["id"]: 10 * (n + 1) for n, c in enumerate(truth["categories"])}
        fitted = corrections.fit(truth, found, method=method, image_counts=counts)
        scores = fitted.apply(found)
        assert scores.shape == (len(found),) and (scores >= 0).all() and (scores <= 1).all()
        assert fitted.gain and all(row.keys() == {"metric", "before", "after"} for row in fitted.gain)
        fitted.save(tmp_path / "map.json")
        np.testing.assert_array_equal(corrections.Correction.load(tmp_path / "map.json").apply(found), scores)
        assert method in repr(fitted)

    def test_misuse_is_named(self, scored: tuple[Record, list[Record]]) -> None:
        truth, found = scored
        with pytest.raises(ValueError, match="image_counts"):
            corrections.fit(truth, found, method="norcal")
        with pytest.raises(ValueError, match="choose norcal"):
            corrections.fit(truth, found, method="none", image_counts={1: 1})  # type: ignore[arg-type]
        fitted = corrections.fit(truth, found, method="platt")
        with pytest.raises(longtail.DataError, match="not a probability"):
            fitted.apply([{**found[0], "score": 3.0}])
        with pytest.raises(TypeError, match="in memory"):
            fitted.apply("found.json")


def test_the_page_needs_nothing_else(scored: tuple[Record, list[Record]], tmp_path: Path) -> None:
    truth, found = scored
    reports = {"softmax": longtail.evaluate(truth, found), "acsl": longtail.evaluate(truth, found[:20])}
    page = longtail.report(reports, title="Owls & masks", train_images={1: 5})
    page.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text == page.html and "Owls &#38; masks" in text and "acsl" in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "<script src" not in text
    assert "<iframe" in page._repr_html_()
    with pytest.raises(longtail.DataError, match="no report"):
        longtail.report([])


class TestData:
    def path(self, tmp_path: Path) -> Path:
        truth, _ = make_case(5, images=40)
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(truth))
        return path

    def test_stats(self, tmp_path: Path) -> None:
        path = self.path(tmp_path)
        truth = json.loads(path.read_text())
        found = data.stats(path)
        counted = [a for a in truth["annotations"] if not a["iscrowd"]]
        assert found["images"] == 40 and found["boxes"] == len(counted)
        assert found == data.stats(truth)

    def test_check(self, tmp_path: Path) -> None:
        path = self.path(tmp_path)
        truth = json.loads(path.read_text())
        truth["annotations"][0]["bbox"] = [500, 500, 10, 10]
        path.write_text(json.dumps(truth))
        finding = next(f for f in data.check(path) if f["kind"] == "box-outside")
        assert finding["count"] >= 1 and finding["examples"]
        with pytest.raises(FileNotFoundError):
            data.check(tmp_path / "none.json")

    def test_convert_there_and_back(self, tmp_path: Path) -> None:
        path = self.path(tmp_path)
        there = data.convert(path, tmp_path / "set.csv")
        assert there["images"] == 40 and there["format"] == "csv"
        back = data.convert(tmp_path / "set.csv", tmp_path / "back.json", format="coco")
        assert back["boxes"] == there["boxes"]
        with pytest.raises(FileExistsError, match="overwrite"):
            data.convert(path, tmp_path / "set.csv")
        data.convert(path, tmp_path / "set.csv", overwrite=True)
        with pytest.raises(ValueError, match="copy or link"):
            data.convert(path, tmp_path / "yolo", format="yolo", images=tmp_path, place_images="move")  # type: ignore[arg-type]
        with pytest.raises(longtail.DataError, match="ending"):
            data.convert(path, tmp_path / "unknown.xyz")

    def test_split(self, tmp_path: Path) -> None:
        found = data.split(self.path(tmp_path), tmp_path / "parts", {"train": 0.75, "val": 0.25}, seed=1)
        train, val = (json.loads((tmp_path / "parts" / f"{p}.json").read_text()) for p in ("train", "val"))
        ids = [{i["id"] for i in part["images"]} for part in (train, val)]
        assert [len(i) for i in ids] == [30, 10] and not ids[0] & ids[1]
        assert [p["images"] for p in found["report"]["parts"]] == [30, 10]
        with pytest.raises(ValueError, match="sum to 1"):
            data.split(self.path(tmp_path), tmp_path / "x", {"train": 0.5, "val": 0.2})


def test_ground_truth_is_read_as_leniently_as_by_the_command_line(tmp_path: Path) -> None:
    """Without names and sizes, with ids as 1.0 and a byte order mark."""
    truth = {
        "images": [{"id": 1.0}],
        "categories": [{"id": 1}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}],
    }
    path = tmp_path / "truth.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(truth).encode())
    found = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.9}]
    assert longtail.evaluate(path, found).metric("AP") == pytest.approx(1.0)
