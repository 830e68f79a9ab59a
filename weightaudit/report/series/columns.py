"""The columns of a series: one table, read by the Parquet log of a run and by the CSV of a comparison over steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from weightaudit.records import EVENT_KINDS, STACKS, Place, SeriesRow
from weightaudit.report.columns import Rounding, Value, number_text
from weightaudit.report.table_files import guarded
from weightaudit.stored import one_of, or_none, text, whole

Check = Callable[[Any], Any]


@dataclass(frozen=True)
class SeriesColumn:
    """One column: its name, what it means, its type in Arrow's words, where it comes from, how what is read back is
    checked, and how a number is rounded when it is printed.
    """

    name: str
    meaning: str
    dtype: Literal["string", "int64", "float64"]
    value: Callable[[SeriesRow], Value]
    check: Check
    rounding: Rounding = "nearest"

    def text(self, row: SeriesRow) -> str:
        """Its cell in a CSV: unknown numbers are empty, words that a spreadsheet would run are guarded."""
        value = self.value(row)
        if isinstance(value, float):
            return number_text(value, self.rounding)
        return "" if value is None else guarded(str(value))


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("it is no number")
    return float(value)


def _measured(name: str, meaning: str, rounding: Rounding = "nearest") -> SeriesColumn:
    return SeriesColumn(name, meaning, "float64", lambda row: getattr(row, name), _number, rounding)


def _side(name: str, meaning: str) -> SeriesColumn:
    return SeriesColumn(name, meaning, "int64", lambda row: getattr(row, name), whole)


SERIES_COLUMNS = (
    _side("step", "the step of training after which the weights were these"),
    _side("due", "the step at which the measurement was due that this row belongs to"),
    SeriesColumn(
        "kind", "matrix, skipped (a measurement) or finding", "string", lambda row: row.kind, one_of(EVENT_KINDS)
    ),
    SeriesColumn(
        "stack",
        "encoder or decoder in encoder-decoder models, else empty",
        "string",
        lambda row: row.place.stack,
        one_of(STACKS),
    ),
    SeriesColumn("layer", "number of the layer, from 0", "int64", lambda row: row.place.layer, or_none(whole)),
    SeriesColumn("expert", "number of the expert in a mixture", "int64", lambda row: row.place.expert, or_none(whole)),
    SeriesColumn("role", "what the matrix does: Q K V O M1 M2 and others", "string", lambda row: row.place.role, text),
    SeriesColumn(
        "tensors",
        "the tensors it is cut from, or that a finding is about, joined by ;",
        "string",
        lambda row: ";".join(row.tensors),
        text,
    ),
    _side("rows", "output features"),
    _side("cols", "input features"),
    _measured("frobenius_norm", "‖W‖_F"),
    _measured("spectral_norm", "lower end of the interval that holds σ₁", "down"),
    _measured("spectral_norm_upper", "upper end of the interval that holds σ₁", "up"),
    _measured("stable_rank", "upper end of the interval that holds ‖W‖_F²/σ₁²", "up"),
    _measured("stable_rank_lower", "lower end of the interval that holds ‖W‖_F²/σ₁²", "down"),
    _side("nonfinite", "entries that are NaN or infinite"),
    _measured("seconds", "how long the measurement took"),
    SeriesColumn("rule", "id of the rule that found something", "string", lambda row: row.rule, text),
    SeriesColumn("note", "why it was skipped, or what was found", "string", lambda row: row.note, text),
)
SERIES_NAMES = tuple(column.name for column in SERIES_COLUMNS)


def row_of(said: dict[str, Any]) -> SeriesRow:
    """The row that a table's line tells; ValueError where one of its cells is not of its kind."""
    cells = {}
    for column in SERIES_COLUMNS:
        try:
            cells[column.name] = column.check(said[column.name])
        except ValueError as error:
            raise ValueError(f"{column.name}: {error}") from error
    place = Place(*(cells.pop(name) for name in ("stack", "layer", "expert", "role")))
    tensors = tuple(filter(None, cells.pop("tensors").split(";")))
    return SeriesRow(place=place, tensors=tensors, **cells)
