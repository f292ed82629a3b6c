"""Evaluation as ``pycocotools.cocoeval.COCOeval``: what callers read and assign is there, under the same
names."""

from __future__ import annotations

import copy
import datetime
import time
from collections import defaultdict
from typing import Any

import numpy as np

from .. import mask
from ._grid import Entry, Grid, Record, accumulate_assigned

_NAMES = ["dtScores", "dtMatches", "dtIgnore", "gtIgnore"]


class Params:
    """Settings of :class:`COCOeval`; any of them, and others, can be assigned."""

    def __init__(self, iouType: str = "segm") -> None:
        self.imgIds: Any = []
        self.catIds: Any = []
        # linspace and not arange, whose values lie slightly above the true ones.
        self.iouThrs: Any = np.linspace(0.5, 0.95, 10, endpoint=True)
        self.recThrs: Any = np.linspace(0.0, 1.0, 101, endpoint=True)
        self.maxDets: Any = [1, 10, 100]
        self.areaRng: Any = [[0**2, 1e5**2], [0**2, 32**2], [32**2, 96**2], [96**2, 1e5**2]]
        self.areaRngLbl: Any = ["all", "small", "medium", "large"]
        self.useCats: Any = 1
        if iouType == "keypoints":
            self.maxDets = [20]
            self.areaRng = [[0**2, 1e5**2], [32**2, 96**2], [96**2, 1e5**2]]
            self.areaRngLbl = ["all", "medium", "large"]
            sigmas = [
                0.26,
                0.25,
                0.25,
                0.35,
                0.35,
                0.79,
                0.79,
                0.72,
                0.72,
                0.62,
                0.62,
                1.07,
                1.07,
                0.87,
                0.87,
                0.89,
                0.89,
            ]
            self.kpt_oks_sigmas: Any = np.array(sigmas) / 10.0
        elif iouType not in ("segm", "bbox"):
            raise Exception("iouType not supported")
        self.iouType: Any = iouType
        self.useSegm: Any = None


class COCOeval:
    """Evaluation of boxes, masks or keypoints.

    ``evaluate()``, ``accumulate()``, ``summarize()``; then :attr:`stats` and :attr:`eval`. Per-image results
    (:attr:`evalImgs`) and overlaps (:attr:`ious`) are made of native arrays when they are first read. A
    subclass that overrides ``computeIoU``, ``computeOks`` or ``evaluateImg`` has these called, image by
    image.

    :param cocoGt: ground truth: a :class:`COCO`, or that of ``pycocotools``. :attr:`cocoDt` can be assigned
        later.
    :param iouType: ``bbox``, ``segm`` or ``keypoints``.
    """

    def __init__(self, cocoGt: Any = None, cocoDt: Any = None, iouType: str = "segm") -> None:
        if not iouType:
            print("iouType not specified. use default iouType segm")
        self.cocoGt = cocoGt
        self.cocoDt = cocoDt
        self.eval: dict[str, Any] = {}
        self._gts: dict[Any, list[Record]] = defaultdict(list)
        self._dts: dict[Any, list[Record]] = defaultdict(list)
        self.params: Any = Params(iouType=iouType)
        self._paramsEval: Any = {}
        self.stats: Any = []
        self._grid: Grid | None = None
        self._entries: Any = defaultdict(list)
        self._ious: Any = {}
        if cocoGt is not None:
            self.params.imgIds = sorted(cocoGt.getImgIds())
            self.params.catIds = sorted(cocoGt.getCatIds())

    @property
    def evalImgs(self) -> Any:
        """Results by class, area range and image, a list of dicts and None; can be assigned."""
        if self._entries is None:
            assert self._grid is not None
            most = self._paramsEval.maxDets[-1]
            self._entries = self._grid.entries(lambda entry: _result(entry, most))
        return self._entries

    @evalImgs.setter
    def evalImgs(self, entries: Any) -> None:
        self._entries = entries

    @property
    def ious(self) -> Any:
        """Overlaps by image and class, detections by descending score × ground truths; can be assigned."""
        if self._ious is None:
            assert self._grid is not None
            self._ious = self._grid.overlaps()
        return self._ious

    @ious.setter
    def ious(self, ious: Any) -> None:
        self._ious = ious

    def __getstate__(self) -> dict[str, Any]:
        # Native arrays stay here; what they hold goes along as Python's own.
        state = {**self.__dict__, "_entries": self.evalImgs, "_ious": self.ious}
        state["_grid"] = None
        return state

    def _prepare(self) -> None:
        """Sorts the annotations of the chosen images and classes."""
        p = self.params
        chosen = {"imgIds": p.imgIds, "catIds": p.catIds} if p.useCats else {"imgIds": p.imgIds}
        gts = self.cocoGt.loadAnns(self.cocoGt.getAnnIds(**chosen))
        dts = self.cocoDt.loadAnns(self.cocoDt.getAnnIds(**chosen))
        if p.iouType == "segm":
            for anns, coco in ((gts, self.cocoGt), (dts, self.cocoDt)):
                for ann in anns:
                    ann["segmentation"] = coco.annToRLE(ann)
        for gt in gts:
            gt["ignore"] = "iscrowd" in gt and gt["iscrowd"]
            if p.iouType == "keypoints":
                gt["ignore"] = (gt["num_keypoints"] == 0) or gt["ignore"]
        self._gts, self._dts = defaultdict(list), defaultdict(list)
        for gt in gts:
            self._gts[gt["image_id"], gt["category_id"]].append(gt)
        for dt in dts:
            self._dts[dt["image_id"], dt["category_id"]].append(dt)
        self.evalImgs = defaultdict(list)
        self.eval = {}

    def evaluate(self) -> None:
        """Matches detections to ground truth, at every IoU threshold and in every area range."""
        start = time.time()
        print("Running per image evaluation...")
        p = self.params
        if p.useSegm is not None:
            p.iouType = "segm" if p.useSegm == 1 else "bbox"
            print(f"useSegm (deprecated) is not None. Running {p.iouType} evaluation")
        print(f"Evaluate annotation type *{p.iouType}*")
        p.imgIds = list(np.unique(p.imgIds))
        if p.useCats:
            p.catIds = list(np.unique(p.catIds))
        p.maxDets = sorted(p.maxDets)
        self.params = p
        self._prepare()
        classes = p.catIds if p.useCats else [-1]
        compute = self.computeOks if p.iouType == "keypoints" else self.computeIoU
        self._grid = None
        if p.iouType != "bbox" or self._overridden("computeIoU"):
            self.ious = {
                (image, category): compute(image, category) for image in p.imgIds for category in classes
            }
        else:
            self.ious = None
        if self._overridden("evaluateImg"):
            if self._ious is None:
                self.ious = {
                    (image, category): compute(image, category) for image in p.imgIds for category in classes
                }
            self.evalImgs = [
                self.evaluateImg(image, category, area, p.maxDets[-1])
                for category in classes
                for area in p.areaRng
                for image in p.imgIds
            ]
        else:
            ious = self._ious
            self._grid = self._match(
                classes, p.areaRng, p.maxDets[-1], p.imgIds, None if ious is None else lambda i, c: ious[i, c]
            )
            self.evalImgs = None
        self._paramsEval = copy.deepcopy(self.params)
        print(f"DONE (t={time.time() - start:0.2f}s).")

    def _overridden(self, name: str) -> bool:
        own: Any = getattr(COCOeval, name)
        return getattr(type(self), name) is not own or name in self.__dict__

    def _match(self, classes: Any, areas: Any, most: int, images: Any, overlaps: Any) -> Grid:
        p = self.params
        return Grid(
            self._gts,
            self._dts,
            images=images,
            classes=classes,
            merged=None if p.useCats else p.catIds,
            thresholds=p.iouThrs,
            areas=areas,
            most=most,
            crowds=True,
            overlaps=overlaps,
        )

    def _of(self, imgId: Any, catId: Any) -> tuple[list[Record], list[Record]]:
        p = self.params
        if p.useCats:
            return self._gts[imgId, catId], self._dts[imgId, catId]
        gts = [gt for category in p.catIds for gt in self._gts[imgId, category]]
        return gts, [dt for category in p.catIds for dt in self._dts[imgId, category]]

    def computeIoU(self, imgId: Any, catId: Any) -> Any:
        """Overlaps of an image and class, detections by descending score × ground truths; an empty list
        without any."""
        p = self.params
        gt, dt = self._of(imgId, catId)
        if len(gt) == 0 and len(dt) == 0:
            return []
        order = np.argsort([-d["score"] for d in dt], kind="mergesort")
        dt = [dt[i] for i in order][: p.maxDets[-1]]
        crowd = [int(g["iscrowd"]) for g in gt]
        if p.iouType == "segm":
            return mask.iou([d["segmentation"] for d in dt], [g["segmentation"] for g in gt], crowd)
        if p.iouType == "bbox":
            return mask.iou([d["bbox"] for d in dt], [g["bbox"] for g in gt], crowd)
        raise Exception("unknown iouType for iou computation")

    def computeOks(self, imgId: Any, catId: Any) -> Any:
        """Object keypoint similarities of an image and class, as :meth:`computeIoU`."""
        p = self.params
        gts, dts = self._gts[imgId, catId], self._dts[imgId, catId]
        order = np.argsort([-d["score"] for d in dts], kind="mergesort")
        dts = [dts[i] for i in order][: p.maxDets[-1]]
        if len(gts) == 0 or len(dts) == 0:
            return []
        ious = np.zeros((len(dts), len(gts)))
        variances = (p.kpt_oks_sigmas * 2) ** 2
        count = len(p.kpt_oks_sigmas)
        for j, gt in enumerate(gts):
            g = np.array(gt["keypoints"])
            xg, yg, visible = g[0::3], g[1::3], g[2::3]
            any_visible = np.count_nonzero(visible > 0)
            # Without a visible keypoint, anything within twice the box is at distance 0.
            box = gt["bbox"]
            x0, x1 = box[0] - box[2], box[0] + box[2] * 2
            y0, y1 = box[1] - box[3], box[1] + box[3] * 2
            for i, dt in enumerate(dts):
                d = np.array(dt["keypoints"])
                xd, yd = d[0::3], d[1::3]
                if any_visible > 0:
                    dx, dy = xd - xg, yd - yg
                else:
                    z = np.zeros(count)
                    dx = np.max((z, x0 - xd), axis=0) + np.max((z, xd - x1), axis=0)
                    dy = np.max((z, y0 - yd), axis=0) + np.max((z, yd - y1), axis=0)
                e = (dx**2 + dy**2) / variances / (gt["area"] + np.spacing(1)) / 2
                if any_visible > 0:
                    e = e[visible > 0]
                ious[i, j] = np.sum(np.exp(-e)) / e.shape[0]
        return ious

    def evaluateImg(self, imgId: Any, catId: Any, aRng: Any, maxDet: int) -> Record | None:
        """The result of an image and class in an area range, from :attr:`ious`; None without any
        annotation."""
        found = self.ious[imgId, catId]
        grid = self._match([catId], [aRng], maxDet, [imgId], lambda image, category: found)
        result: Record | None = grid.entries(lambda entry: _result(entry, maxDet))[0]
        return result

    def accumulate(self, p: Any = None) -> None:
        """Makes precision and recall of the per-image results, into :attr:`eval`.

        :param p: other parameters, of which images, classes, areas and caps are chosen among those that were
            evaluated.
        """
        print("Accumulating evaluation results...")
        start = time.time()
        lazy = self._entries is None
        if not lazy and not self.evalImgs:
            print("Please run evaluate() first")
        if p is None:
            p = self.params
        p.catIds = p.catIds if p.useCats == 1 else [-1]
        classes = len(p.catIds) if p.useCats else 1
        shape = [len(p.iouThrs), len(p.recThrs), classes, len(p.areaRng), len(p.maxDets)]
        was = self._paramsEval
        known = set(was.catIds if was.useCats else [-1])
        areas, caps, images = {tuple(area) for area in was.areaRng}, set(was.maxDets), set(was.imgIds)
        k_list = [n for n, category in enumerate(p.catIds) if category in known]
        m_list = [cap for cap in p.maxDets if cap in caps]
        a_list = [n for n, area in enumerate(p.areaRng) if tuple(area) in areas]
        i_list = [n for n, image in enumerate(p.imgIds) if image in images]
        if lazy:
            assert self._grid is not None
            found = self._grid.accumulate(k_list, a_list, i_list, m_list, p.recThrs, shape)
        else:
            counts = (len(was.areaRng), len(was.imgIds))
            found = accumulate_assigned(
                self.evalImgs, counts, (k_list, a_list, i_list), _NAMES, m_list, p.recThrs, shape
            )
        precision, recall, scores = found
        self.eval = {
            "params": p,
            "counts": shape,
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
            "precision": precision,
            "recall": recall,
            "scores": scores,
        }
        print(f"DONE (t={time.time() - start:0.2f}s).")

    def _mean(
        self, ap: int = 1, iouThr: float | None = None, areaRng: str = "all", maxDets: int = 100
    ) -> Any:
        """A mean over classes, printed; -1 where nothing counts."""
        p = self.params
        ious = f"{p.iouThrs[0]:0.2f}:{p.iouThrs[-1]:0.2f}" if iouThr is None else f"{iouThr:0.2f}"
        of_area = [n for n, label in enumerate(p.areaRngLbl) if label == areaRng]
        of_cap = [n for n, cap in enumerate(p.maxDets) if cap == maxDets]
        cells = self.eval["precision" if ap == 1 else "recall"]
        if iouThr is not None:
            cells = cells[np.where(iouThr == p.iouThrs)[0]]
        cells = cells[..., of_area, of_cap]
        defined = cells[cells > -1]
        mean = -1 if len(defined) == 0 else np.mean(defined)
        title, kind = ("Average Precision", "(AP)") if ap == 1 else ("Average Recall", "(AR)")
        print(
            f" {title:<18} {kind} @[ IoU={ious:<9} | area={areaRng:>6s} | maxDets={maxDets:>3d} ] = {mean:0.3f}"
        )
        return mean

    def summarize(self) -> None:
        """Prints the table and keeps its numbers in :attr:`stats`: 12 for boxes and masks, 10 for
        keypoints."""
        if not self.eval:
            raise Exception("Please run accumulate() first")
        if self.params.iouType == "keypoints":
            rows: list[dict[str, Any]] = [
                {},
                {"iouThr": 0.5},
                {"iouThr": 0.75},
                {"areaRng": "medium"},
                {"areaRng": "large"},
            ]
            every = [{"ap": ap, "maxDets": 20, **row} for ap in (1, 0) for row in rows]
        else:
            caps = self.params.maxDets
            # The first number is at 100 detections whatever the caps are, as in the original.
            every = [{"ap": 1}]
            every += [{"ap": 1, "iouThr": iou, "maxDets": caps[2]} for iou in (0.5, 0.75)]
            every += [{"ap": 1, "areaRng": area, "maxDets": caps[2]} for area in ("small", "medium", "large")]
            every += [{"ap": 0, "maxDets": cap} for cap in caps[:3]]
            every += [{"ap": 0, "areaRng": area, "maxDets": caps[2]} for area in ("small", "medium", "large")]
        stats = np.zeros(len(every))
        for n, row in enumerate(every):
            stats[n] = self._mean(**row)
        self.stats = stats

    def __str__(self) -> str:
        self.summarize()
        return ""


def _result(entry: Entry, most: int) -> Record:
    """An entry of ``evalImgs``."""
    return {
        "image_id": entry.image,
        "category_id": entry.category,
        "aRng": entry.area,
        "maxDet": most,
        "dtIds": [d["id"] for d in entry.found],
        "gtIds": [g["id"] for g in entry.truths],
        "dtMatches": entry.found_match,
        "gtMatches": entry.truth_match,
        "dtScores": [d["score"] for d in entry.found],
        "gtIgnore": entry.truth_ignored,
        "dtIgnore": entry.found_ignored,
    }
