"""Evaluation as ``lvis.LVISEval``: what callers read and assign is there, under the same names."""

from __future__ import annotations

import datetime
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import mask
from ._grid import Entry, Grid, Record, accumulate_assigned
from .lvis import LVIS, LVISResults

_NAMES = ["dt_scores", "dt_matches", "dt_ignore", "gt_ignore"]


class Params:
    """Settings of :class:`LVISEval`; any of them, and others, can be assigned."""

    def __init__(self, iou_type: str) -> None:
        self.img_ids: Any = []
        self.cat_ids: Any = []
        self.iou_thrs: Any = np.linspace(0.5, 0.95, 10, endpoint=True)
        self.rec_thrs: Any = np.linspace(0.0, 1.0, 101, endpoint=True)
        self.max_dets: Any = 300
        self.area_rng: Any = [[0**2, 1e5**2], [0**2, 32**2], [32**2, 96**2], [96**2, 1e5**2]]
        self.area_rng_lbl: Any = ["all", "small", "medium", "large"]
        self.use_cats: Any = 1
        self.img_count_lbl: Any = ["r", "c", "f"]
        self.iou_type: Any = iou_type


class LVISEval:
    """Evaluation of boxes or masks under the federated rules.

    ``run()``, then ``get_results()`` or ``print_results()``. Per-image results (:attr:`eval_imgs`) and
    overlaps (:attr:`ious`) are made of native arrays when they are first read.

    Two things are other than in the original, where they cannot have been meant: a second ``evaluate()``
    starts anew and does not count the ground truth twice, and ``use_cats = 0``, under which the original
    finds nothing, is refused.

    :param lvis_gt: a :class:`LVIS`, also that of ``lvis``, or a path.
    :param lvis_dt: a :class:`LVISResults`, also that of ``lvis``, a path or a list of dicts.
    :param iou_type: ``bbox`` or ``segm``.
    """

    def __init__(self, lvis_gt: Any, lvis_dt: Any, iou_type: str = "segm") -> None:
        self.logger = logging.getLogger(__name__)
        if iou_type not in ("bbox", "segm"):
            raise ValueError(f"iou_type: {iou_type} is not supported.")
        if isinstance(lvis_gt, str):
            lvis_gt = LVIS(lvis_gt)
        elif not hasattr(lvis_gt, "img_ann_map"):
            raise TypeError(f"Unsupported type {lvis_gt} of lvis_gt.")
        if isinstance(lvis_dt, (str, list)):
            lvis_dt = LVISResults(lvis_gt, lvis_dt)
        elif not hasattr(lvis_dt, "img_ann_map"):
            raise TypeError(f"Unsupported type {lvis_dt} of lvis_dt.")
        self.lvis_gt, self.lvis_dt = lvis_gt, lvis_dt
        self.eval: dict[str, Any] = {}
        self._gts: dict[Any, list[Record]] = defaultdict(list)
        self._dts: dict[Any, list[Record]] = defaultdict(list)
        self.params: Any = Params(iou_type=iou_type)
        self.results: OrderedDict[str, Any] = OrderedDict()
        self.img_nel: dict[Any, Any] = {}
        self.freq_groups: list[list[int]] = []
        self._grid: Grid | None = None
        self._entries: Any = defaultdict(list)
        self._ious: Any = {}
        self.params.img_ids = sorted(lvis_gt.get_img_ids())
        self.params.cat_ids = sorted(lvis_gt.get_cat_ids())

    @property
    def eval_imgs(self) -> Any:
        """Results by class, area range and image, a list of dicts and None; can be assigned."""
        if self._entries is None:
            assert self._grid is not None
            self._entries = self._grid.entries(_result)
        return self._entries

    @eval_imgs.setter
    def eval_imgs(self, entries: Any) -> None:
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
        state = {**self.__dict__, "_entries": self.eval_imgs, "_ious": self.ious}
        state["_grid"] = None
        return state

    def _prepare(self) -> None:
        """Sorts the annotations, and leaves out detections of classes that are not verified in their
        image."""
        cat_ids = self.params.cat_ids if self.params.cat_ids else None
        chosen = {"img_ids": self.params.img_ids, "cat_ids": cat_ids}
        gts = self.lvis_gt.load_anns(self.lvis_gt.get_ann_ids(**chosen))
        dts = self.lvis_dt.load_anns(self.lvis_dt.get_ann_ids(**chosen))
        if self.params.iou_type == "segm":
            for anns, lvis in ((gts, self.lvis_gt), (dts, self.lvis_dt)):
                for ann in anns:
                    ann["segmentation"] = lvis.ann_to_rle(ann)
        self._gts, self._dts = defaultdict(list), defaultdict(list)
        present: dict[Any, set[Any]] = defaultdict(set)
        for gt in gts:
            gt.setdefault("ignore", 0)
            self._gts[gt["image_id"], gt["category_id"]].append(gt)
            present[gt["image_id"]].add(gt["category_id"])
        images = self.lvis_gt.load_imgs(ids=self.params.img_ids)
        absent = {img["id"]: set(img["neg_category_ids"]) for img in images}
        self.img_nel = {img["id"]: img["not_exhaustive_category_ids"] for img in images}
        for dt in dts:
            image, category = dt["image_id"], dt["category_id"]
            if category in absent[image] or category in present[image]:
                self._dts[image, category].append(dt)
        self.freq_groups = self._prepare_freq_group()

    def _prepare_freq_group(self) -> list[list[int]]:
        groups: list[list[int]] = [[] for _ in self.params.img_count_lbl]
        for index, category in enumerate(self.lvis_gt.load_cats(self.params.cat_ids)):
            groups[self.params.img_count_lbl.index(category["frequency"])].append(index)
        return groups

    def evaluate(self) -> None:
        """Matches detections to ground truth, at every IoU threshold and in every area range."""
        self.logger.info("Running per image evaluation.")
        self.logger.info(f"Evaluate annotation type *{self.params.iou_type}*")
        if not self.params.use_cats:
            raise NotImplementedError("use_cats = 0: the original finds nothing then; leave it at 1")
        self.params.img_ids = list(np.unique(self.params.img_ids))
        self._prepare()
        p = self.params
        overridden = [
            n for n in ("compute_iou", "evaluate_img") if getattr(type(self), n) is not getattr(LVISEval, n)
        ]
        self._grid, self.ious = None, None
        if p.iou_type != "bbox" or overridden:
            self.ious = {(i, c): self.compute_iou(i, c) for i in p.img_ids for c in p.cat_ids}
        if "evaluate_img" in overridden:
            self.eval_imgs = [
                self.evaluate_img(image, category, area)
                for category in p.cat_ids
                for area in p.area_rng
                for image in p.img_ids
            ]
            return
        ious = self._ious
        overlaps = None if ious is None else lambda image, category: ious[image, category]
        self._grid = self._match(p.cat_ids, p.area_rng, p.img_ids, overlaps)
        self.eval_imgs = None

    def _match(self, classes: Any, areas: Any, images: Any, overlaps: Any) -> Grid:
        return Grid(
            self._gts,
            self._dts,
            images=images,
            classes=classes,
            merged=None,
            thresholds=self.params.iou_thrs,
            areas=areas,
            most=None,
            crowds=False,
            open=lambda d: d["category_id"] in self.img_nel[d["image_id"]],
            overlaps=overlaps,
        )

    def compute_iou(self, img_id: Any, cat_id: Any) -> Any:
        """Overlaps of an image and class, detections by descending score × ground truths; an empty list
        without any."""
        gt, dt = self._gts[img_id, cat_id], self._dts[img_id, cat_id]
        if len(gt) == 0 and len(dt) == 0:
            return []
        order = np.argsort([-d["score"] for d in dt], kind="mergesort")
        dt = [dt[i] for i in order]
        crowd = [0] * len(gt)
        if self.params.iou_type == "segm":
            return mask.iou([d["segmentation"] for d in dt], [g["segmentation"] for g in gt], crowd)
        if self.params.iou_type == "bbox":
            return mask.iou([d["bbox"] for d in dt], [g["bbox"] for g in gt], crowd)
        raise ValueError("Unknown iou_type for iou computation.")

    def evaluate_img(self, img_id: Any, cat_id: Any, area_rng: Any) -> Record | None:
        """The result of an image and class in an area range, from :attr:`ious`; None without any
        annotation."""
        found = self.ious[img_id, cat_id]
        result: Record | None = self._match([cat_id], [area_rng], [img_id], lambda i, c: found).entries(
            _result
        )[0]
        return result

    def accumulate(self) -> None:
        """Makes precision and recall of the per-image results, into :attr:`eval`."""
        self.logger.info("Accumulating evaluation results.")
        lazy = self._entries is None
        if not lazy and not self.eval_imgs:
            self.logger.warning("Please run evaluate first.")
        p = self.params
        counts = [len(p.iou_thrs), len(p.rec_thrs), len(p.cat_ids), len(p.area_rng)]
        chosen = (list(range(counts[2])), list(range(counts[3])), list(range(len(p.img_ids))))
        shape = [*counts, 1]
        if lazy:
            assert self._grid is not None
            found = self._grid.accumulate(*chosen, [None], p.rec_thrs, shape)
        else:
            sizes = (counts[3], len(p.img_ids))
            found = accumulate_assigned(self.eval_imgs, sizes, chosen, _NAMES, [None], p.rec_thrs, shape)
        precision, recall, _ = found
        self.eval = {
            "params": p,
            "counts": counts,
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
            "precision": precision[..., 0],
            "recall": recall[..., 0],
            "dt_pointers": _Pointers(self, counts[2], counts[3]),
        }

    def _summarize(
        self,
        summary_type: str,
        iou_thr: float | None = None,
        area_rng: str = "all",
        freq_group_idx: int | None = None,
    ) -> Any:
        """A mean over classes; -1 where nothing counts."""
        p = self.params
        area = [n for n, label in enumerate(p.area_rng_lbl) if label == area_rng]
        cells = self.eval["precision" if summary_type == "ap" else "recall"]
        if iou_thr is not None:
            cells = cells[np.where(iou_thr == p.iou_thrs)[0]]
        if summary_type == "ap" and freq_group_idx is not None:
            cells = cells[:, :, self.freq_groups[freq_group_idx], area]
        else:
            cells = cells[..., area]
        defined = cells[cells > -1]
        return -1 if len(defined) == 0 else np.mean(defined)

    def summarize(self) -> None:
        """Makes the table, into :attr:`results`."""
        if not self.eval:
            raise RuntimeError("Please run accumulate() first.")
        cap = self.params.max_dets
        self.results["AP"] = self._summarize("ap")
        self.results["AP50"] = self._summarize("ap", iou_thr=0.50)
        self.results["AP75"] = self._summarize("ap", iou_thr=0.75)
        for area in ("small", "medium", "large"):
            self.results[f"AP{area[0]}"] = self._summarize("ap", area_rng=area)
        for index, group in enumerate(("r", "c", "f")):
            self.results[f"AP{group}"] = self._summarize("ap", freq_group_idx=index)
        self.results[f"AR@{cap}"] = self._summarize("ar")
        for area in ("small", "medium", "large"):
            self.results[f"AR{area[0]}@{cap}"] = self._summarize("ar", area_rng=area)

    def run(self) -> None:
        """Evaluates, accumulates and summarises."""
        self.evaluate()
        self.accumulate()
        self.summarize()

    def print_results(self) -> None:
        """Prints the table."""
        p = self.params
        for key, value in self.results.items():
            title, kind = ("Average Precision", "(AP)") if "AP" in key else ("Average Recall", "(AR)")
            third = key[2] if len(key) > 2 else ""
            iou = (
                f"{float(key[2:]) / 100:0.2f}"
                if third.isdigit()
                else f"{p.iou_thrs[0]:0.2f}:{p.iou_thrs[-1]:0.2f}"
            )
            group = third if third and third in "rcf" else "all"
            area = third if third and third in "sml" else "all"
            print(
                f" {title:<18} {kind} @[ IoU={iou:<9} | area={area:>6s} | maxDets={p.max_dets:>3d} "
                f"catIds={group:>3s}] = {value:0.3f}"
            )

    def get_results(self) -> OrderedDict[str, Any]:
        """Metrics by name."""
        if not self.results:
            self.logger.warning("results is empty. Call run().")
        return self.results


def _result(entry: Entry) -> Record:
    """An entry of ``eval_imgs``."""
    return {
        "image_id": entry.image,
        "category_id": entry.category,
        "area_rng": entry.area,
        "dt_ids": [d["id"] for d in entry.found],
        "gt_ids": [g["id"] for g in entry.truths],
        "dt_matches": entry.found_match,
        "gt_matches": entry.truth_match,
        "dt_scores": [d["score"] for d in entry.found],
        "gt_ignore": entry.truth_ignored,
        "dt_ignore": entry.found_ignored,
    }


class _Pointers(Mapping[int, "Mapping[int, Record]"]):
    """``eval["dt_pointers"]``: by class and area range, all detections by score with what they are. Made when
    read."""

    def __init__(self, evaluation: LVISEval, classes: int, areas: int) -> None:
        self._evaluation, self._classes, self._areas = evaluation, classes, areas
        self._images = len(evaluation.params.img_ids)

    def __len__(self) -> int:
        return self._classes

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._classes))

    def __getitem__(self, category: int) -> dict[int, Record]:
        if category not in range(self._classes):
            raise KeyError(category)
        return {area: self._of(category, area) for area in range(self._areas)}

    def _of(self, category: int, area: int) -> Record:
        first = (category * self._areas + area) * self._images
        entries = [e for e in self._evaluation.eval_imgs[first : first + self._images] if e is not None]
        if not entries or not any(np.count_nonzero(e["gt_ignore"] == 0) for e in entries):
            return {}
        order = np.argsort(-np.concatenate([e["dt_scores"] for e in entries]), kind="mergesort")
        matched = np.concatenate([e["dt_matches"] for e in entries], axis=1)[:, order]
        counted = np.logical_not(np.concatenate([e["dt_ignore"] for e in entries], axis=1)[:, order])
        return {
            "dt_ids": np.concatenate([e["dt_ids"] for e in entries])[order],
            "tps": np.logical_and(matched, counted),
            "fps": np.logical_and(np.logical_not(matched), counted),
        }
