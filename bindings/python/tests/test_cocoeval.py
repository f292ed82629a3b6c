"""``longtail.eval.COCO`` and ``COCOeval`` against ``pycocotools``: every array bit for bit, on random
cases."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Record, add_keypoints, add_masks, fresh, make_case
from longtail.eval import COCO, COCOeval

pycocotools = pytest.importorskip("pycocotools.coco")
reference = pytest.importorskip("pycocotools.cocoeval")

Case = tuple[Record, list[Record]]


def run(
    coco: Any, cocoeval: Any, case: Case, iou_type: str = "bbox", change: Callable[[Any], None] | None = None
) -> tuple[Any, str]:
    """An evaluation with what it printed."""
    dataset, detections = fresh(case)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        truth = coco()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = cocoeval(truth, truth.loadRes(detections), iou_type)
        if change is not None:
            change(evaluation.params)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation, printed.getvalue()


def same(ours: Any, theirs: Any, where: str = "") -> None:
    """Equal to the last bit, with types."""
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray) and (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), (
            where
        )
        assert ours.tobytes() == np.asarray(theirs, order="C").tobytes(), where
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key in theirs:
            if key not in ("date", "params"):
                same(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{where}[{n}]")
    else:
        assert type(ours) is type(theirs) and ours == theirs, where


def equal(ours: tuple[Any, str], theirs: tuple[Any, str]) -> None:
    (a, printed), (b, expected) = ours, theirs
    same(a.eval, b.eval, "eval")
    same(a.stats, b.stats, "stats")
    same(a.evalImgs, b.evalImgs, "evalImgs")
    same(a.ious, b.ious, "ious")
    # Durations differ.
    times = [line for line in printed.splitlines() if "t=" not in line]
    assert times == [line for line in expected.splitlines() if "t=" not in line]


def both(case: Case, iou_type: str = "bbox", change: Callable[[Any], None] | None = None) -> None:
    ours = run(COCO, COCOeval, case, iou_type, change)
    theirs = run(pycocotools.COCO, reference.COCOeval, case, iou_type, change)
    equal(ours, theirs)


def test_boxes(coco_case: Case) -> None:
    both(coco_case)


def test_masks(coco_case: Case) -> None:
    add_masks(*coco_case)
    both(coco_case, "segm")


def test_keypoints(coco_case: Case) -> None:
    add_keypoints(*coco_case, seed=1)
    both(coco_case, "keypoints")


def set_everything(params: Any) -> None:
    params.iouThrs = np.array([0.3, 0.55, 0.9, 1.0])
    params.recThrs = np.linspace(0, 1, 11)
    params.maxDets = [7, 2, 3]
    params.areaRng = [[0, 1e10], [0, 500.5], [500.5, 1e10]]
    params.areaRngLbl = ["all", "small", "large"]
    params.imgIds = params.imgIds[2:9]
    params.catIds = params.catIds[1:4]


def set_float32(params: Any) -> None:
    # As torchmetrics does.
    params.iouThrs = np.array(np.linspace(0.5, 0.95, 10, dtype=np.float32).tolist())
    params.recThrs = np.array(np.linspace(0, 1, 101, dtype=np.float32).tolist())


def set_proposals(params: Any) -> None:
    params.useCats = 0
    params.maxDets = [1, 3, 5]


def set_deprecated(params: Any) -> None:
    params.useSegm = 0


def set_one_class(params: Any) -> None:
    params.catIds = [params.catIds[0]]


@pytest.mark.parametrize(
    "change", [set_everything, set_float32, set_proposals, set_deprecated, set_one_class]
)
@pytest.mark.parametrize("seed", range(3))
def test_parameters_that_callers_set(change: Callable[[Any], None], seed: int) -> None:
    both(make_case(seed), "bbox", change)


@pytest.mark.parametrize("seed", range(20, 40))
def test_many_random_cases(seed: int) -> None:
    both(make_case(seed, images=25, classes=7))


def test_ids_of_0_read_as_no_match() -> None:
    case = make_case(3)
    for annotation in case[0]["annotations"]:
        annotation["id"] -= 1
    both(case)


def test_scores_of_other_types() -> None:
    dataset, detections = make_case(4)
    for n, detection in enumerate(detections):
        detection["score"] = n % 3 if n % 2 else np.float32(detection["score"])
    both((dataset, detections))


def test_nothing_at_all() -> None:
    dataset, detections = make_case(5)
    dataset["annotations"] = []
    both((dataset, detections))


def test_arrays_and_files_of_detections(case: Case, tmp_path: Path) -> None:
    dataset, detections = fresh(case)
    (tmp_path / "truth.json").write_text(json.dumps(dataset))
    (tmp_path / "found.json").write_text(json.dumps(detections))
    rows = np.array([[d["image_id"], *d["bbox"], d["score"], d["category_id"]] for d in detections])
    for found in (str(tmp_path / "found.json"), rows):
        evaluations = []
        for coco, cocoeval in ((COCO, COCOeval), (pycocotools.COCO, reference.COCOeval)):
            with contextlib.redirect_stdout(io.StringIO()):
                truth = coco(str(tmp_path / "truth.json"))
                evaluation = cocoeval(cocoGt=truth, cocoDt=truth.loadRes(copy.copy(found)), iouType="bbox")
                evaluation.evaluate()
                evaluation.accumulate()
                evaluation.summarize()
            evaluations.append((evaluation, ""))
        equal(*evaluations)


def test_the_index_answers_as_the_original(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, _ = fresh(case)
    found = []
    for coco in (COCO, pycocotools.COCO):
        truth = coco()
        truth.dataset = dataset
        truth.createIndex()
        images, classes = truth.getImgIds(), truth.getCatIds()
        found.append(
            [
                images,
                classes,
                truth.getAnnIds(),
                truth.getAnnIds(imgIds=images[:3]),
                truth.getAnnIds(imgIds=images[0], catIds=classes[:2]),
                truth.getAnnIds(areaRng=[100, 2000]),
                truth.getAnnIds(iscrowd=True),
                truth.getAnnIds(imgIds=[10**6]),
                truth.getCatIds(catNms=["class 1"]),
                truth.getCatIds(catNms="class 1"),
                truth.getCatIds(supNms=["thing"], catIds=classes[1:]),
                sorted(truth.getImgIds(catIds=classes[:2])),
                truth.getImgIds(imgIds=images[1]),
                truth.loadImgs(images[0]),
                truth.loadCats(classes[:2]),
                truth.loadAnns([1, 2]),
                truth.loadAnns(1),
            ]
        )
    assert found[0] == found[1]


def test_masks_are_decoded_as_by_the_original(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    add_masks(*case)
    dataset, _ = case
    ours, theirs = COCO(), pycocotools.COCO()
    for coco in (ours, theirs):
        coco.dataset = dataset
        coco.createIndex()
    for annotation in dataset["annotations"][:5]:
        assert np.array_equal(ours.annToMask(annotation), theirs.annToMask(annotation))


def test_torchvisions_pattern_of_batches_and_processes(case: Case) -> None:
    """No detections at first, a part of the images a time, results gathered and assigned."""

    def gathered(coco: Any, cocoeval: Any) -> Any:
        dataset, detections = fresh(case)
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco()
            truth.dataset = dataset
            truth.createIndex()
            ids = sorted(truth.getImgIds())
            parts = []
            for rank in range(2):
                evaluation = cocoeval(truth, iouType="bbox")
                entries, seen = [], []
                for first in range(rank * 3, len(ids), 6):
                    images = ids[first : first + 3]
                    found = [copy.deepcopy(d) for d in detections if d["image_id"] in images]
                    evaluation.cocoDt = truth.loadRes(found) if found else coco()
                    evaluation.params.imgIds = list(images)
                    evaluation.evaluate()
                    shape = (-1, len(evaluation.params.areaRng), len(evaluation.params.imgIds))
                    entries.append(np.asarray(evaluation.evalImgs, dtype=object).reshape(shape))
                    seen.extend(images)
                parts.append((seen, np.concatenate(entries, 2)))
            images = np.concatenate([seen for seen, _ in parts])
            joined = np.concatenate([entries for _, entries in parts], 2)
            images, index = np.unique(images, return_index=True)
            evaluation = cocoeval(truth, iouType="bbox")
            evaluation.params.catIds = sorted(truth.getCatIds())
            evaluation.evalImgs = list(joined[..., index].flatten())
            evaluation.params.imgIds = list(images)
            evaluation._paramsEval = copy.deepcopy(evaluation.params)
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation

    ours, theirs = gathered(COCO, COCOeval), gathered(pycocotools.COCO, reference.COCOeval)
    same(ours.stats, theirs.stats)
    same(ours.eval, theirs.eval)
    same(ours.stats, run(COCO, COCOeval, case)[0].stats)


def test_methods_that_callers_call_one_by_one(case: Case) -> None:
    found = []
    for coco, cocoeval in ((COCO, COCOeval), (pycocotools.COCO, reference.COCOeval)):
        evaluation, _ = run(coco, cocoeval, case)
        p = evaluation.params
        evaluation._prepare()
        pairs = [(i, c) for i in p.imgIds for c in p.catIds]
        evaluation.ious = {pair: evaluation.computeIoU(*pair) for pair in pairs}
        found.append([evaluation.evaluateImg(*pair, p.areaRng[1], p.maxDets[-1]) for pair in pairs])
    same(*found)


def subclass(base: Any) -> Any:
    class MaxDets(base):  # type: ignore[misc]
        """As detectron2's: ``summarize`` is the subclass's own."""

        def summarize(self) -> None:
            cells = self.eval["precision"][:, :, :, 0, -1]
            self.stats = np.array([np.mean(cells[cells > -1]), -1.0])

    return MaxDets


def test_a_subclass_with_a_summary_of_its_own(case: Case) -> None:
    def cap(params: Any) -> None:
        params.maxDets = [1, 10, 500]

    ours, _ = run(COCO, subclass(COCOeval), case, change=cap)
    theirs, _ = run(pycocotools.COCO, subclass(reference.COCOeval), case, change=cap)
    same(ours.stats, theirs.stats)


def test_a_subclass_with_overlaps_of_its_own(case: Case) -> None:
    def halved(base: Any) -> Any:
        class Halved(base):  # type: ignore[misc]
            def computeIoU(self, imgId: Any, catId: Any) -> Any:
                found = super().computeIoU(imgId, catId)
                return found * 0.5 if len(found) else found

        return Halved

    equal(run(COCO, halved(COCOeval), case), run(pycocotools.COCO, halved(reference.COCOeval), case))


def test_a_subclass_with_matching_of_its_own(case: Case) -> None:
    def first_only(base: Any) -> Any:
        class FirstOnly(base):  # type: ignore[misc]
            def evaluateImg(self, imgId: Any, catId: Any, aRng: Any, maxDet: Any) -> Any:
                return super().evaluateImg(imgId, catId, aRng, 1)

        return FirstOnly

    equal(run(COCO, first_only(COCOeval), case), run(pycocotools.COCO, first_only(reference.COCOeval), case))


def test_copies_and_pickles_keep_the_results(case: Case) -> None:
    evaluation, _ = run(COCO, COCOeval, case)
    for copied in (copy.deepcopy(evaluation), pickle.loads(pickle.dumps(evaluation))):
        same(copied.evalImgs, evaluation.evalImgs)
        with contextlib.redirect_stdout(io.StringIO()):
            copied.accumulate()
            copied.summarize()
        same(copied.stats, evaluation.stats)


def test_results_changed_in_place_count(case: Case) -> None:
    def changed(coco: Any, cocoeval: Any) -> Any:
        evaluation, _ = run(coco, cocoeval, case)
        for entry in evaluation.evalImgs:
            if entry is not None and len(entry["dtIds"]):
                entry["dtIgnore"][:, 0] = True
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        return evaluation.eval

    same(changed(COCO, COCOeval), changed(pycocotools.COCO, reference.COCOeval))


def test_accumulating_some_of_what_was_evaluated(case: Case) -> None:
    def some(coco: Any, cocoeval: Any, read_first: bool) -> Any:
        evaluation, _ = run(coco, cocoeval, case)
        if read_first:
            assert evaluation.evalImgs
        p = copy.deepcopy(evaluation.params)
        p.imgIds, p.areaRng, p.maxDets = p.imgIds[:5], p.areaRng[:2], p.maxDets[1:]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate(p)
        return evaluation.eval

    expected = some(pycocotools.COCO, reference.COCOeval, False)
    same(some(COCO, COCOeval, False), expected)
    same(some(COCO, COCOeval, True), expected)


def test_ground_truth_changed_after_the_index_is_not_seen(case: Case) -> None:
    found = []
    for coco, cocoeval in ((COCO, COCOeval), (pycocotools.COCO, reference.COCOeval)):
        dataset, detections = fresh(case)
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco()
            truth.dataset = dataset
            truth.createIndex()
            dataset["annotations"] = dataset["annotations"][:3]
            evaluation = cocoeval(truth, truth.loadRes(detections), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        found.append(evaluation.stats)
    same(*found)


def test_thresholds_changed_after_evaluate_are_refused(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation, _ = run(COCO, COCOeval, case)
    evaluation.params.iouThrs = np.array([0.5])
    with pytest.raises(ValueError, match=r"call evaluate\(\) again"):
        evaluation.accumulate()


def test_the_original_annotations_are_taken(case: Case) -> None:
    dataset, detections = fresh(case)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools.COCO()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    same(evaluation.stats, run(COCO, COCOeval, case)[0].stats)


def test_no_detections_at_all_score_0(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    # The original stops with an IndexError.
    evaluation, _ = run(COCO, COCOeval, (case[0], []))
    assert evaluation.stats[0] == 0
