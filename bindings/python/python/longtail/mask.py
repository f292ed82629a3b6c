"""Masks under the names of ``pycocotools.mask``: run lengths ``{"size": [height, width], "counts": bytes}``.

Results are those of ``pycocotools`` 2.0.11 to the bit. What makes it crash or read beyond its memory is a
:class:`longtail.DataError` here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from . import _core
from ._errors import DataError

__all__ = ["area", "decode", "encode", "frPyObjects", "iou", "merge", "toBbox"]

Rle: TypeAlias = dict[str, Any]


def _read(masks: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, bytes]]:
    found = []
    for index, mask in enumerate(masks):
        try:
            (height, width), counts = mask["size"], mask["counts"]
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"mask {index} is not {{size: [height, width], counts: text}}",
                entry=index,
                field="segmentation",
            ) from None
        if isinstance(counts, str):
            counts = counts.encode("ascii", "replace")
        if not isinstance(counts, bytes):
            raise DataError(
                f"mask {index} has counts of type {type(counts).__name__}; compress lists with frPyObjects first",
                entry=index,
                field="counts",
            )
        found.append((int(height), int(width), counts))
    return found


def _written(mask: tuple[int, int, bytes]) -> Rle:
    return {"size": [mask[0], mask[1]], "counts": mask[2]}


def _is_one(masks: Any) -> bool:
    return isinstance(masks, Mapping)


def encode(bimask: Any) -> Any:
    """Run lengths of a bitmap ``[height, width]``, or a list of those of ``[height, width, count]``.

    >>> encode(np.ones((2, 3), np.uint8))
    {'size': [2, 3], 'counts': b'06'}
    """
    array = np.asarray(bimask)
    if array.ndim not in (2, 3) or array.dtype.kind not in "bui":
        raise DataError(
            f"a bitmap is whole numbers [height, width] or [height, width, count], found {array.dtype} of shape "
            f"{array.shape}"
        )
    array = (array != 0).astype(np.uint8)
    masks = [_written(mask) for mask in _core.encode_masks(array[:, :, None] if array.ndim == 2 else array)]
    return masks[0] if array.ndim == 2 else masks


def decode(rleObjs: Any) -> Any:
    """Bitmap ``[height, width]`` of 0 and 1 of run lengths, or ``[height, width, count]`` of a list."""
    one = _is_one(rleObjs)
    bitmaps = _core.decode_masks(_read([rleObjs] if one else rleObjs))
    return bitmaps[:, :, 0] if one else bitmaps


def area(rleObjs: Any) -> Any:
    """Number of pixels of run lengths, or ``[count]`` of a list."""
    one = _is_one(rleObjs)
    areas = _core.mask_areas(_read([rleObjs] if one else rleObjs))
    return areas[0] if one else areas


def toBbox(rleObjs: Any) -> Any:
    """Box x, y, width, height of run lengths, ``[4]``, or ``[count, 4]`` of a list."""
    one = _is_one(rleObjs)
    boxes = _core.mask_boxes(_read([rleObjs] if one else rleObjs))
    return boxes[0] if one else boxes


def merge(rleObjs: Sequence[Mapping[str, Any]], intersect: Any = 0) -> Rle:
    """Union of run lengths, or their intersection."""
    return _written(_core.merge_masks(_read(rleObjs), bool(intersect)))


def iou(dt: Any, gt: Any, pyiscrowd: Any) -> Any:
    """Overlaps of run lengths, or of boxes x, y, width, height, detections × ground truths; an empty list where one side is
    empty.

    :param pyiscrowd: for each ground truth; of a crowd, the overlap is by the detection's area.
    """
    if len(dt) == 0 or len(gt) == 0:
        return []
    crowd = [bool(c) for c in pyiscrowd]
    if len(crowd) != len(gt):
        raise DataError(
            f"{len(crowd)} crowd marks for {len(gt)} ground truths; give one each", field="iscrowd"
        )
    if _is_one(dt[0]) != _is_one(gt[0]):
        raise DataError("The dt and gt should have the same data type, either RLEs, list or np.ndarray")
    if _is_one(dt[0]):
        return _core.mask_overlaps(_read(dt), _read(gt), crowd)
    rows = [np.ascontiguousarray(np.asarray(boxes, dtype=np.float64).reshape(-1, 4)) for boxes in (dt, gt)]
    return _core.box_overlaps(rows[0], rows[1], crowd)


def frPyObjects(pyobj: Any, h: int, w: int) -> Any:
    """Run lengths of polygons, boxes or counts: of a list of them a list, of one of them one.

    >>> frPyObjects([[0, 0, 4, 0, 4, 4]], 5, 5)
    [{'size': [5, 5], 'counts': b'5141O14'}]
    """
    if isinstance(pyobj, np.ndarray):
        return _of_boxes(pyobj.reshape(-1, 4).tolist(), h, w)
    if isinstance(pyobj, Mapping):
        return _of_counts(pyobj)
    if not isinstance(pyobj, (list, tuple)) or len(pyobj) == 0:
        raise DataError("give polygons, boxes or run lengths", field="segmentation")
    first = pyobj[0]
    if isinstance(first, Mapping):
        return [_of_counts(entry) for entry in pyobj]
    if hasattr(first, "__len__"):
        rows = [[float(value) for value in row] for row in pyobj]
        return _of_boxes(rows, h, w) if len(first) == 4 else _of_polygons(rows, h, w)
    row = [[float(value) for value in pyobj]]
    return (_of_boxes(row, h, w) if len(pyobj) == 4 else _of_polygons(row, h, w))[0]


def _of_boxes(boxes: list[list[float]], h: int, w: int) -> list[Rle]:
    return [_written(mask) for mask in _core.masks_of_boxes(boxes, int(h), int(w))]


def _of_polygons(polygons: list[list[float]], h: int, w: int) -> list[Rle]:
    return [_written(mask) for mask in _core.masks_of_polygons(polygons, int(h), int(w))]


def _of_counts(mask: Mapping[str, Any]) -> Rle:
    height, width = mask["size"]
    return _written(_core.mask_of_counts([int(c) for c in mask["counts"]], int(height), int(width)))
