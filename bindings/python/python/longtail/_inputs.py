"""Ground truth and detections in every form in which people have them, as the native module takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ._errors import DataError
from ._types import Detections, Floats, GroundTruth, Ints, Training

Columns: TypeAlias = tuple[Ints, Ints, Floats, Floats]

FORMS = (
    "a path, a list of dicts {image_id, category_id, bbox, score}, an array [N, 7] of image id, x, y, width, height, "
    "score, category id, a dict of columns {image_id, category_id, bbox or xyxy, score}, a list of dicts "
    "{image_id, boxes, labels, scores} an image, or a dict of these by image id"
)


def to_numpy(value: Any) -> np.ndarray[Any, Any]:
    """An array of NumPy, of a list, a tensor of any device, or anything else that NumPy takes."""
    detach = getattr(value, "detach", None)
    if detach is not None:
        value = detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    return np.asarray(value)


def ids(value: Any, field: str) -> Ints:
    """Whole numbers ``[N]``."""
    array = to_numpy(value)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise DataError(
            f"{field}: expected whole numbers [N], found {array.dtype} of shape {array.shape}", field=field
        )
    whole = array.astype(np.int64)
    if array.dtype.kind == "f" and not np.array_equal(whole, array):
        entry = int(np.flatnonzero(whole != array)[0])
        raise DataError(
            f"{field}[{entry}]: expected a whole number, found {array[entry]}", entry=entry, field=field
        )
    return whole


def floats(value: Any, field: str) -> Floats:
    """Numbers ``[N]``."""
    array = to_numpy(value)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise DataError(
            f"{field}: expected numbers [N], found {array.dtype} of shape {array.shape}", field=field
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def boxes(value: Any, field: str, *, corners: bool) -> Floats:
    """Boxes ``[N, 4]`` as x, y, width, height."""
    array = to_numpy(value)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise DataError(
            f"{field}: expected numbers [N, 4], found {array.dtype} of shape {array.shape}", field=field
        )
    found = np.array(array, dtype=np.float64, order="C")
    if corners:
        found[:, 2:] -= found[:, :2]
    return found


def detections(value: Detections) -> str | list[Any] | Columns:
    """Detections as the native module takes them."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    dataset = getattr(value, "dataset", None)
    if isinstance(dataset, dict):
        # What ``COCO.loadRes`` gives; an empty one has no list.
        return list(dataset.get("annotations", []))
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):
        return _table(to_numpy(value))
    if isinstance(value, Sequence):
        entries: list[Any] = list(value)
        if entries and isinstance(entries[0], Mapping) and "boxes" in entries[0]:
            return of_images(entries)
        return entries
    raise TypeError(f"detections are {type(value).__name__}; give {FORMS}")


def _mapping(value: Mapping[Any, Any]) -> Columns:
    if "image_id" in value:
        for name in ("category_id", "score"):
            if name not in value:
                raise DataError(f"the columns of the detections lack {name!r}", field=name)
        given = [name for name in ("bbox", "xyxy") if name in value]
        if len(given) != 1:
            raise DataError(
                "give the boxes as one of the columns bbox (x, y, width, height) and xyxy", field="bbox"
            )
        return (
            ids(value["image_id"], "image_id"),
            ids(value["category_id"], "category_id"),
            boxes(value[given[0]], given[0], corners=given[0] == "xyxy"),
            floats(value["score"], "score"),
        )
    if all(isinstance(found, Mapping) and "boxes" in found for found in value.values()):
        return of_images([{**found, "image_id": image} for image, found in value.items()])
    raise DataError(f"the dict of detections has {sorted(map(str, value))[:5]}; give {FORMS}")


def _table(array: np.ndarray[Any, Any]) -> Columns:
    if array.ndim != 2 or array.shape[1] != 7:
        raise DataError(
            f"an array of detections must be [N, 7], image id, x, y, width, height, score, category id; its shape is "
            f"{array.shape}"
        )
    return (
        ids(array[:, 0], "image_id"),
        ids(array[:, 6], "category_id"),
        boxes(array[:, 1:5], "bbox", corners=False),
        floats(array[:, 5], "score"),
    )


def of_images(entries: Sequence[Mapping[str, Any]]) -> Columns:
    """Columns of torchvision's dicts: ``boxes [n, 4]`` by corners, ``labels [n]``, ``scores [n]``,
    ``image_id``."""
    columns: list[Columns] = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))]
    for index, entry in enumerate(entries):
        where = f"detections[{index}]"
        for name in ("boxes", "labels", "scores", "image_id"):
            if name not in entry:
                raise DataError(f"{where} has no {name!r}", entry=index, field=name)
        image = int(to_numpy(entry["image_id"]).reshape(-1)[0])
        found = boxes(entry["boxes"], f"{where}.boxes", corners=True)
        labels, scores = ids(entry["labels"], f"{where}.labels"), floats(entry["scores"], f"{where}.scores")
        if not len(found) == len(labels) == len(scores):
            raise DataError(
                f"{where} has {len(found)} boxes, {len(labels)} labels and {len(scores)} scores; they must agree",
                entry=index,
            )
        columns.append((np.full(len(found), image), labels, found, scores))
    joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
    return joined[0], joined[1], joined[2], joined[3]


def ground_truth(value: GroundTruth) -> str | dict[str, Any]:
    """Ground truth as the native module takes it: a path, or a data set as COCO's and LVIS's JSON has it."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    held = getattr(value, "dataset", None)
    if isinstance(held, dict):
        return held
    if isinstance(value, Mapping):
        return _columns_of_truth(value) if "image_id" in value else dict(value)
    raise TypeError(
        f"ground truth is {type(value).__name__}; give a path, a dict with images, annotations and categories, an object "
        "with such a dict as its attribute dataset (pycocotools' COCO, lvis' LVIS), or a dict of columns "
        "{image_id, category_id, bbox or xyxy}"
    )


def _columns_of_truth(value: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as a data set. ``images`` (ids) and ``categories`` (ids, or names by id) name what has no
    box."""
    if "category_id" not in value:
        raise DataError("the columns of the ground truth lack 'category_id'", field="category_id")
    given = [name for name in ("bbox", "xyxy") if name in value]
    if len(given) != 1:
        raise DataError(
            "give the boxes as one of the columns bbox (x, y, width, height) and xyxy", field="bbox"
        )
    image, category = ids(value["image_id"], "image_id"), ids(value["category_id"], "category_id")
    rows = boxes(value[given[0]], given[0], corners=given[0] == "xyxy")
    if not len(image) == len(category) == len(rows):
        raise DataError(
            f"the columns have {len(image)}, {len(category)} and {len(rows)} rows; they must agree"
        )
    names = value.get("categories", np.unique(category))
    listed = dict(names) if isinstance(names, Mapping) else {int(c): str(c) for c in ids(names, "categories")}
    annotations: list[dict[str, Any]] = [
        {"id": n + 1, "image_id": i, "category_id": c, "bbox": b}
        for n, (i, c, b) in enumerate(zip(image.tolist(), category.tolist(), rows.tolist(), strict=True))
    ]
    for name, kind in (("area", floats), ("iscrowd", ids)):
        if name in value:
            column = kind(value[name], name).tolist()
            if len(column) != len(annotations):
                raise DataError(f"{name} has {len(column)} rows for {len(annotations)} boxes", field=name)
            for annotation, item in zip(annotations, column, strict=True):
                annotation[name] = item
    images = ids(value["images"], "images") if "images" in value else np.unique(image)
    return {
        "images": [{"id": i} for i in images.tolist()],
        "categories": [{"id": int(c), "name": str(name)} for c, name in listed.items()],
        "annotations": annotations,
    }


def training(value: Training | None) -> str | dict[Any, Any] | None:
    """Where frequency groups come from: a data set in any form, or image counts by category id."""
    if value is None:
        return None
    if isinstance(value, Mapping) and "images" not in value and "image_id" not in value:
        return {int(category): int(count) for category, count in value.items()}
    return ground_truth(value)
