"""What metrics do not say: whether a difference is certain, what kind of errors cost AP, which classes are
taken for each other, and what scores are worth."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import _core, _inputs
from ._report import EvalReport
from ._types import AnyPath, Detections, GroundTruth, ProtocolName, Training

__all__ = ["Comparison", "Page", "calibration", "compare", "error_analysis", "look_alikes", "report"]


class Comparison:
    """Detectors held against the first, with intervals over resampled images; :func:`compare` makes one."""

    def __init__(self, names: Sequence[str], content: dict[str, Any]) -> None:
        self.names = list(names)
        self._content = content

    @property
    def baseline(self) -> EvalReport:
        """The report of the first detector."""
        return EvalReport(self._content["baseline"])

    def metrics(self, other: int | str = 1) -> dict[str, dict[str, float]]:
        """Differences to the first detector by metric: ``value``, ``low`` and ``high`` (95 %), ``won`` (share
        of the resamples above 0) and ``images`` that they rest on.

        :param other: index or name of the other detector.
        """
        return {name: dict(found) for name, found in self._of(other)["metrics"].items()}

    def per_class(self, other: int | str = 1) -> list[dict[str, Any]]:
        """The same of the AP of each class, by descending difference."""
        return [dict(row) for row in self._of(other)["classes"]]

    def is_certain(self, metric: str = "AP", other: int | str = 1) -> bool:
        """Whether the interval of a metric's difference leaves out 0 and rests on 5 images or more."""
        found = self.metrics(other)
        if metric not in found:
            raise KeyError(f"there is no difference in {metric!r}; there are {', '.join(found)}")
        row = found[metric]
        return row["images"] >= 5 and (row["low"] > 0 or row["high"] < 0)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as ``longtail compare --format json`` has it; a copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self._content))
        return copy

    def _of(self, other: int | str) -> dict[str, Any]:
        if isinstance(other, str):
            if other not in self.names[1:]:
                raise KeyError(f"there is no detector {other!r}; there are {', '.join(self.names[1:])}")
            other = self.names.index(other)
        if not 1 <= other < len(self.names):
            raise IndexError(
                f"detector {other} of {len(self.names)}; the first is what the others are held against"
            )
        found: dict[str, Any] = self._content["comparisons"][other - 1]
        return found

    def _rows(self, other: int) -> list[tuple[str, str, str, str]]:
        return [
            (
                name,
                f"{100 * row['value']:+.2f}",
                f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}",
                "certain" if self.is_certain(name, other) else "",
            )
            for name, row in self.metrics(other).items()
        ]

    def __str__(self) -> str:
        lines = []
        for other in range(1, len(self.names)):
            lines.append(f"{self.names[other]} against {self.names[0]}, in percent")
            lines += [f"{a:<8} {b:>8}  {c:<18} {d}".rstrip() for a, b, c, d in self._rows(other)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        tables = []
        for other in range(1, len(self.names)):
            title = html.escape(f"{self.names[other]} against {self.names[0]}, in percent")
            rows = "".join(
                "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
                for row in self._rows(other)
            )
            tables.append(f"<table><caption>{title}</caption>{rows}</table>")
        return "".join(tables)


def compare(
    ground_truth: GroundTruth,
    detections: Sequence[Detections] | Mapping[str, Detections],
    *,
    protocol: ProtocolName = "coco",
    frequencies_from: Training | None = None,
    resamples: int = 1000,
    seed: int = 0,
    threads: int | None = None,
) -> Comparison:
    """Holds detectors against the first one on the same images, by a paired bootstrap over images.

    :param detections: of two or more detectors, in any form that :func:`longtail.evaluate` takes; a dict
        names them.
    :raises ValueError: if there are fewer than two.

    >>> truth = {"image_id": [1, 2], "category_id": [1, 1], "bbox": [[0, 0, 40, 40], [0, 0, 50, 50]]}
    >>> good = {**truth, "score": [0.9, 0.8]}
    >>> bad = {"image_id": [1], "category_id": [1], "bbox": [[0, 0, 40, 40]], "score": [0.9]}
    >>> found = compare(truth, {"bad": bad, "good": good}, resamples=50)
    >>> round(found.metrics("good")["AP"]["value"], 3)
    0.495
    """
    if isinstance(detections, Mapping):
        names, lists = list(detections), list(detections.values())
    else:
        lists = list(detections)
        names = [str(n) for n in range(len(lists))]
    if len(lists) < 2:
        raise ValueError(f"there are detections of {len(lists)} detector; give two or more")
    text = _core.compare(
        _inputs.ground_truth(ground_truth),
        [_inputs.detections(found) for found in lists],
        protocol,
        _inputs.training(frequencies_from),
        resamples,
        seed,
        threads,
    )
    return Comparison(names, json.loads(text))


def _analyse(
    which: str,
    ground_truth: GroundTruth,
    detections: Detections,
    protocol: ProtocolName,
    frequencies_from: Training | None,
    threads: int | None,
) -> Any:
    text = _core.analyse(
        which,
        _inputs.ground_truth(ground_truth),
        _inputs.detections(detections),
        protocol,
        _inputs.training(frequencies_from),
        threads,
    )
    return json.loads(text)


def error_analysis(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    protocol: ProtocolName = "coco",
    frequencies_from: Training | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Every error of the detections by kind, and the AP that each kind costs: TIDE's definitions (Bolya et
    al., ECCV 2020), as ``longtail eval --errors --format json`` has them."""
    found: dict[str, Any] = _analyse("errors", ground_truth, detections, protocol, frequencies_from, threads)
    return found


def look_alikes(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    protocol: ProtocolName = "coco",
    frequencies_from: Training | None = None,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Pairs of classes of which the second claims boxes of the first with the highest score: ``truth``,
    ``claimed``, ``count``, ``total`` boxes of the first, ``across`` frequency groups or not. Those across come
    first, then the most frequent.

    >>> truth = {"image_id": [1, 1], "category_id": [1, 2], "bbox": [[0, 0, 40, 40], [80, 0, 30, 30]],
    ...     "categories": {1: "mask", 2: "glasses"}}
    >>> found = {"image_id": [1], "category_id": [2], "bbox": [[0, 0, 40, 40]], "score": [0.9]}
    >>> [(pair["truth"], pair["claimed"], pair["count"]) for pair in look_alikes(truth, found)]
    [('mask', 'glasses', 1)]
    """
    found: list[dict[str, Any]] = _analyse(
        "look-alikes", ground_truth, detections, protocol, frequencies_from, threads
    )
    return found


def calibration(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    protocol: ProtocolName = "coco",
    frequencies_from: Training | None = None,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """How far scores are from the share of detections that are right at IoU 0.5, over all classes and for each
    frequency group: ``frequency``, ``expected_calibration_error`` and ten ``bins``."""
    found: list[dict[str, Any]] = _analyse(
        "calibration", ground_truth, detections, protocol, frequencies_from, threads
    )
    return found


class Page:
    """An HTML page that needs nothing else; :func:`report` makes one."""

    def __init__(self, text: str) -> None:
        self.html = text

    def save(self, path: AnyPath) -> None:
        """Writes the page: whole, or not at all."""
        from ._report import write_text

        write_text(path, self.html)

    def _repr_html_(self) -> str:
        # As a page of its own: its styles are not the notebook's.
        return f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="600"></iframe>'


def report(
    reports: Mapping[str, EvalReport] | Sequence[EvalReport],
    *,
    title: str = "longtail",
    train_images: Mapping[int, int] | None = None,
) -> Page:
    """The one-file page of the command line, with a table of the reports and the AP of each class.

    :param reports: by name, the baseline first; they must be under one protocol.
    :param train_images: training images by category id, for the plot of AP over frequency.
    """
    named = (
        dict(reports)
        if isinstance(reports, Mapping)
        else {f"{n + 1}": found for n, found in enumerate(reports)}
    )
    protocols = {found.protocol for found in named.values()}
    if len(protocols) > 1:
        raise ValueError(f"the reports are under {', '.join(sorted(protocols))}; give those of one protocol")
    texts = [(name, json.dumps(found.to_dict())) for name, found in named.items()]
    return Page(_core.report_page(title, texts, {int(k): int(v) for k, v in (train_images or {}).items()}))
