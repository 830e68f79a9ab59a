"""Finished reports as the steps of a series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from weightaudit.records import SeriesRow
from weightaudit.report.columns import Value
from weightaudit.report.comparison.partners import place_of
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
                frobenius_norm=_number(row["frobenius_norm"]),
                spectral_norm=_number(row["spectral_norm"]),
                spectral_norm_upper=_number(row["spectral_norm_upper"]),
                stable_rank=_number(row["stable_rank"]),
                stable_rank_lower=_number(row["stable_rank_lower"]),
                nonfinite=_whole(row["nonfinite"]),
            )


def _whole(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
