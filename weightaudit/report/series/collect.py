"""Finished reports as the steps of a series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from weightaudit.records import SeriesRow
from weightaudit.report.columns import Value
from weightaudit.report.comparison.partners import Row, place_of
from weightaudit.report.comparison.read import Finished


def rows_of(reports: Sequence[tuple[int, Finished]]) -> Iterator[SeriesRow]:
    """The matrices of all ``reports``, each with its step."""
    for step, report in reports:
        for row in report.rows:
            yield SeriesRow(
                step=step,
                due=step,
                kind="matrix",
                place=place_of(row),
                tensors=tuple(filter(None, str(row["tensors"] or "").split(";"))),
                rows=_whole(row["rows"]),
                cols=_whole(row["cols"]),
                nonfinite=_whole(row["nonfinite"]),
                **{name: _number(row, name) for name in _NUMBERS},
            )


_NUMBERS = ("frobenius_norm", "spectral_norm", "spectral_norm_upper", "stable_rank", "stable_rank_lower")


def _whole(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _number(row: Row, name: str) -> float:
    value = row[name]
    return float(value) if isinstance(value, int | float) else math.nan
