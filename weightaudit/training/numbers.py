"""What a measurement comes to, a number a role, for the logger of a trainer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median

from weightaudit.records import SeriesRow

PREFIX = "weightaudit"
_OF: tuple[tuple[str, tuple[tuple[str, Callable[[Sequence[float]], float]], ...]], ...] = (
    ("stable_rank", (("median", median), ("min", min))),
    ("frobenius_norm", (("mean", fmean),)),
    ("spectral_norm", (("max", max),)),
)
"""Of each number what is told of the layers together."""


def logged(rows: Iterable[SeriesRow]) -> dict[str, float]:
    """Numbers of one measurement by name, such as ``weightaudit/stable_rank/M1/median``; what is not finite counts in
    none.
    """
    known: dict[tuple[str, str], list[float]] = defaultdict(list)
    nonfinite = 0
    for row in rows:
        nonfinite += row.nonfinite
        role = f"{row.place.stack}.{row.place.role}" if row.place.stack else row.place.role
        for number, _ in _OF:
            value = getattr(row, number)
            if math.isfinite(value):
                known[number, role].append(value)
    found = {
        f"{PREFIX}/{number}/{role}/{name}": float(of(values))
        for number, told in _OF
        for (measured, role), values in known.items()
        if measured == number
        for name, of in told
    }
    return {**found, f"{PREFIX}/nonfinite": float(nonfinite)}
