"""Annotations in COCO's layout, as ``pycocotools.coco.COCO`` has them: dicts and lists of Python, held and
never copied."""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import mask
from . import _originals

Record = dict[str, Any]


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and hasattr(value, "__len__")


def _listed(value: Any) -> Any:
    return value if _is_list(value) else [value]


class COCO:
    """Annotations by image, class and id.

    :param annotation_file: path of a JSON file; without it, assign :attr:`dataset` and call
        :meth:`createIndex`.
    """

    def __init__(self, annotation_file: Any = None) -> None:
        self.dataset: Record = {}
        self.anns: dict[Any, Record] = {}
        self.cats: dict[Any, Record] = {}
        self.imgs: dict[Any, Record] = {}
        self.imgToAnns: dict[Any, list[Record]] = defaultdict(list)
        self.catToImgs: dict[Any, list[Any]] = defaultdict(list)
        if annotation_file is not None:
            print("loading annotations into memory...")
            start = time.time()
            with open(annotation_file, encoding="utf-8") as file:
                dataset = json.load(file)
            if not isinstance(dataset, dict):
                raise AssertionError(f"annotation file format {type(dataset)} not supported")
            print(f"Done (t={time.time() - start:0.2f}s)")
            self.dataset = dataset
            self.createIndex()

    def createIndex(self) -> None:
        """Sorts :attr:`dataset` by ids. What is changed in it later is seen after another call only."""
        print("creating index...")
        anns: dict[Any, Record] = {}
        of_image: dict[Any, list[Record]] = defaultdict(list)
        of_class: dict[Any, list[Any]] = defaultdict(list)
        for annotation in self.dataset.get("annotations", []):
            of_image[annotation["image_id"]].append(annotation)
            anns[annotation["id"]] = annotation
        imgs = {image["id"]: image for image in self.dataset.get("images", [])}
        cats = {category["id"]: category for category in self.dataset.get("categories", [])}
        if "annotations" in self.dataset and "categories" in self.dataset:
            for annotation in self.dataset["annotations"]:
                of_class[annotation["category_id"]].append(annotation["image_id"])
        print("index created!")
        self.anns, self.imgs, self.cats = anns, imgs, cats
        self.imgToAnns, self.catToImgs = of_image, of_class

    def info(self) -> None:
        """Prints the file's ``info``."""
        for key, value in self.dataset["info"].items():
            print(f"{key}: {value}")

    def getAnnIds(
        self, imgIds: Any = (), catIds: Any = (), areaRng: Sequence[float] = (), iscrowd: Any = None
    ) -> list[Any]:
        """Ids of the annotations of some images, classes, areas (open interval) and crowdedness; an empty
        list filters nothing."""
        imgIds, catIds = _listed(imgIds), _listed(catIds)
        if len(imgIds) > 0:
            lists = [self.imgToAnns[image] for image in imgIds if image in self.imgToAnns]
            anns = list(itertools.chain.from_iterable(lists))
        else:
            anns = self.dataset["annotations"]
        if len(catIds) > 0:
            wanted = _members(catIds)
            anns = [ann for ann in anns if ann["category_id"] in wanted]
        if len(areaRng) > 0:
            anns = [ann for ann in anns if areaRng[0] < ann["area"] < areaRng[1]]
        if iscrowd is not None:
            return [ann["id"] for ann in anns if ann["iscrowd"] == iscrowd]
        return [ann["id"] for ann in anns]

    def getCatIds(self, catNms: Any = (), supNms: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of the categories of some names, supercategories and ids; an empty list filters nothing."""
        cats = self.dataset["categories"]
        for field, wanted in (
            ("name", _listed(catNms)),
            ("supercategory", _listed(supNms)),
            ("id", _listed(catIds)),
        ):
            if len(wanted) > 0:
                cats = [cat for cat in cats if cat[field] in wanted]
        return [cat["id"] for cat in cats]

    def getImgIds(self, imgIds: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of the images that are among some ids and hold every one of some classes."""
        imgIds, catIds = _listed(imgIds), _listed(catIds)
        if len(imgIds) == len(catIds) == 0:
            return list(self.imgs.keys())
        ids = set(imgIds)
        for n, category in enumerate(catIds):
            held = set(self.catToImgs[category])
            ids = held if n == 0 and len(ids) == 0 else ids & held
        return list(ids)

    def loadAnns(self, ids: Any = ()) -> list[Record]:
        """Annotations of some ids."""
        return [self.anns[i] for i in _listed(ids)]

    def loadCats(self, ids: Any = ()) -> list[Record]:
        """Categories of some ids."""
        return [self.cats[i] for i in _listed(ids)]

    def loadImgs(self, ids: Any = ()) -> list[Record]:
        """Images of some ids."""
        return [self.imgs[i] for i in _listed(ids)]

    def loadRes(self, resFile: Any) -> COCO:
        """Detections: a path, a list of dicts, which are given ``id``, ``area`` and ``iscrowd``, or an array
        ``[N, 7]`` of image id, x, y, width, height, score and category id."""
        res = type(self)() if type(self).__init__ is COCO.__init__ else COCO()
        res.dataset["info"] = copy.deepcopy(self.dataset.get("info", {}))
        res.dataset["images"] = list(self.dataset["images"])
        print("Loading and preparing results...")
        start = time.time()
        if isinstance(resFile, str):
            with open(resFile, encoding="utf-8") as file:
                anns = json.load(file)
        elif isinstance(resFile, np.ndarray):
            anns = self.loadNumpyAnnotations(resFile)
        else:
            anns = resFile
        if not isinstance(anns, list):
            raise AssertionError("results in not an array of objects")
        if not {ann["image_id"] for ann in anns} <= set(self.getImgIds()):
            raise AssertionError("Results do not correspond to current coco set")
        # An empty list has no first entry to tell its kind; the original stops here with an IndexError.
        first = anns[0] if anns else {}
        if "caption" in first:
            found = {ann["image_id"] for ann in anns}
            res.dataset["images"] = [image for image in res.dataset["images"] if image["id"] in found]
            for n, ann in enumerate(anns):
                ann["id"] = n + 1
        else:
            res.dataset["categories"] = copy.deepcopy(self.dataset["categories"])
            _prepare_results(anns, first)
        print(f"DONE (t={time.time() - start:0.2f}s)")
        res.dataset["annotations"] = anns
        res.createIndex()
        return res

    def loadNumpyAnnotations(self, data: Any) -> list[Record]:
        """Detections as dicts, of an array ``[N, 7]`` of image id, x, y, width, height, score and category
        id."""
        if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 7:
            raise AssertionError(
                "an array of results must be [N, 7]: image id, x, y, width, height, score, category id"
            )
        return [
            {
                "image_id": int(row[0]),
                "bbox": [row[1], row[2], row[3], row[4]],
                "score": row[5],
                "category_id": int(row[6]),
            }
            for row in data
        ]

    def annToRLE(self, ann: Record) -> Any:
        """An annotation's polygons or run lengths as a compressed mask."""
        image = self.imgs[ann["image_id"]]
        height, width = image["height"], image["width"]
        outline = ann["segmentation"]
        if isinstance(outline, list):
            return mask.merge(mask.frPyObjects(outline, height, width))
        if isinstance(outline["counts"], list):
            return mask.frPyObjects(outline, height, width)
        return outline

    def annToMask(self, ann: Record) -> Any:
        """An annotation's mask ``[height, width]`` of 0 and 1."""
        return mask.decode(self.annToRLE(ann))

    def showAnns(self, anns: Any, draw_bbox: bool = False) -> Any:
        """Draws annotations with matplotlib, by the original."""
        return _originals.coco().showAnns(self, anns, draw_bbox)

    def download(self, tarDir: Any = None, imgIds: Any = ()) -> Any:
        """Downloads images, by the original."""
        return _originals.coco().download(self, tarDir, list(imgIds))


def _members(wanted: Any) -> Any:
    """A set where the entries can be in one: a list is searched from its beginning for every annotation."""
    try:
        return set(wanted)
    except TypeError:
        return wanted


def _prepare_results(anns: list[Record], first: Record) -> None:
    """Gives detections ids from 1, areas and boxes, by what the first of them has."""
    if "bbox" in first and first["bbox"] != []:
        for n, ann in enumerate(anns):
            x, y, width, height = ann["bbox"][0], ann["bbox"][1], ann["bbox"][2], ann["bbox"][3]
            x2, y2 = x + width, y + height
            if "segmentation" not in ann:
                ann["segmentation"] = [[x, y, x, y2, x2, y2, x2, y]]
            ann["area"] = width * height
            ann["id"] = n + 1
            ann["iscrowd"] = 0
    elif "segmentation" in first:
        for n, ann in enumerate(anns):
            ann["area"] = mask.area(ann["segmentation"])
            if "bbox" not in ann:
                ann["bbox"] = mask.toBbox(ann["segmentation"])
            ann["id"] = n + 1
            ann["iscrowd"] = 0
    elif "keypoints" in first:
        for n, ann in enumerate(anns):
            x, y = ann["keypoints"][0::3], ann["keypoints"][1::3]
            left, right, top, bottom = np.min(x), np.max(x), np.min(y), np.max(y)
            ann["area"] = (right - left) * (bottom - top)
            ann["id"] = n + 1
            ann["bbox"] = [left, top, right - left, bottom - top]
