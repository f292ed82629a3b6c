"""Data sets counted, checked, converted and split; and how often to repeat which image, so that the tail is
seen.

Repeat factors are numbers of NumPy; :mod:`longtail.torch` has the samplers that draw by them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _core, _inputs
from ._errors import DataError
from ._types import AnyPath, GroundTruth

__all__ = ["check", "class_weights", "convert", "epoch_indices", "repeat_factors", "split", "stats"]


def stats(annotations: GroundTruth, *, threads: int | None = None) -> dict[str, Any]:
    """Counts of a data set, as ``longtail data stats --format json`` has them: ``images``, ``boxes``,
    ``classes`` by descending number of boxes, ``groups``, ``imbalance_ratio``, ``gini`` and more.

    :param annotations: a path of any format, or a data set as :func:`longtail.evaluate` takes it.

    >>> found = stats({"image_id": [1, 1, 2], "category_id": [1, 1, 2], "bbox": [[0, 0, 9, 9]] * 3})
    >>> found["imbalance_ratio"], [c["boxes"] for c in found["classes"]]
    (2.0, [2, 1])
    """
    found: dict[str, Any] = json.loads(_core.data_stats(_inputs.ground_truth(annotations), threads))
    return found


def check(
    annotations: AnyPath,
    *,
    part: str | None = None,
    images: AnyPath | None = None,
    against: AnyPath | None = None,
    against_images: AnyPath | None = None,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Everything that is wrong with a data set, errors first: ``severity``, ``kind``, ``message``, ``count``,
    ``examples``, ``fixable``.

    :param images: folder of the images; each is decoded, measured and compared with the others.
    :param against: another set of the same classes, usually that of the validation images.
    """
    text = _core.data_check(
        os.fspath(annotations), part, _path(images), _path(against), _path(against_images), threads
    )
    found: list[dict[str, Any]] = json.loads(text)
    return found


def convert(
    source: AnyPath,
    target: AnyPath,
    *,
    format: str | None = None,
    part: str | None = None,
    images: AnyPath | None = None,
    place_images: Literal["copy", "link"] | None = None,
    overwrite: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Writes a data set in another format: COCO, LVIS, YOLO, Pascal VOC, Open Images or CSV.

    :param format: ``coco``, ``lvis``, ``yolo``, ``voc``, ``open-images`` or ``csv``; by default as the ending
        of ``target`` says.
    :returns: how many ``images``, ``boxes`` and ``classes``, and what was ``lost`` because the format has
        nowhere to put it.
    :raises FileExistsError: if the target is there already, without ``overwrite``.
    """
    text = _core.data_convert(
        os.fspath(source), os.fspath(target), format, part, _path(images), place_images, overwrite, threads
    )
    found: dict[str, Any] = json.loads(text)
    return found


def split(
    source: AnyPath,
    folder: AnyPath,
    shares: Mapping[str, float],
    *,
    format: str | None = None,
    group_by: str | None = None,
    every_class: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Splits a data set so that every part has its share of every class, rare ones too.

    :param shares: of the images by name of the part, such as ``{"train": 0.8, "val": 0.2}``.
    :param group_by: a regular expression: images whose file names have the same first group stay together.
    :param every_class: a class with enough images comes into every part, however small its share.
    """
    text = _core.data_split(
        os.fspath(source),
        os.fspath(folder),
        [(str(name), float(share)) for name, share in shares.items()],
        format,
        group_by,
        every_class,
        seed,
        overwrite,
        threads,
    )
    found: dict[str, Any] = json.loads(text)
    return found


def _path(path: AnyPath | None) -> str | None:
    return None if path is None else os.fspath(path)


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
