"""What both evaluators share: annotations by image and class as arrays, and the native cells made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core

Record = dict[str, Any]
Lists = Mapping[tuple[Any, Any], list[Record]]


class Grid:
    """Matched images and classes, with the dicts that they came from.

    :param truths, found: annotations by image and class, as the originals hold them.
    :param images, classes: ids in the order of the results; ``classes`` has -1 alone where classes do not
        matter.
    :param merged: the classes that are then one, in their order.
    :param open: whether an unmatched detection is not counted (LVIS: its class is not exhaustively
        annotated).
    :param overlaps: by image and class, for other things than boxes.
    """

    def __init__(
        self,
        truths: Lists,
        found: Lists,
        *,
        images: Sequence[Any],
        classes: Sequence[Any],
        merged: Sequence[Any] | None,
        thresholds: Any,
        areas: Sequence[Any],
        most: int | None,
        crowds: bool,
        open: Any = None,
        overlaps: Any = None,
    ) -> None:
        self.images, self.classes, self.areas = list(images), list(classes), list(areas)
        truth_keys, self.truths = self._flat(truths, merged)
        found_keys, self.found = self._flat(found, merged)
        boxes = overlaps is None
        nothing = np.zeros(0)
        truth = _Columns(truth_keys, self.truths, boxes)
        truth.ignore = np.array([bool(g["ignore"]) for g in self.truths], dtype=bool)
        if crowds:
            truth.crowd = np.array([bool(int(g["iscrowd"])) for g in self.truths], dtype=bool)
        else:
            truth.crowd = np.zeros(len(self.truths), dtype=bool)
        truth.score = nothing
        detections = _Columns(found_keys, self.found, boxes)
        detections.ignore = np.array([open is not None and open(d) for d in self.found], dtype=bool)
        detections.crowd = np.zeros(0, dtype=bool)
        detections.score = np.array([d["score"] for d in self.found], dtype=np.float64)
        self.truth_ids, self.found_ids = truth.id, detections.id
        self.thresholds = np.asarray(thresholds, dtype=np.float64)
        given = None
        if not boxes:
            keys = np.union1d(truth_keys, found_keys)
            given = [_table(overlaps(*self._ids(int(key)))) for key in keys]
        self.cells = _core.evaluate_cells(
            truth,
            detections,
            self.thresholds.tolist(),
            np.asarray(areas, dtype=np.float64).tolist(),
            most,
            given,
        )
        self.keys: list[int] = self.cells.keys.tolist()

    def _ids(self, key: int) -> tuple[Any, Any]:
        return self.images[key % len(self.images)], self.classes[key // len(self.images)]

    def _flat(self, lists: Lists, merged: Sequence[Any] | None) -> tuple[Any, list[Record]]:
        """Keys, ascending, with the annotations in their order."""
        column = {image: n for n, image in enumerate(self.images)}
        cells: list[tuple[int, list[Record]]] = []
        if merged is None:
            row = {category: n for n, category in enumerate(self.classes)}
            for (image, category), anns in lists.items():
                if anns and image in column and category in row:
                    cells.append((row[category] * len(self.images) + column[image], anns))
            cells.sort(key=lambda cell: cell[0])
        else:
            rank = {category: n for n, category in enumerate(merged)}
            several = [
                (column[i], rank[c], anns) for (i, c), anns in lists.items() if i in column and c in rank
            ]
            several.sort(key=lambda cell: cell[:2])
            cells = [(image, anns) for image, _, anns in several]
        keys = np.repeat(
            np.array([key for key, _ in cells], dtype=np.int64),
            np.array([len(anns) for _, anns in cells], dtype=np.int64),
        )
        return keys, [ann for _, anns in cells for ann in anns]

    def overlaps(self) -> dict[tuple[Any, Any], Any]:
        """Overlaps by image and class; an empty list where one of both sides is missing."""
        table: dict[tuple[Any, Any], Any] = {(i, c): [] for i in self.images for c in self.classes}
        for cell, key in enumerate(self.keys):
            found = self.cells.overlaps(cell)
            if found is not None:
                table[self._ids(key)] = found
        return table

    def entries(self, make: Any) -> list[Any]:
        """Results by class, area range and image: None, or what ``make`` makes of an :class:`Entry`."""
        count, areas = len(self.images), len(self.areas)
        entries: list[Any] = [None] * (len(self.classes) * areas * count)
        for cell, key in enumerate(self.keys):
            row, column = divmod(key, count)
            for area in range(areas):
                entry = Entry(self, *self._ids(key), area, *self.cells.entry(cell, area))
                entries[(row * areas + area) * count + column] = make(entry)
        return entries

    def accumulate(
        self,
        classes: list[int],
        areas: list[int],
        images: list[int],
        caps: Sequence[int | None],
        recalls: Any,
        shape: Any,
    ) -> tuple[Any, Any, Any]:
        """Precision, recall and scores of the chosen indices."""
        found: tuple[Any, Any, Any] = self.cells.accumulate(
            len(self.images),
            classes,
            areas,
            images,
            list(caps),
            np.asarray(recalls, dtype=np.float64).tolist(),
            shape,
        )
        return found


class _Columns:
    """Annotations as arrays, as the native module reads them."""

    ignore: Any
    crowd: Any
    score: Any

    def __init__(self, keys: Any, anns: list[Record], boxes: bool) -> None:
        self.key = keys
        if boxes:
            self.bbox = np.array([a["bbox"] for a in anns], dtype=np.float64).reshape(-1, 4)
        else:
            self.bbox = np.zeros((len(anns), 4))
        self.area = np.array([a["area"] for a in anns], dtype=np.float64).reshape(-1)
        self.id = np.array([a["id"] for a in anns], dtype=np.float64).reshape(-1)


class Entry:
    """An image and class in an area range."""

    def __init__(
        self,
        grid: Grid,
        image: Any,
        category: Any,
        area: int,
        found: Any,
        truths: Any,
        found_match: Any,
        truth_match: Any,
        truth_ignored: Any,
        found_ignored: Any,
    ) -> None:
        self.image, self.category, self.area = image, category, grid.areas[area]
        self.found = [grid.found[n] for n in found.tolist()]
        self.truths = [grid.truths[n] for n in truths.tolist()]
        # The references keep ids, and 0 for no match.
        self.found_match = _ids_of(found_match, grid.truth_ids[truths])
        self.truth_match = _ids_of(truth_match, grid.found_ids[found])
        self.truth_ignored = np.array([int(ignored) for ignored in truth_ignored.tolist()])
        self.found_ignored = found_ignored


def _ids_of(match: Any, ids: Any) -> Any:
    if ids.size == 0:
        return np.zeros(match.shape)
    return np.where(match >= 0, ids[match], 0.0)


def _table(values: Any) -> Any:
    """Overlaps of a cell as the native module takes them."""
    return None if len(values) == 0 else np.asarray(values, dtype=np.float64)


def accumulate_assigned(
    entries: Sequence[Any],
    counts: tuple[int, int],
    chosen: tuple[Iterable[int], Iterable[int], list[int]],
    names: list[str],
    caps: Sequence[int | None],
    recalls: Any,
    shape: Any,
) -> tuple[Any, Any, Any]:
    """As :meth:`Grid.accumulate`, of per-image results that a caller has assigned or may have changed.

    :param counts: area ranges and images that were evaluated.
    :param chosen: indices of classes, area ranges and images.
    """
    areas, images = counts
    lists = [
        [[entries[(k * areas + a) * images + i] for i in chosen[2]] for a in chosen[1]] for k in chosen[0]
    ]
    found: tuple[Any, Any, Any] = _core.accumulate_entries(
        lists, names, shape[0], list(caps), np.asarray(recalls, dtype=np.float64).tolist(), shape
    )
    return found
