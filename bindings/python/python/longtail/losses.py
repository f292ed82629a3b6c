"""Classification losses on arrays: value and exact gradient, of every loss of the Rust crate.

:mod:`longtail.torch` makes modules of them. Here is what it is made of, for other frameworks and for a look
at a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from . import _core
from ._errors import DataError

__all__ = ["LOSSES", "Loss", "LossValue", "Method"]

Background: TypeAlias = Literal["first", "last", "none"]
LossName: TypeAlias = Literal[
    "acsl",
    "bags",
    "balanced-softmax",
    "class-balanced",
    "drop-loss",
    "eql",
    "eql-v2",
    "equalized-focal",
    "federated",
    "focal",
    "ldam",
    "seesaw",
    "sigmoid-bce",
    "softmax-cross-entropy",
]


@dataclass(frozen=True)
class Method:
    """What has to be known of a loss to build it.

    :param reads: ``boxes`` or ``images`` a class of the training set; None if it reads neither.
    :param with_and_without: whether the head may have a background column or not; otherwise it must.
    """

    reads: Literal["boxes", "images"] | None
    with_and_without: bool


LOSSES: dict[str, Method] = {
    "acsl": Method(None, True),
    "bags": Method("boxes", False),
    "balanced-softmax": Method("boxes", False),
    "class-balanced": Method("boxes", False),
    "drop-loss": Method("images", True),
    "eql": Method("images", True),
    "eql-v2": Method(None, False),
    "equalized-focal": Method(None, True),
    "federated": Method("images", True),
    "focal": Method(None, True),
    "ldam": Method("boxes", False),
    "seesaw": Method(None, False),
    "sigmoid-bce": Method(None, True),
    "softmax-cross-entropy": Method(None, False),
}
"""Every loss by its name in a recipe; ``longtail explain loss NAME`` has formulas and sources."""


class LossValue(NamedTuple):
    """A loss at a batch."""

    value: float
    gradient: npt.NDArray[np.float32]


class _Step:
    """What the native module is told about a step."""

    def __init__(
        self,
        labels: npt.NDArray[np.uint32],
        weights: npt.NDArray[np.float32] | None,
        ignored: npt.NDArray[np.bool_] | None,
        seed: int,
        step: int,
        normalizer: float | None,
        state: str,
        sum: Callable[[Any], Any] | None,
        threads: int | None,
    ) -> None:
        self.labels, self.weights, self.ignored = labels, weights, ignored
        self.seed, self.step, self.normalizer = seed, step, normalizer
        self.state, self.sum, self.threads = state, sum, threads


class Loss:
    """A loss for the classes of a data set.

    :param name: one of :data:`LOSSES`.
    :param num_classes: foreground classes C.
    :param class_counts: boxes of each class in the training set, ``[C]``, for losses that read them.
    :param image_counts: training images that hold each class, ``[C]``, and
    :param total_images: all training images, for losses that read frequencies.
    :param background: where the head has its background column: ``first`` (label 0, classes from 1), ``last``
        (label C, classes from 0) or ``none`` (the same labels, and no column).
    :param settings: the method's own, such as ``threshold=0.7``; ``longtail explain loss NAME`` lists them.
        ACSL's rule for background is ``background_rule``.
    :raises ValueError: if a setting is unknown or out of range, or counts are missing or of another length.

    >>> loss = Loss("acsl", 2, background="none", threshold=0.7)
    >>> value, gradient = loss.evaluate(np.array([[2.0, -1.0]], np.float32), [0])
    >>> round(value, 4), gradient.round(4).tolist()
    (0.1269, [[-0.11919999867677689, 0.0]])
    """

    def __init__(
        self,
        name: LossName | str,
        num_classes: int,
        *,
        class_counts: Sequence[int] | npt.NDArray[Any] | None = None,
        image_counts: Sequence[int] | npt.NDArray[Any] | None = None,
        total_images: int | None = None,
        background: Background = "first",
        **settings: Any,
    ) -> None:
        if name not in LOSSES:
            raise ValueError(f"{name!r} is not a loss; choose one of {', '.join(LOSSES)}")
        if background not in ("first", "last", "none"):
            raise ValueError(f"background is {background!r}; choose first, last or none")
        method = LOSSES[name]
        if background == "none" and not method.with_and_without:
            raise ValueError(f"{name} needs a background column; choose background='first' or 'last'")
        config = {"kind": name, **settings}
        if "background_rule" in config and name == "acsl":
            # The recipe's name of the setting is taken by the place of the column.
            config["background"] = config.pop("background_rule")
        if method.with_and_without:
            if "background_logit" in config:
                raise ValueError("background_logit follows from background; leave it out")
            config["background_logit"] = background != "none"
        self.name, self.num_classes, self.background = name, num_classes, background
        self.config = config
        self.settings = settings
        self._native = _core.Loss(
            json.dumps(config), num_classes, _counts(image_counts), _counts(class_counts), total_images
        )
        self.num_outputs: int = self._native.num_outputs
        extras = self.num_outputs - num_classes
        # Column of the head for each of the native ones, which have background and other extras first.
        order = np.arange(self.num_outputs)
        if background == "last":
            order = np.concatenate([order[::-1][:extras], order[:num_classes]])
        self.order = order
        self.state = '{"kind": "stateless"}'

    def columns(self) -> list[int]:
        """What each output is about: a class from 0, -1 background, -2 any foreground, -3 - g what is not in
        group g."""
        native = np.array(self._native.columns)
        columns = np.empty_like(native)
        columns[self.order] = native
        found: list[int] = columns.tolist()
        return found

    def native_labels(self, target: npt.NDArray[np.int64], ignore_index: int) -> tuple[Any, Any]:
        """Labels with background at 0, and which rows are ignored.

        :raises longtail.DataError: if a label is not a class.
        """
        ignored = target == ignore_index
        target = np.where(ignored, 0, target)
        wrong = np.flatnonzero((target < 0) | (target > self.num_classes))
        if wrong.size:
            row, most = int(wrong[0]), self.num_classes
            where = (
                f"0 for background and 1 to {most}"
                if self.background == "first"
                else f"0 to {most - 1} and {most} for background"
            )
            raise DataError(
                f"target[{row}] is {target[row]}; labels of {most} classes with background={self.background!r} are {where}, "
                f"or {ignore_index} to leave a row out",
                entry=row,
                field="target",
            )
        if self.background != "first":
            target = np.where(target == self.num_classes, 0, target + 1)
        return target.astype(np.uint32), (ignored if ignored.any() else None)

    def step(
        self,
        target: Any,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        normalizer: float | None = None,
        step: int = 0,
        seed: int = 0,
        sum: Callable[[Any], Any] | None = None,
        threads: int | None = None,
    ) -> _Step:
        """A step as the native module takes it."""
        labels, ignored = self.native_labels(np.asarray(target, dtype=np.int64), ignore_index)
        weights = None if weight is None else np.ascontiguousarray(weight, dtype=np.float32)
        return _Step(labels, weights, ignored, seed, step, normalizer, self.state, sum, threads)

    def to_native(self, columns: Any) -> Any:
        """Logits ``[N, K]`` with the columns in native order."""
        columns = np.ascontiguousarray(columns, dtype=np.float32)
        return columns if self.background != "last" else np.ascontiguousarray(columns[:, self.order])

    def from_native(self, columns: Any) -> Any:
        """The inverse of :meth:`to_native`."""
        if self.background != "last":
            return columns
        found = np.empty_like(columns)
        found[:, self.order] = columns
        return found

    def evaluate(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        *,
        ignore_index: int = -100,
        normalizer: float | None = None,
        step: int = 0,
        seed: int = 0,
        training: bool = True,
        threads: int | None = None,
    ) -> LossValue:
        """Value and gradient of ``Σ weight · loss / normalizer``.

        :param logits: ``[N, K]``, K = :attr:`num_outputs`.
        :param target: labels ``[N]``, by :attr:`background`; ``ignore_index`` leaves a row out.
        :param weight: of each row, ``[N]``.
        :param normalizer: by default the rows that are not left out.
        :param step, seed: key of random draws: the same key draws the same.
        :param training: whether running statistics, kept in :attr:`state`, are brought up to date.
        :raises longtail.DataError: if a logit is not finite or a label is not a class.
        """
        values = self.to_native(logits)
        if values.ndim != 2 or values.shape[1] != self.num_outputs:
            raise ValueError(f"logits have shape {values.shape}; expected [N, {self.num_outputs}]")
        what = self.step(
            target,
            weight,
            ignore_index=ignore_index,
            normalizer=normalizer,
            step=step,
            seed=seed,
            threads=threads,
        )
        value, gradient, state = self._native.evaluate(values, what)
        if training:
            self.state = state
        return LossValue(value, self.from_native(gradient))

    def scores(self, logits: npt.ArrayLike, *, threads: int | None = None) -> npt.NDArray[np.float32]:
        """Scores in 0 to 1 of the classes, ``[N, C]``, of logits ``[N, K]``."""
        found: npt.NDArray[np.float32] = self._native.class_scores(self.to_native(logits), threads)
        return found


def _counts(counts: Sequence[int] | npt.NDArray[Any] | None) -> list[int] | None:
    if counts is None:
        return None
    array = np.asarray(counts)
    if array.ndim != 1 or (
        array.size and array.dtype.kind not in "iu" and not np.array_equal(array, array.astype(np.int64))
    ):
        raise ValueError(
            f"class counts must be whole numbers [C], found {array.dtype} of shape {array.shape}"
        )
    if (array < 0).any():
        raise ValueError("class counts must be at least 0")
    found: list[int] = array.astype(np.int64).tolist()
    return found
