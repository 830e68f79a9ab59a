"""Finished reports read back: what a scan wrote as JSON or Parquet, or what a batch left of a model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.errors import UsageError, printable
from weightaudit.records import SEVERITIES
from weightaudit.report.columns import COLUMNS, Value
from weightaudit.report.comparison.columns import SUMMARY_COLUMNS, Metric
from weightaudit.report.comparison.entries import Point, Profiles, metrics_of, profiles_of
from weightaudit.report.tables import SCHEMA, document

if TYPE_CHECKING:
    from weightaudit.report.scan_report import ScanReport

BATCH_TABLE, BATCH_PAGE, BATCH_LOG, BATCH_OUTCOME, BATCH = (
    "layers.parquet",
    "report.html",
    "log.txt",
    "outcome.json",
    "batch.json",
)
"""What a batch leaves of a model that can be read back, and its page and log; what says that it is a batch's folder, or
the directory of a batch."""
_KEYS = ("schema", "model", "revision", "architecture", "summary", "findings")
_LATER = ("rules",)
"""What reports of an earlier version lack: they checked no rules."""
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "Int64": (int,),
    "int64": (int,),
    "float64": (float, int),
    "bool": (bool,),
}

Row = Mapping[str, Value]


@dataclass(frozen=True)
class Finished:
    """A report: ``rows`` by the names of the report's columns, NaN where a number is unknown; ``page`` and ``log``
    where there are such.
    """

    name: str
    revision: str
    family: str
    guessed: bool
    metrics: dict[str, Metric]
    profiles: Profiles
    findings: dict[str, int]
    rules: int
    rows: Sequence[Row]
    page: Path | None = None
    log: Path | None = None


def finished(report: ScanReport, page: Path | None = None) -> Finished:
    """That of a scan just made."""
    return _finished(document(report), page=page)


def read_finished(path: Path) -> Finished | None:
    """The report at ``path``: .json or .parquet, or a model's folder in a batch. None where it is something else, such
    as a model.

    Raises UsageError for a report that cannot be read, and for one that lacks what a comparison needs.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        return None
    shown = printable(str(path), limit=1000)
    if path.suffix in (".csv", ".html"):
        raise UsageError(shown, "a report in this format does not say all", "Name its .json or .parquet")
    if path.suffix not in (".json", ".parquet"):
        return None
    try:
        said = _read_json(path) if path.suffix == ".json" else _read_parquet(path)
    except OSError as error:
        raise UsageError(shown, (error.strerror or str(error)).lower(), "Name another report") from error
    except (ValueError, RecursionError, NotImplementedError) as error:  # the last for odd Parquet
        raise UsageError(shown, f"it cannot be read: {printable(str(error))}", "Scan the model again") from error
    if said is None:
        return None
    if "layers" not in said or not said.keys() >= set(_KEYS):
        raise UsageError(shown, "it is not the whole report of one model", "Name one that `weightaudit scan` wrote")
    if said["schema"] != SCHEMA:
        raise UsageError(shown, "another version of weightaudit wrote it", "Scan the model again with this one")
    try:
        return _finished(said, page=_page_of(path))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(shown, f"it is no valid report: {printable(repr(error))}", "Scan the model again") from error


def _read_folder(path: Path) -> Finished | None:
    shown = printable(str(path), limit=1000)
    if (path / BATCH_OUTCOME).is_file() and not (path / BATCH_TABLE).is_file():
        raise UsageError(shown, "the batch's scan of this model failed", f"Its {BATCH_LOG} says why")
    if (path / BATCH).is_file():
        raise UsageError(
            shown, "it is the directory of a whole batch", "Name the folders of its models, such as DIR/*/"
        )
    return read_finished(path / BATCH_TABLE) if (path / BATCH_TABLE).is_file() else None


def _read_json(path: Path) -> dict[str, Any] | None:
    """None for JSON that is something else, as a shard index is."""
    said = json.loads(path.read_bytes())
    return said if isinstance(said, dict) and {"schema", "model"} <= said.keys() else None


def _read_parquet(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read(use_threads=False)
    kept: dict[bytes, bytes] = table.schema.metadata or {}
    said = {
        key: json.loads(text) for key in _KEYS + _LATER if (text := kept.get(f"weightaudit.{key}".encode())) is not None
    }
    return {**said, "layers": table.to_pylist()}


def _page_of(table: Path) -> Path | None:
    page = table.with_name(BATCH_PAGE) if table.name == BATCH_TABLE else table.with_suffix(".html")
    return page if page.is_file() else None


def _finished(said: Mapping[str, Any], *, page: Path | None) -> Finished:
    rows = [_row(row) for row in said["layers"]]
    dimensions = said["architecture"]["dimensions"]
    metrics = metrics_of(said["summary"], dimensions)
    log = page.with_name(BATCH_LOG) if page else None
    return Finished(
        name=_text(said["model"]),
        revision=_text(said["revision"]),
        family=_text(said["architecture"]["family"]),
        guessed=bool(said["architecture"]["guessed"]),
        metrics={column.name: _metric(metrics[column.name], column.kind) for column in SUMMARY_COLUMNS},
        profiles=profiles_of((_point(row) for row in rows), int(dimensions.get("layers", 0))),
        findings=dict(Counter(one["severity"] for one in said["findings"] if one["severity"] in SEVERITIES)),
        rules=len(list(said.get("rules", []))),
        rows=rows,
        page=page,
        log=log if log and log.is_file() else None,
    )


def _row(said: Mapping[str, Any]) -> dict[str, Value]:
    """Every column, of the type it says; an unknown number is NaN."""
    row: dict[str, Value] = {}
    for column in COLUMNS:
        value: Value = said[column.name]
        if value is not None and not isinstance(value, _KINDS[column.dtype]):
            raise TypeError(f"{column.name} is no {column.dtype}")
        if column.dtype == "float64":
            row[column.name] = _number(value)
        else:
            row[column.name] = value
    return row


def _point(row: Row) -> Point:
    layer = row["layer"]
    return Point(
        str(row["stack"] or ""),
        layer if isinstance(layer, int) else None,
        str(row["role"]),
        _number(row["stable_rank"]),
        _number(row["frobenius_norm"]),
    )


def _number(value: Value) -> float:
    return float(value) if isinstance(value, float | int) else math.nan


def _metric(value: Any, kind: str) -> Metric:
    if value is None:
        return None
    if kind == "text":
        return _text(value)
    return int(value) if kind == "int" else float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
