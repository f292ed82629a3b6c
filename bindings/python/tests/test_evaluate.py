"""``longtail.evaluate``: every form of input, every protocol, the report, and what is said of bad input."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import longtail
import numpy as np
import pytest
from conftest import Record, fresh, make_case


def corners(bbox: list[float]) -> list[float]:
    return [bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]]


def numbers(report: longtail.EvalReport) -> Any:
    """All but where the input came from."""
    content = report.to_dict()
    content.pop("provenance")
    return content


class Holder:
    def __init__(self, dataset: Record) -> None:
        self.dataset = dataset


def forms_of_truth(dataset: Record, folder: Path) -> dict[str, Any]:
    path = folder / "truth.json"
    path.write_text(json.dumps(dataset))
    annotations = dataset["annotations"]
    columns = {
        name: [a[name] for a in annotations]
        for name in ("image_id", "category_id", "bbox", "area", "iscrowd")
    }
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    columns |= {"images": [i["id"] for i in dataset["images"]], "categories": names}
    by_corners = {**columns, "xyxy": np.array([corners(b) for b in columns["bbox"]])}
    del by_corners["bbox"]
    return {
        "path": path,
        "text": str(path),
        "dict": dataset,
        "holder": Holder(dataset),
        "columns": columns,
        "corners": by_corners,
    }


def forms_of_detections(detections: list[Record], folder: Path) -> dict[str, Any]:
    path = folder / "detections.json"
    path.write_text(json.dumps(detections))
    columns = {name: [d[name] for d in detections] for name in ("image_id", "category_id", "bbox", "score")}
    rows = [[d["image_id"], *d["bbox"], d["score"], d["category_id"]] for d in detections]
    of_image: dict[int, dict[str, Any]] = {}
    for d in detections:
        found = of_image.setdefault(d["image_id"], {"boxes": [], "labels": [], "scores": []})
        found["boxes"].append(corners(d["bbox"]))
        found["labels"].append(d["category_id"])
        found["scores"].append(d["score"])
    return {
        "path": path,
        "list": detections,
        "array": np.array(rows),
        "columns": columns,
        "holder": Holder({"annotations": detections}),
        "by image": of_image,
        "images": [{**found, "image_id": np.array([image])} for image, found in of_image.items()],
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_form_of_input_gives_the_same_numbers(seed: int, tmp_path: Path) -> None:
    dataset, detections = make_case(seed)
    expected = numbers(longtail.evaluate(dataset, detections))
    assert expected["metrics"]["AP"] > 0.05
    for name, truth in forms_of_truth(dataset, tmp_path).items():
        assert numbers(longtail.evaluate(truth, detections))["metrics"] == expected["metrics"], name
    for name, found in forms_of_detections(detections, tmp_path).items():
        assert numbers(longtail.evaluate(dataset, found)) == expected, name


@pytest.mark.parametrize("protocol", ["lvis", "lvis-fixed", "lvis-pooled"])
def test_lvis_protocols_list_groups(protocol: Any) -> None:
    dataset, detections = make_case(1, federated=True)
    report = longtail.evaluate(dataset, detections, protocol=protocol)
    assert report.protocol == protocol
    assert {"AP", "APr", "APc", "APf"} <= set(report.metrics)
    assert [row["category_id"] for row in report.per_class] == sorted(c["id"] for c in dataset["categories"])


def test_open_images_scores_a_set(case: tuple[Record, list[Record]]) -> None:
    report = longtail.evaluate(*case, protocol="open-images")
    assert 0 < report.metric("mAP50") <= 1  # type: ignore[operator]


def test_frequencies_decide_the_groups_and_bins(case: tuple[Record, list[Record]]) -> None:
    dataset, detections = case
    ids = [c["id"] for c in dataset["categories"]]
    counts = {c: 5 if n == 0 else 500 for n, c in enumerate(ids)}
    report = longtail.evaluate(
        *make_case(7, federated=True), protocol="lvis", frequencies_from=counts, bins=[10, 100]
    )
    assert {row["category_id"]: row["frequency"] for row in report.per_class} == {
        c: "r" if c == ids[0] else "f" for c in ids
    }
    assert "AP[0-10]" in report.metrics
    with pytest.raises(ValueError, match="frequencies_from"):
        longtail.evaluate(dataset, detections, bins=[10])


def test_a_report_is_read_in_many_ways(case: tuple[Record, list[Record]], tmp_path: Path) -> None:
    report = longtail.evaluate(*case)
    flat = report.flat("val/", per_class=True)
    assert flat["val/AP"] == report.metric("AP") == report.metrics["AP"]
    assert any(name.startswith("val/AP/class ") for name in flat)
    assert all(isinstance(value, float) for value in flat.values())
    with pytest.raises(KeyError, match="it has AP"):
        report.metric("mAP")
    path = tmp_path / "report.json"
    report.save(path)
    assert longtail.EvalReport.load(path) == report == pickle.loads(pickle.dumps(report))
    assert list(tmp_path.iterdir()) == [path]
    assert "AP50" in str(report) and "AP50" in repr(report)
    html = report._repr_html_()
    assert html.startswith("<table>") and "class 1" in html
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(longtail.DataError, match="not a report"):
        longtail.EvalReport.load(tmp_path / "other.json")


def test_html_escapes_names() -> None:
    dataset, detections = make_case(2)
    dataset["categories"][0]["name"] = "<script>"
    assert "<script>" not in longtail.evaluate(dataset, detections)._repr_html_()


def test_data_frames(case: tuple[Record, list[Record]]) -> None:
    pandas, report = pytest.importorskip("pandas"), longtail.evaluate(*case)
    frame = report.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame["category_id"]) == [
        r["category_id"] for r in report.per_class
    ]


def test_polars_frames(case: tuple[Record, list[Record]]) -> None:
    pytest.importorskip("polars")
    report = longtail.evaluate(*case)
    assert report.to_polars()["category_id"].to_list() == [r["category_id"] for r in report.per_class]


def test_no_detections_score_0(case: tuple[Record, list[Record]]) -> None:
    dataset, _ = case
    for none in ([], np.zeros((0, 7)), {"image_id": [], "category_id": [], "bbox": [], "score": []}):
        assert longtail.evaluate(dataset, none).metric("AP") == 0


def broken(case: tuple[Record, list[Record]], **change: Any) -> tuple[Record, list[Record]]:
    dataset, detections = fresh(case)
    detections[2].update(change)
    return dataset, detections


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"bbox": [1, 2, 3]}, "bbox", "four numbers"),
        ({"bbox": "box"}, "bbox", "four numbers"),
        ({"score": "high"}, "score", "a number"),
        ({"score": None}, "score", "missing"),
        ({"image_id": 1.5}, "image_id", "whole number"),
        ({"category_id": "cat"}, "category_id", "whole number"),
    ],
)
def test_bad_entries_are_named(
    case: tuple[Record, list[Record]], change: Record, field: str, text: str
) -> None:
    with pytest.raises(longtail.DataError, match=text) as caught:
        longtail.evaluate(*broken(case, **change))
    assert (caught.value.entry, caught.value.field) == (2, field)
    assert f"detections[2].{field}" in str(caught.value)


def test_impossible_numbers_are_named(case: tuple[Record, list[Record]]) -> None:
    for change, text in [
        ({"score": float("nan")}, "score"),
        ({"bbox": [0, 0, -1, 5]}, "negative"),
        ({"image_id": 10**6}, "1000000"),
    ]:
        with pytest.raises(longtail.DataError, match=text) as caught:
            longtail.evaluate(*broken(case, **change))
        assert caught.value.entry == 2


def test_bad_ground_truth_is_named(case: tuple[Record, list[Record]]) -> None:
    dataset, detections = fresh(case)
    with pytest.raises(longtail.DataError, match="no `categories`"):
        longtail.evaluate({k: v for k, v in dataset.items() if k != "categories"}, detections)
    dataset["annotations"][1]["id"] = dataset["annotations"][0]["id"]
    with pytest.raises(longtail.DataError, match="repeated"):
        longtail.evaluate(dataset, detections)
    dataset, _ = fresh(case)
    dataset["annotations"][4]["bbox"] = None
    with pytest.raises(longtail.DataError) as caught:
        longtail.evaluate(dataset, detections)
    assert (caught.value.entry, caught.value.field) == (4, "bbox")
    with pytest.raises(longtail.DataError, match="neg_category_ids"):
        longtail.evaluate(*fresh(case), protocol="lvis")


def test_errors_are_of_pythons_kinds(case: tuple[Record, list[Record]], tmp_path: Path) -> None:
    dataset, detections = case
    missing = tmp_path / "missing.json"
    with pytest.raises(FileNotFoundError) as caught:
        longtail.evaluate(dataset, missing)
    assert caught.value.filename == str(missing)
    with pytest.raises(FileNotFoundError):
        longtail.evaluate(missing, detections)
    text = tmp_path / "text.json"
    text.write_text('[{"image_id": 1,')
    with pytest.raises(longtail.DataError, match=r"text\.json") as bad:
        longtail.evaluate(dataset, text)
    assert bad.value.path == str(text)
    with pytest.raises(ValueError, match="coco"):
        longtail.evaluate(dataset, detections, protocol="voc")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"an array \[N, 7\]"):
        longtail.evaluate(dataset, 7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ground truth is int"):
        longtail.evaluate(7, detections)  # type: ignore[arg-type]
    with pytest.raises(longtail.DataError, match=r"\(4, 6\)"):
        longtail.evaluate(dataset, np.zeros((4, 6)))
    with pytest.raises(longtail.DataError, match="score"):
        longtail.evaluate(dataset, {"image_id": [1], "category_id": [1], "bbox": [[0, 0, 1, 1]]})
    with pytest.raises(longtail.DataError, match="rows"):
        longtail.evaluate(
            dataset, {"image_id": [3], "category_id": [1], "bbox": [[0, 0, 1, 1]], "score": [1, 2]}
        )
    with pytest.raises(longtail.DataError, match=r"image_id\[0\]"):
        longtail.evaluate(
            dataset, {"image_id": [1.5], "category_id": [1], "bbox": [[0, 0, 1, 1]], "score": [1]}
        )


def test_data_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(longtail.DataError("bad", "file", 3, "bbox")))
    assert (str(error), error.path, error.entry, error.field) == ("bad", "file", 3, "bbox")


def test_any_number_of_threads_gives_the_same(case: tuple[Record, list[Record]]) -> None:
    assert numbers(longtail.evaluate(*case, threads=1)) == numbers(longtail.evaluate(*case, threads=3))


def test_threads_are_shared_among_the_processes_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from longtail import _core

    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = _core.thread_count()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert _core.thread_count() == max(alone // 2, 1)
    monkeypatch.setenv("RAYON_NUM_THREADS", "5")
    assert _core.thread_count() == 5


def _child(queue: Any) -> None:
    queue.put(longtail.evaluate(*make_case(3)).metrics)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    expected = longtail.evaluate(*make_case(3)).metrics
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.kill()
        child.join()


def test_the_interpreter_is_free_while_it_works(tmp_path: Path) -> None:
    # Another thread counts on while a long evaluation runs.
    import threading

    truth, found = _large(tmp_path)
    ticks, done = [0], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        start = time.perf_counter()
        longtail.evaluate(truth, found, threads=1)
        elapsed = time.perf_counter() - start
    finally:
        done.set()
        thread.join()
    assert ticks[0] > 50 * elapsed


def _large(folder: Path, images: int = 300, each: int = 300) -> tuple[Path, Path]:
    draw = np.random.default_rng(0)
    boxes = draw.integers(0, 400, (images * each, 4)) + 1
    entries = [
        {
            "id": n + 1,
            "image_id": n // each,
            "category_id": n % 20,
            "bbox": row,
            "area": 100.0,
            "iscrowd": 0,
            "score": n % 97 / 97,
        }
        for n, row in enumerate(boxes.tolist())
    ]
    dataset = {
        "images": [{"id": n, "width": 800, "height": 800, "file_name": ""} for n in range(images)],
        "categories": [{"id": n, "name": str(n)} for n in range(20)],
        "annotations": entries[::10],
    }
    (folder / "t.json").write_text(json.dumps(dataset))
    (folder / "d.json").write_text(json.dumps(entries))
    return folder / "t.json", folder / "d.json"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_ctrl_c_is_answered(tmp_path: Path) -> None:
    truth, found = _large(tmp_path, 1200, 300)
    script = f"""
        import longtail, sys, time
        print("ready", flush=True)
        try:
            longtail.evaluate({str(truth)!r}, {str(found)!r}, threads=1)
            print("ended", flush=True)
        except KeyboardInterrupt:
            print("stopped", time.time(), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        word, *when = process.stdout.readline().split()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    assert word == "stopped", "the evaluation was over before it could be stopped"
    # 0.05 s between looks; the rest is for a busy machine.
    assert float(when[0]) - sent < 1.0
