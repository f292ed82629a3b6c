"""The result of an evaluation."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import polars

    from ._types import AnyPath

__all__ = ["EvalReport"]


class EvalReport:
    """Metrics of detections under a protocol. Numbers are in 0 to 1; ``None`` means undefined, because no
    class or box counts.

    Reports are made by :func:`longtail.evaluate`, :meth:`longtail.Evaluator.compute` and :meth:`load`.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    @property
    def protocol(self) -> str:
        """Name of the protocol, such as ``lvis``."""
        return str(self._content["protocol"])

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metrics over the whole set by their published names: ``AP``, ``AP50``, ``APr``, ``AR@300``, …"""
        return dict(self._content["metrics"])

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """One dict a class, by ascending category id: ``category_id``, ``name``, ``frequency`` (``r``, ``c``,
        ``f`` or None), ``AP``, ``AP50``, ``AP75``, ``AR``, ``ground_truth`` (boxes that count),
        ``detections`` (that took part)."""
        return [dict(row) for row in self._content["per_category"]]

    @property
    def provenance(self) -> dict[str, str]:
        """What was evaluated, and how."""
        return dict(self._content["provenance"])

    def metric(self, name: str) -> float | None:
        """A metric by its name.

        :raises KeyError: if the protocol does not have it; the message lists those that it has.
        """
        metrics = self._content["metrics"]
        if name not in metrics:
            raise KeyError(f"{self.protocol} has no metric {name!r}; it has {', '.join(metrics)}")
        value = metrics[name]
        return None if value is None else float(value)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as the command line's JSON has it; a copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self._content))
        return copy

    def flat(self, prefix: str = "", *, per_class: bool = False) -> dict[str, float]:
        """Metrics for a logger, such as ``{"val/AP": 0.31}``. Undefined ones are left out.

        :param per_class: also the AP of each class, as ``AP/NAME``, with the id behind a name that several
            classes have.
        """
        flat = {prefix + name: float(v) for name, v in self._content["metrics"].items() if v is not None}
        if per_class:
            rows = self._content["per_category"]
            names = [row["name"] for row in rows]
            for row in rows:
                several = names.count(row["name"]) > 1
                name = f"{row['name']} {row['category_id']}" if several else row["name"]
                # The Open Images challenge has AP at IoU 0.5 alone.
                value = row["AP"] if row["AP"] is not None else row["AP50"]
                if value is not None:
                    flat[f"{prefix}AP/{name}"] = float(value)
        return flat

    def save(self, path: AnyPath) -> None:
        """Writes the JSON of the command line: whole, or not at all."""
        write_text(path, json.dumps(self._content, indent=2) + "\n")

    @classmethod
    def load(cls, path: AnyPath) -> EvalReport:
        """Reads what :meth:`save` or ``longtail eval --format json`` wrote.

        :raises longtail.DataError: if it is something else.
        """
        from ._errors import DataError

        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}", os.fspath(path)) from None
        needed = ("protocol", "metrics", "per_category", "provenance")
        if not isinstance(content, dict) or any(name not in content for name in needed):
            raise DataError(f"{path} is not a report of an evaluation", os.fspath(path))
        return cls(content)

    def to_pandas(self) -> pandas.DataFrame:
        """:attr:`per_class` as a data frame; undefined values are NaN."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'longtail[pandas]'") from None
        return pandas.DataFrame(self.per_class)

    def to_polars(self) -> polars.DataFrame:
        """:attr:`per_class` as a data frame; undefined values are null."""
        try:
            import polars
        except ImportError:
            raise ImportError("to_polars() needs polars: pip install 'longtail[polars]'") from None
        return polars.DataFrame(self.per_class, infer_schema_length=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EvalReport) and self._content == other._content

    __hash__ = None  # type: ignore[assignment]

    def _rows(self) -> Iterator[tuple[str, str]]:
        for name, value in self._content["metrics"].items():
            yield name, "–" if value is None else f"{100 * value:.2f}"

    def __repr__(self) -> str:
        return f"EvalReport({self.protocol}: " + ", ".join(f"{n} {v}" for n, v in self._rows()) + ")"

    def __str__(self) -> str:
        rows = list(self._rows())
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"{name:<{width}}  {value:>6}" for name, value in rows)

    def _repr_html_(self) -> str:
        cell = "<td style='text-align:right'>{}</td>"
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>{cell.format(value)}</tr>"
            for name, value in self._rows()
        )
        shown = ("name", "frequency", "AP", "AP50", "AR", "ground_truth", "detections")

        def text(value: Any) -> str:
            if isinstance(value, float):
                return f"{100 * value:.2f}"
            return "–" if value is None else html.escape(str(value))

        classes = "".join(
            "<tr>" + "".join(cell.format(text(row.get(name))) for name in shown) + "</tr>"
            for row in self._content["per_category"]
        )
        heading = "".join(f"<th>{name}</th>" for name in shown)
        return (
            f"<table><caption>{html.escape(self.protocol)}, in %</caption>{rows}</table>"
            f"<details><summary>{len(self._content['per_category'])} classes</summary>"
            f"<table><tr>{heading}</tr>{classes}</table></details>"
        )


def write_text(path: AnyPath, text: str) -> None:
    """Writes a file whole, or not at all."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
