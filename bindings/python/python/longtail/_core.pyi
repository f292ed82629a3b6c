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

class _Rois(Protocol):
    features: Any
    labels: Any
    image_ids: Any

class _Classifier(Protocol):
    weight: Any
    bias: Any
    loss: str

class _Columns(Protocol):
    key: Any
    bbox: Any
    area: Any
    id: Any
    ignore: Any
    crowd: Any
    score: Any

@final
class Bank:
    def __new__(cls, folder: str) -> Bank: ...
    @property
    def header(self) -> str: ...
    def rows(self) -> tuple[Any, Any, Any]: ...

@final
class Head:
    @staticmethod
    def read(path: str) -> Head: ...
    def write(self, path: str) -> None: ...
    def export(self, path: str, framework: str) -> None: ...
    @property
    def file(self) -> str: ...
    @property
    def weight(self) -> Any: ...
    @property
    def bias(self) -> Any: ...
    @property
    def columns(self) -> list[int]: ...
    def scores(self, features: npt.NDArray[np.float32], threads: int | None) -> Any: ...

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
def compare(
    truth: str | dict[Any, Any],
    detections: list[Any],
    protocol: str,
    frequencies_from: str | Mapping[Any, Any] | None,
    resamples: int,
    seed: int,
    threads: int | None,
) -> str: ...
def analyse(
    which: str,
    truth: str | dict[Any, Any],
    detections: str | list[Any] | tuple[Any, Any, Any, Any],
    protocol: str,
    frequencies_from: str | Mapping[Any, Any] | None,
    threads: int | None,
) -> str: ...
def fit_correction(
    method: str,
    truth: str | dict[Any, Any],
    detections: str | list[Any] | tuple[Any, Any, Any, Any],
    protocol: str,
    counts: dict[int, int],
    seed: int,
    threads: int | None,
) -> str: ...
def apply_correction(
    rescoring: str, detections: list[Any] | tuple[Any, Any, Any, Any], threads: int | None
) -> Any: ...
def correct(kind: str, values: npt.NDArray[np.float32], counts: list[int], strength: float) -> Any: ...
def report_page(title: str, reports: list[tuple[str, str]], counts: dict[int, int]) -> str: ...
def data_stats(truth: str | dict[Any, Any], threads: int | None) -> str: ...
def data_check(
    annotations: str,
    part: str | None,
    images: str | None,
    against: str | None,
    against_images: str | None,
    threads: int | None,
) -> str: ...
def data_convert(
    source: str,
    target: str,
    format: str | None,
    part: str | None,
    images: str | None,
    place_images: str | None,
    overwrite: bool,
    threads: int | None,
) -> str: ...
def data_split(
    source: str,
    folder: str,
    shares: list[tuple[str, float]],
    format: str | None,
    group_by: str | None,
    every_class: bool,
    seed: int,
    overwrite: bool,
    threads: int | None,
) -> str: ...
def write_bank(
    folder: str, rois: _Rois, description: str, classifier: _Classifier | None, threads: int | None
) -> str: ...
def train_heads(
    bank: Bank, recipes: list[str], progress: Callable[..., Any] | None, threads: int | None
) -> list[Head]: ...
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
