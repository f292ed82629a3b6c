"""Annotations in LVIS's layout, as ``lvis.LVIS``, and detections, as ``lvis.LVISResults``."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from copy import deepcopy
from typing import Any

from .. import mask
from .coco import COCO, Record


class LVIS:
    """Annotations by image, class and id.

    :param annotation_path: path of a JSON file.
    """

    def __init__(self, annotation_path: Any) -> None:
        self.logger = logging.getLogger(__name__)
        self.logger.info("Loading annotations.")
        self.dataset: Record = self._load_json(annotation_path)
        if not isinstance(self.dataset, dict):
            raise AssertionError(f"Annotation file format {type(self.dataset)} not supported.")
        self._create_index()

    def _load_json(self, path: Any) -> Any:
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def _create_index(self) -> None:
        self.logger.info("Creating index.")
        self.img_ann_map: dict[Any, list[Record]] = defaultdict(list)
        self.cat_img_map: dict[Any, list[Any]] = defaultdict(list)
        self.anns: dict[Any, Record] = {}
        for ann in self.dataset["annotations"]:
            self.img_ann_map[ann["image_id"]].append(ann)
            self.cat_img_map[ann["category_id"]].append(ann["image_id"])
            self.anns[ann["id"]] = ann
        self.imgs: dict[Any, Record] = {img["id"]: img for img in self.dataset["images"]}
        self.cats: dict[Any, Record] = {cat["id"]: cat for cat in self.dataset["categories"]}
        self.logger.info("Index created.")

    def get_ann_ids(self, img_ids: Any = None, cat_ids: Any = None, area_rng: Any = None) -> list[Any]:
        """Ids of the annotations of some images, classes and areas (open interval; with ``cat_ids``, above
        0)."""
        if img_ids is None:
            anns = self.dataset["annotations"]
        else:
            anns = [ann for image in img_ids for ann in self.img_ann_map[image]]
        if cat_ids is None and area_rng is None:
            return [ann["id"] for ann in anns]
        wanted = set(cat_ids)
        least, most = (0, float("inf")) if area_rng is None else area_rng
        return [ann["id"] for ann in anns if ann["category_id"] in wanted and least < ann["area"] < most]

    def get_cat_ids(self) -> list[Any]:
        """All category ids."""
        return list(self.cats.keys())

    def get_img_ids(self) -> list[Any]:
        """All image ids."""
        return list(self.imgs.keys())

    def _load_helper(self, records: dict[Any, Record], ids: Any) -> list[Record]:
        return list(records.values()) if ids is None else [records[i] for i in ids]

    def load_anns(self, ids: Any = None) -> list[Record]:
        """Annotations of some ids; all for None."""
        return self._load_helper(self.anns, ids)

    def load_cats(self, ids: Any) -> list[Record]:
        """Categories of some ids; all for None."""
        return self._load_helper(self.cats, ids)

    def load_imgs(self, ids: Any) -> list[Record]:
        """Images of some ids; all for None."""
        return self._load_helper(self.imgs, ids)

    def ann_to_rle(self, ann: Record) -> Any:
        """An annotation's polygons or run lengths as a compressed mask."""
        return COCO.annToRLE(self, ann)  # type: ignore[arg-type]

    def ann_to_mask(self, ann: Record) -> Any:
        """An annotation's mask ``[height, width]`` of 0 and 1."""
        return mask.decode(self.ann_to_rle(ann))


class LVISResults(LVIS):
    """Detections; those of an image beyond the best ``max_dets`` are left out.

    :param lvis_gt: a :class:`LVIS` or a path.
    :param results: a path or a list of dicts, which are given ``id`` and ``area``.
    :param max_dets: below 0 for no cap.
    """

    def __init__(self, lvis_gt: Any, results: Any, max_dets: int = 300) -> None:
        if hasattr(lvis_gt, "dataset"):
            # The annotations are replaced at once; a copy of them would be waste.
            self.dataset = {name: deepcopy(v) for name, v in lvis_gt.dataset.items() if name != "annotations"}
        elif isinstance(lvis_gt, str):
            self.dataset = self._load_json(lvis_gt)
        else:
            raise TypeError(f"Unsupported type {lvis_gt} of lvis_gt.")
        self.logger = logging.getLogger(__name__)
        self.logger.info("Loading and preparing results.")
        if isinstance(results, str):
            anns = self._load_json(results)
        else:
            self.logger.warning("Assuming user provided the results in correct format.")
            anns = results
        if not isinstance(anns, list):
            raise AssertionError("results is not a list.")
        if max_dets >= 0:
            anns = self.limit_dets_per_image(anns, max_dets)
        # An empty list has no first entry to tell its kind; the original stops here with an IndexError.
        first = anns[0] if anns else {}
        if "bbox" in first:
            for n, ann in enumerate(anns):
                x, y, width, height = ann["bbox"]
                x2, y2 = x + width, y + height
                if "segmentation" not in ann:
                    ann["segmentation"] = [[x, y, x, y2, x2, y2, x2, y]]
                ann["area"] = width * height
                ann["id"] = n + 1
        elif "segmentation" in first:
            for n, ann in enumerate(anns):
                ann["area"] = mask.area(ann["segmentation"])
                if "bbox" not in ann:
                    ann["bbox"] = mask.toBbox(ann["segmentation"])
                ann["id"] = n + 1
        self.dataset["annotations"] = anns
        self._create_index()
        if not {ann["image_id"] for ann in anns} <= set(self.get_img_ids()):
            raise AssertionError("Results do not correspond to current LVIS set.")

    def limit_dets_per_image(self, anns: list[Record], max_dets: int) -> list[Record]:
        """The best detections of each image, images in the order in which they first appear."""
        of_image: dict[Any, list[Record]] = defaultdict(list)
        for ann in anns:
            of_image[ann["image_id"]].append(ann)
        for image, found in of_image.items():
            if len(found) > max_dets:
                of_image[image] = sorted(found, key=lambda ann: ann["score"], reverse=True)[:max_dets]
        return [ann for found in of_image.values() for ann in found]

    def get_top_results(self, img_id: Any, score_thrs: float) -> list[Record]:
        """Detections of an image above a score."""
        anns = self.load_anns(self.get_ann_ids(img_ids=[img_id]))
        return [ann for ann in anns if ann["score"] > score_thrs]
