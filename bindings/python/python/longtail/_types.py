"""Types that several modules name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

AnyPath: TypeAlias = str | os.PathLike[str]
"""A file or folder."""

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

ProtocolName: TypeAlias = Literal["coco", "lvis", "lvis-fixed", "lvis-pooled", "open-images"]


class DatasetHolder(Protocol):
    """An object that holds a data set, such as ``pycocotools.coco.COCO`` and ``lvis.LVIS``."""

    dataset: dict[str, Any]


GroundTruth: TypeAlias = AnyPath | Mapping[str, Any] | DatasetHolder
Detections: TypeAlias = (
    AnyPath | Sequence[Mapping[str, Any]] | Mapping[Any, Any] | npt.NDArray[Any] | DatasetHolder
)
Training: TypeAlias = AnyPath | Mapping[Any, Any] | DatasetHolder
