"""How often to repeat which image, so that the tail is seen.

Repeat factors are numbers of NumPy; :mod:`longtail.torch` has the samplers that draw by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ._errors import DataError

__all__ = ["class_weights", "epoch_indices", "repeat_factors"]


def _labels(labels_per_image: Iterable[Iterable[int]]) -> list[npt.NDArray[np.int64]]:
    images = []
    for index, labels in enumerate(labels_per_image):
        array = np.asarray(list(labels) if not hasattr(labels, "shape") else labels)
        if array.size and array.dtype.kind not in "iu":
            raise DataError(
                f"labels_per_image[{index}]: expected whole numbers, found {array.dtype}", entry=index
            )
        images.append(array.astype(np.int64).reshape(-1))
    return images


def repeat_factors(
    labels_per_image: Iterable[Iterable[int]],
    *,
    threshold: float | Literal["auto"] = "auto",
    kind: Literal["rfs", "irfs"] = "rfs",
    sqrt: bool = True,
) -> npt.NDArray[np.float64]:
    """Repeat factor of every image, ``[N]``, at least 1: the largest over its classes of ``sqrt(threshold /
    frequency)``.

    :param labels_per_image: classes of the boxes of each image; one entry an image, empty without boxes
        (factor 1).
    :param threshold: share of the images below which a class is repeated. The paper's for LVIS is 0.001.
        ``auto``: the median frequency, so that half of the classes are repeated.
    :param kind: ``rfs`` (Gupta et al., CVPR 2019), or ``irfs`` (Yaman et al., 2023), whose frequency is the
        geometric mean of a class's share of images and of boxes.
    :param sqrt: False for ``threshold / frequency``, which repeats a very rare class more.

    >>> repeat_factors([[1], [1], [1], [1, 2], []], threshold=0.8).tolist()
    [1.0, 1.0, 1.0, 2.0, 1.0]
    """
    images = _labels(labels_per_image)
    if kind not in ("rfs", "irfs"):
        raise ValueError(f"kind is {kind!r}; choose rfs or irfs")
    held = [np.unique(labels) for labels in images]
    classes, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *held]), return_counts=True)
    if classes.size == 0:
        return np.ones(len(images))
    frequency = counts / len(images)
    if kind == "irfs":
        boxes = np.unique(np.concatenate(images), return_counts=True)[1]
        frequency = np.sqrt(frequency * (boxes / boxes.sum()))
    limit = float(np.median(frequency)) if threshold == "auto" else float(threshold)
    if not limit > 0:
        raise ValueError(f"threshold is {threshold}; it must be above 0, or auto")
    ratio = limit / frequency
    of_class = np.maximum(1.0, np.sqrt(ratio) if sqrt else ratio)
    return np.array([of_class[np.searchsorted(classes, c)].max() if c.size else 1.0 for c in held])


def class_weights(labels_per_image: Iterable[Iterable[int]]) -> npt.NDArray[np.float64]:
    """Weight of every image for class-aware sampling, ``[N]``: the sum over its classes of 1 / images of the
    class, so that drawing by these weights gives every class the same share. Images without boxes weigh 0.

    >>> class_weights([[1], [1], [2]]).tolist()
    [0.5, 0.5, 1.0]
    """
    held = [np.unique(labels) for labels in _labels(labels_per_image)]
    classes, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *held]), return_counts=True)
    return np.array([(1.0 / counts[np.searchsorted(classes, c)]).sum() if c.size else 0.0 for c in held])


def epoch_indices(
    factors: Sequence[float] | npt.NDArray[Any], *, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """Images of an epoch, each repeated by its factor, in random order. The fraction of a factor is rounded
    at random, anew each epoch, as the paper has it: a factor of 1.5 gives one or two.

    >>> epoch_indices([1.0, 3.0], seed=0, epoch=0).tolist().count(1)
    3
    """
    array = np.asarray(factors, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any():
        raise ValueError("factors must be finite numbers of at least 0, one an image")
    draw = np.random.default_rng([seed, epoch])
    whole = np.floor(array)
    times = (whole + (draw.random(len(array)) < array - whole)).astype(np.int64)
    return draw.permutation(np.repeat(np.arange(len(array)), times))
