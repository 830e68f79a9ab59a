"""Finished reports read back: what a scan wrote as JSON or Parquet, or what a batch left of a model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightaudit.errors import UsageError
from weightaudit.own_reports import MAX_REPORT
from weightaudit.records import SCHEMA, SEVERITIES, LayerRow, ScanResult
from weightaudit.report.columns import COLUMNS, Column, Value
from weightaudit.report.comparison.checking import check_metrics
from weightaudit.report.comparison.columns import Metric
from weightaudit.report.comparison.model_summary import Point, Profiles, metrics_of, profiles_of
from weightaudit.report.comparison.partners import Row
from weightaudit.report.layout import LAYERS_PARQUET, LOG, MANIFEST, OUTCOME, PAGE
from weightaudit.report.tables import document
from weightaudit.stored import by_name, flag, items, open_plain, parse_stored, read_plain, text, whole
from weightaudit.text import printable

_KEYS = ("schema", "model", "revision", "architecture", "summary", "findings")
_LATER = ("rules", "adapter")
"""What some reports lack: those of an earlier version checked no rules, and most are of no adapter."""
_CELLS: dict[str, Callable[[Any], Value]] = {"string": text, "Int64": whole, "int64": whole, "bool": flag}
_NULLABLE = ("string", "Int64")


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
    adapter: bool = False


def finished(report: ScanResult, page: Path | None = None) -> Finished:
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
    except (ValueError, LookupError, TypeError, MemoryError, NotImplementedError) as error:  # most are Arrow's
        raise UsageError(shown, f"it cannot be read: {printable(str(error))}", "Scan the model again") from error
    if said is None:
        return None
    if "layers" not in said or not said.keys() >= set(_KEYS):
        raise UsageError(shown, "it is not the whole report of one model", "Name one that `weightaudit scan` wrote")
    if said["schema"] != SCHEMA:
        raise UsageError(shown, "another version of weightaudit wrote it", "Scan the model again with this one")
    try:
        return _finished(said, page=_page_of(path))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(shown, f"it is no valid report: {printable(repr(error))}", "Scan the model again") from error


def table_of(path: Path) -> Path:
    """The file that `read_finished` reads for ``path``."""
    return path / LAYERS_PARQUET if path.is_dir() else path


def _read_folder(path: Path) -> Finished | None:
    shown = printable(str(path), limit=1000)
    if (path / OUTCOME).is_file() and not (path / LAYERS_PARQUET).is_file():
        raise UsageError(shown, "the batch's scan of this model failed", f"Its {LOG} says why")
    if (path / MANIFEST).is_file():
        raise UsageError(
            shown, "it is the directory of a whole batch", "Name the folders of its models, such as DIR/*/"
        )
    return read_finished(table_of(path)) if table_of(path).is_file() else None


def _read_json(path: Path) -> dict[str, Any] | None:
    """None for JSON that is something else, as a shard index is."""
    said = parse_stored(read_plain(path, limit=MAX_REPORT, follow=True))
    ours = isinstance(said, dict) and "schema" in said and not said.keys().isdisjoint(("model", "derived"))
    return said if ours else None


def _read_parquet(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with open_plain(path, follow=True) as file:
        table = pq.ParquetFile(file).read(use_threads=False)
    kept: dict[bytes, bytes] = table.schema.metadata or {}
    said = {
        key: parse_stored(content)
        for key in _KEYS + _LATER
        if (content := kept.get(f"weightaudit.{key}".encode())) is not None
    }
    return {**said, "layers": table.to_pylist()}


def _page_of(table: Path) -> Path | None:
    page = table.with_name(PAGE) if table.name == LAYERS_PARQUET else table.with_suffix(".html")
    return page if page.is_file() else None


def _finished(said: Mapping[str, Any], *, page: Path | None) -> Finished:
    rows = [_row(row) for row in items(dict)(said["layers"])]
    summary = {**said["summary"], "dtypes": by_name(whole)(said["summary"]["dtypes"])}
    dimensions = said["architecture"]["dimensions"]
    log = page.with_name(LOG) if page else None
    return Finished(
        name=text(said["model"]),
        revision=text(said["revision"]),
        family=text(said["architecture"]["family"]),
        guessed=flag(said["architecture"]["guessed"]),
        metrics=check_metrics(metrics_of(summary, dimensions)),
        profiles=profiles_of((_point(row) for row in rows), whole(dimensions.get("layers", 0))),
        findings=dict(Counter(one["severity"] for one in said["findings"] if one["severity"] in SEVERITIES)),
        rules=len(items(text)(said.get("rules", []))),
        rows=rows,
        page=page,
        log=log if log and log.is_file() else None,
        adapter=said.get("adapter") is not None,
    )


def _row(said: Mapping[str, Any]) -> dict[str, Value]:
    """Every column, of the type it says; an unknown number is NaN."""
    return {column.name: _cell(column, said[column.name]) for column in COLUMNS}


def _cell(column: Column[LayerRow], value: Any) -> Value:
    if column.dtype == "float64":
        return _number(value)
    if value is None and (column.of_entries or column.dtype in _NULLABLE):
        return None
    try:
        return _CELLS[column.dtype](value)
    except ValueError as error:
        raise ValueError(f"{column.name} is no {column.dtype}") from error


def _point(row: Row) -> Point:
    layer = row["layer"]
    return Point(
        str(row["stack"] or ""),
        layer if isinstance(layer, int) else None,
        str(row["role"]),
        _number(row["stable_rank"]),
        _number(row["frobenius_norm"]),
    )


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    return float(value)
