"""What the rules for a series look at: medians over the layers, by role, at each measurement."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from weightaudit.records import SeriesRow

LEAST_SIDE = 16
"""Rows and columns that a matrix needs for its rank to mean something, as in a scan's rules."""


@dataclass(frozen=True)
class RoleMedian:
    """Of a role of a stack, over its layers: the stable rank, and the root mean square of the entries; NaN where no
    matrix has one that is finite.
    """

    step: int
    stable_rank: float
    entry: float


def medians_of(rows: Iterable[SeriesRow]) -> dict[tuple[str, str], list[RoleMedian]]:
    """By (stack, role): the medians at each measurement that has all of its matrices, in order of steps: of the layers
    that came first alone a median says nothing beside others. Matrices that are small, or in no layer, do not count.
    """
    known: dict[tuple[str, str], dict[int, list[SeriesRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.kind == "matrix" and min(row.rows, row.cols) >= LEAST_SIDE and row.place.layer is not None:
            known[row.place.stack, row.place.role][row.due].append(row)
    return {key: _whole(by_due) for key, by_due in known.items()}


def _whole(by_due: Mapping[int, Sequence[SeriesRow]]) -> list[RoleMedian]:
    """Of one role, of each measurement that has as many of its matrices as any."""
    places = {due: len({row.place for row in at}) for due, at in by_due.items()}
    most = max(places.values())
    return [
        RoleMedian(
            due,
            _median([row.stable_rank for row in at]),
            _median([row.frobenius_norm / math.sqrt(row.rows * row.cols) for row in at]),
        )
        for due, at in sorted(by_due.items())
        if places[due] == most
    ]


def _median(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return median(finite) if finite else math.nan
