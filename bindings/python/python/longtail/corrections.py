"""Corrections after training: of a softmax classifier's logits or weights, and of logged scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _core, _inputs
from ._types import AnyPath, Detections, GroundTruth, ProtocolName
from .losses import _counts

__all__ = ["Correction", "adjust_logits", "fit", "norcal", "tau_normalize"]


def _matrix(values: npt.ArrayLike) -> Any:
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 2:
        raise ValueError(f"expected an array [N, K], found one of shape {array.shape}")
    return np.ascontiguousarray(array)


def _logits(values: npt.ArrayLike, counts: Sequence[int] | npt.NDArray[Any]) -> tuple[Any, list[int]]:
    array, listed = _matrix(values), _counts(counts) or []
    if array.shape[1] != len(listed) + 1:
        raise ValueError(
            f"logits have {array.shape[1]} columns for {len(listed)} class counts; expected background and the classes"
        )
    return array, listed


def norcal(
    logits: npt.ArrayLike, image_counts: Sequence[int] | npt.NDArray[Any], *, gamma: float = 0.6
) -> npt.NDArray[np.float32]:
    """Scores ``[N, C]`` of softmax logits ``[N, C + 1]``, background first, by NorCal (Pan et al., NeurIPS
    2021).

    :param image_counts: training images that hold each class, ``[C]``.

    >>> [[round(float(s), 4) for s in row] for row in norcal([[0.0, 0.0, 0.0]], [100, 1], gamma=0.5)]
    [[0.0476, 0.4762]]
    """
    found: npt.NDArray[np.float32] = _core.correct("norcal", *_logits(logits, image_counts), gamma)
    return found


def adjust_logits(
    logits: npt.ArrayLike, class_counts: Sequence[int] | npt.NDArray[Any], *, tau: float = 1.0
) -> npt.NDArray[np.float32]:
    """Scores ``[N, C]`` of softmax logits ``[N, C + 1]``, background first, by logit adjustment (Menon et al.,
    ICLR 2021).

    :param class_counts: boxes of each class in the training set, ``[C]``.
    """
    found: npt.NDArray[np.float32] = _core.correct("logit-adjustment", *_logits(logits, class_counts), tau)
    return found


def tau_normalize(weight: npt.ArrayLike, *, tau: float = 1.0) -> npt.NDArray[np.float32]:
    """Weights ``[C + 1, D]``, background first, with those of each class divided by their norm to the power of
    τ (Kang et al., ICLR 2020).

    >>> [[round(float(w), 2) for w in row] for row in tau_normalize([[1.0, 0.0], [3.0, 4.0]])]
    [[1.0, 0.0], [0.6, 0.8]]
    """
    found: npt.NDArray[np.float32] = _core.correct("tau-norm", _matrix(weight), [], tau)
    return found


class Correction:
    """A map from logged scores to others; :func:`fit` and :meth:`load` make one."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    @property
    def gain(self) -> list[dict[str, Any]]:
        """``metric``, ``before`` and ``after`` on the images that were not fitted on."""
        return [dict(row) for row in self._content.get("gain", [])]

    @property
    def rescoring(self) -> dict[str, Any]:
        """The map, as ``longtail calibrate --save`` writes it; a copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self._content["rescoring"]))
        return copy

    def apply(self, detections: Detections, *, threads: int | None = None) -> npt.NDArray[np.float64]:
        """New scores, ``[N]``, in the order of the detections, which are all of one detector and in memory.

        :raises longtail.DataError: if a score is not in 0 to 1.
        """
        given = _inputs.detections(detections)
        if isinstance(given, str):
            raise TypeError("apply() takes detections in memory; for files use `longtail calibrate --map`")
        found: npt.NDArray[np.float64] = _core.apply_correction(json.dumps(self.rescoring), given, threads)
        return found

    def save(self, path: AnyPath) -> None:
        """Writes what ``longtail calibrate --map`` reads."""
        from ._report import write_text

        write_text(path, json.dumps(self.rescoring, indent=2) + "\n")

    @classmethod
    def load(cls, path: AnyPath) -> Correction:
        """Reads what :meth:`save` or ``longtail calibrate --save`` wrote."""
        with open(path, encoding="utf-8") as file:
            return cls({"rescoring": json.load(file)})

    def __repr__(self) -> str:
        settings = {k: v for k, v in self._content["rescoring"].items() if k in ("kind", "gamma", "tau")}
        return f"Correction({', '.join(f'{k}={v}' for k, v in settings.items())})"


def fit(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    method: Literal["norcal", "logit-adjustment", "platt"],
    image_counts: Mapping[int, int] | None = None,
    protocol: ProtocolName = "coco",
    seed: int = 0,
    threads: int | None = None,
) -> Correction:
    """Fits a map of scores on half of the images and measures it on the other half.

    :param image_counts: training images by category id, which all methods but ``platt`` read.
    :raises ValueError: if they are missing.
    """
    if image_counts is None and method != "platt":
        raise ValueError(f"{method} reads the training images of each class; give image_counts")
    text = _core.fit_correction(
        method,
        _inputs.ground_truth(ground_truth),
        _inputs.detections(detections),
        protocol,
        {int(k): int(v) for k, v in (image_counts or {}).items()},
        seed,
        threads,
    )
    return Correction(json.loads(text))
