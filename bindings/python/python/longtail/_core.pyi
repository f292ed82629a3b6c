"""The native module. A test compares this file with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, final

import numpy as np
import numpy.typing as npt

class _Step(Protocol):
    labels: Any
    weights: Any
    ignored: Any
    seed: int
    step: int
    normalizer: float | None
    state: str
    sum: Callable[[Any], Any] | None
    threads: int | None

class _Columns(Protocol):
    key: Any
    bbox: Any
    area: Any
    id: Any
    ignore: Any
    crowd: Any
    score: Any

@final
class Cells:
    @property
    def keys(self) -> npt.NDArray[np.int64]: ...
    def overlaps(self, cell: int) -> npt.NDArray[np.float64] | None: ...
    def entry(self, cell: int, area: int) -> tuple[Any, Any, Any, Any, Any, Any]: ...
    def accumulate(
        self,
        images: int,
        classes: list[int],
        areas: list[int],
        chosen: list[int],
        caps: Sequence[int | None],
        recalls: list[float],
        shape: Sequence[int],
        threads: int | None = None,
    ) -> tuple[Any, Any, Any]: ...
    def __len__(self) -> int: ...

@final
class Loss:
    def __new__(
        cls,
        config: str,
        classes: int,
        image_counts: list[int] | None,
        instance_counts: list[int] | None,
        total_images: int | None,
    ) -> Loss: ...
    @property
    def num_outputs(self) -> int: ...
    @property
    def columns(self) -> list[int]: ...
    def evaluate(self, logits: npt.NDArray[np.float32], step: _Step) -> tuple[float, Any, str]: ...
    def evaluate_linear(
        self,
        inputs: npt.NDArray[np.float32],
        weight: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        step: _Step,
        frozen_inputs: bool,
    ) -> tuple[float, Any, Any, Any, str]: ...
    def class_scores(self, logits: npt.NDArray[np.float32], threads: int | None) -> Any: ...

def evaluate(
    truth: str | dict[Any, Any],
    detections: str | list[Any] | tuple[Any, Any, Any, Any],
    protocol: str,
    frequencies_from: str | Mapping[Any, Any] | None,
    bins: list[int],
    max_detections: str | None,
    corrected_ids: bool,
    threads: int | None,
) -> str: ...
def evaluate_open_images(
    boxes: str,
    predictions: str,
    image_labels: str,
    classes: str | None,
    hierarchy: str | None,
    group_of_weight: float,
    threads: int | None,
) -> str: ...
def evaluate_cells(
    truth: _Columns,
    found: _Columns,
    thresholds: list[float],
    areas: list[list[float]],
    most: int | None,
    given: list[Any] | None = None,
    threads: int | None = None,
) -> Cells: ...
def accumulate_entries(
    entries: list[list[list[Any]]],
    names: list[str],
    thresholds: int,
    caps: Sequence[int | None],
    recalls: list[float],
    shape: Sequence[int],
    threads: int | None = None,
) -> tuple[Any, Any, Any]: ...
def box_overlaps(
    found: npt.NDArray[np.float64], truth: npt.NDArray[np.float64], crowd: list[bool]
) -> Any: ...
def encode_masks(bitmaps: npt.NDArray[np.uint8]) -> list[tuple[int, int, bytes]]: ...
def decode_masks(masks: list[tuple[int, int, bytes]]) -> Any: ...
def mask_areas(masks: list[tuple[int, int, bytes]]) -> Any: ...
def mask_boxes(masks: list[tuple[int, int, bytes]]) -> Any: ...
def merge_masks(masks: list[tuple[int, int, bytes]], intersect: bool) -> tuple[int, int, bytes]: ...
def mask_overlaps(
    found: list[tuple[int, int, bytes]], truth: list[tuple[int, int, bytes]], crowd: list[bool]
) -> Any: ...
def masks_of_polygons(
    polygons: list[list[float]], height: int, width: int
) -> list[tuple[int, int, bytes]]: ...
def masks_of_boxes(boxes: list[list[float]], height: int, width: int) -> list[tuple[int, int, bytes]]: ...
def mask_of_counts(counts: list[int], height: int, width: int) -> tuple[int, int, bytes]: ...
def thread_count() -> int: ...
