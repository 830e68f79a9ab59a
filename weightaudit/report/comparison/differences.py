"""differences.csv: the first report against each of the others, matrix by matrix."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from weightaudit.report.columns import COLUMNS, number_text
from weightaudit.report.comparison.apart import Apart
from weightaudit.report.comparison.partners import PLACE, Row, partners, place_of
from weightaudit.report.comparison.read import Finished
from weightaudit.report.table_files import csv_line, guarded

COMPARED = (
    "frobenius_norm",
    "spectral_norm",
    "spectral_norm_upper",
    "stable_rank",
    "stable_rank_lower",
    "norm_ratio",
    "max_abs",
)
APART = "stable_rank_intervals_apart"
HEADER = (
    "model_a",
    "model_b",
    *PLACE,
    "match",
    "tensors_a",
    "tensors_b",
    "shape_a",
    "shape_b",
    *(f"{name}_{part}" for name in COMPARED for part in ("a", "b", "difference")),
    APART,
    "identical",
    "relative",
)
"""A difference is (b − a)/|a|. `APART` says that the intervals of the two stable ranks do not meet: what is left of a
difference where they do may be the estimates' own. ``identical`` and ``relative``, ‖b − a‖_F/‖a‖_F, are of the entries,
and empty where those are not known.
"""
_COLUMNS = {column.name: column for column in COLUMNS}


@dataclass(frozen=True)
class Matched:
    """How many matrices of a report have a partner in the first, how many of either have none, and how far ``apart``
    the weights are.
    """

    model: str
    both: int
    only_first: int
    only_this: int
    apart: Apart


def write_differences(reports: Sequence[tuple[str, Finished]], apart: Sequence[Apart], file: BinaryIO) -> None:
    """Write the CSV of these (name, report), each but the first ``apart`` from it; what has no partner says so under
    ``match``. At least two are needed.
    """
    (first_name, first), *others = reports
    file.write(csv_line(HEADER).encode())
    for (name, other), known in zip(others, apart, strict=True):
        for match, a, b in partners(first.rows, other.rows):
            cells = [*_cells(first_name, name, match, a, b), *_of_entries(known, a, b)]
            file.write(csv_line(cells).encode("utf-8", "backslashreplace"))


def matches(reports: Sequence[tuple[str, Finished]], apart: Sequence[Apart]) -> list[Matched]:
    """Of these (name, report), of which at least two are needed, each but the first, ``apart`` from it."""
    (_, first), *others = reports
    matched = []
    for (name, other), known in zip(others, apart, strict=True):
        counts = Counter(match for match, _, _ in partners(first.rows, other.rows))
        matched.append(Matched(name, counts["both"], counts["only a"], counts["only b"], known))
    return matched


def _of_entries(apart: Apart, a: Row | None, b: Row | None) -> list[str]:
    """Whether two matrices are identical, and how far they are apart; empty where that is not known."""
    found = apart.by_place.get(place_of(b)) if a is not None and b is not None else None
    if found is None:
        return ["", ""]
    identical, relative = found
    return ["true" if identical else "false", number_text(relative)]


def _cells(first_name: str, name: str, match: str, a: Row | None, b: Row | None) -> list[str]:
    place = a if a is not None else b
    assert place is not None
    cells = [guarded(first_name), guarded(name)]
    cells += [guarded(_COLUMNS[column].text(place[column])) for column in PLACE]
    cells += [match, _tensors(a), _tensors(b), _shape(a), _shape(b)]
    for column in COMPARED:
        cells += [_text(a, column), _text(b, column), difference(_number(a, column), _number(b, column))]
    return [*cells, _apart(a, b)]


def difference(a: float, b: float) -> str:
    """(b − a)/|a| with 9 digits; empty where it is unknown.

    Example:
        >>> difference(4.0, 3.0), difference(0.0, 3.0)
        ('-0.25', '')
    """
    if not (math.isfinite(a) and math.isfinite(b)) or (a == 0 and b != 0):
        return ""
    relative = (b - a) / abs(a) if a else 0.0
    return number_text(relative) if math.isfinite(relative) else ""


def _apart(a: Row | None, b: Row | None) -> str:
    low_a, high_a = _number(a, "stable_rank_lower"), _number(a, "stable_rank")
    low_b, high_b = _number(b, "stable_rank_lower"), _number(b, "stable_rank")
    if any(map(math.isnan, (low_a, high_a, low_b, high_b))):
        return ""
    return "true" if high_a < low_b or high_b < low_a else "false"


def _number(row: Row | None, name: str) -> float:
    value = row[name] if row is not None else None
    return float(value) if isinstance(value, float | int) else math.nan


def _text(row: Row | None, name: str) -> str:
    return "" if row is None else _COLUMNS[name].text(row[name])


def _tensors(row: Row | None) -> str:
    return "" if row is None else guarded(str(row["tensors"] or ""))


def _shape(row: Row | None) -> str:
    return "" if row is None else f"{row['rows']}x{row['cols']}"
