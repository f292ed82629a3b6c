"""``longtail.eval.LVISEval`` against ``lvis`` 0.5.3: every array bit for bit, on random cases."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Record, add_masks, fresh, make_case
from longtail.eval import LVIS, LVISEval, LVISResults
from test_cocoeval import same

lvis = pytest.importorskip("lvis")

Case = tuple[Record, list[Record]]


@pytest.fixture
def working_original(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The original needs a name that NumPy no longer has; without it, ``accumulate()`` crashes."""
    monkeypatch.setattr(np, "float", float, raising=False)
    yield


def run(
    case: Case, folder: Path, ours: bool, iou_type: str = "bbox", cap: int = 300, change: Any = None
) -> Any:
    dataset, detections = fresh(case)
    path = folder / "truth.json"
    path.write_text(json.dumps(dataset))
    of, results, evaluator = (
        (LVIS, LVISResults, LVISEval) if ours else (lvis.LVIS, lvis.LVISResults, lvis.LVISEval)
    )
    truth = of(str(path))
    evaluation = evaluator(truth, results(truth, detections, max_dets=cap), iou_type)
    if change is not None:
        change(evaluation.params)
    evaluation.run()
    return evaluation


def equal(ours: Any, theirs: Any) -> None:
    same(
        {k: v for k, v in ours.eval.items() if k != "dt_pointers"},
        {k: v for k, v in theirs.eval.items() if k != "dt_pointers"},
    )
    same(dict(ours.get_results()), dict(theirs.get_results()))
    same(ours.eval_imgs, theirs.eval_imgs)
    same(ours.ious, theirs.ious)
    pointers = theirs.eval["dt_pointers"]
    assert len(ours.eval["dt_pointers"]) == len(pointers)
    for category, areas in pointers.items():
        same(ours.eval["dt_pointers"][category], areas)


@pytest.mark.usefixtures("working_original")
class TestAgainstTheOriginal:
    def test_boxes(self, lvis_case: Case, tmp_path: Path) -> None:
        equal(run(lvis_case, tmp_path, True), run(lvis_case, tmp_path, False))

    def test_masks(self, lvis_case: Case, tmp_path: Path) -> None:
        add_masks(*lvis_case)
        equal(run(lvis_case, tmp_path, True, "segm"), run(lvis_case, tmp_path, False, "segm"))

    @pytest.mark.parametrize("cap", [2, -1])
    def test_caps(self, lvis_case: Case, tmp_path: Path, cap: int) -> None:
        equal(run(lvis_case, tmp_path, True, cap=cap), run(lvis_case, tmp_path, False, cap=cap))

    def test_some_images_and_classes(self, lvis_case: Case, tmp_path: Path) -> None:
        def change(params: Any) -> None:
            params.img_ids, params.cat_ids = params.img_ids[:7], params.cat_ids[1:]
            # Names of another library, which mmdetection assigns.
            params.useCats, params.maxDets = 1, [300]

        equal(run(lvis_case, tmp_path, True, change=change), run(lvis_case, tmp_path, False, change=change))

    def test_the_printed_table(
        self, lvis_case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        printed = []
        for ours in (True, False):
            run(lvis_case, tmp_path, ours).print_results()
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1] != ""

    def test_results_assigned_by_a_caller(self, lvis_case: Case, tmp_path: Path) -> None:
        found = []
        for ours in (True, False):
            evaluation = run(lvis_case, tmp_path, ours)
            evaluation.eval_imgs = [
                None if n % 3 == 0 else entry for n, entry in enumerate(evaluation.eval_imgs)
            ]
            evaluation.accumulate()
            evaluation.summarize()
            found.append(evaluation)
        same(dict(found[0].get_results()), dict(found[1].get_results()))


def test_it_runs_on_the_numpy_of_today(tmp_path: Path) -> None:
    case = make_case(101, federated=True)
    assert not hasattr(np, "float")
    with pytest.raises(AttributeError):
        run(case, tmp_path, ours=False)
    assert 0 < run(case, tmp_path, ours=True).get_results()["AP"] < 1


def test_paths_and_lists_are_taken(tmp_path: Path) -> None:
    case = make_case(102, federated=True)
    expected = run(case, tmp_path, ours=True).get_results()
    detections = fresh(case)[1]
    (tmp_path / "found.json").write_text(json.dumps(detections))
    for found in (detections, str(tmp_path / "found.json")):
        evaluation = LVISEval(str(tmp_path / "truth.json"), found, "bbox")
        evaluation.run()
        assert evaluation.get_results() == expected
    with pytest.raises(TypeError, match="lvis_gt"):
        LVISEval(7, detections)
    with pytest.raises(TypeError, match="lvis_dt"):
        LVISEval(str(tmp_path / "truth.json"), 7)
    with pytest.raises(ValueError, match="iou_type"):
        LVISEval(str(tmp_path / "truth.json"), detections, "keypoints")


def test_the_originals_objects_are_taken(tmp_path: Path) -> None:
    case = make_case(103, federated=True)
    expected = run(case, tmp_path, ours=True).get_results()
    truth = lvis.LVIS(str(tmp_path / "truth.json"))
    evaluation = LVISEval(truth, lvis.LVISResults(truth, fresh(case)[1]), "bbox")
    evaluation.run()
    assert evaluation.get_results() == expected


def test_twice_is_not_twice_the_ground_truth(tmp_path: Path) -> None:
    evaluation = run(make_case(104, federated=True), tmp_path, ours=True)
    first = dict(evaluation.get_results())
    evaluation.run()
    assert dict(evaluation.get_results()) == first


def test_without_classes_is_refused(tmp_path: Path) -> None:
    def change(params: Any) -> None:
        params.use_cats = 0

    with pytest.raises(NotImplementedError, match="use_cats"):
        run(make_case(104, federated=True), tmp_path, ours=True, change=change)


def test_pickles_keep_the_results(tmp_path: Path) -> None:
    evaluation = run(make_case(105, federated=True), tmp_path, ours=True)
    copied = pickle.loads(pickle.dumps(evaluation))
    copied.accumulate()
    copied.summarize()
    assert copied.get_results() == evaluation.get_results()


def test_agrees_with_evaluate(tmp_path: Path) -> None:
    import longtail

    case = make_case(106, federated=True)
    results = run(case, tmp_path, ours=True).get_results()
    report = longtail.evaluate(*fresh(case), protocol="lvis")
    for name, value in results.items():
        assert (None if value == -1 else value) == report.metric(name), name
