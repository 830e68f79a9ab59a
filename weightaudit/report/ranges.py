"""From the least to the greatest of several matrices' numbers, with three digits, wherever a role is told in a line."""

from __future__ import annotations

import math
from collections.abc import Iterable

from weightaudit.records import Spectrum
from weightaudit.report.columns import number_text

RANGE = " – "
"""Between the least and the greatest."""
DIGITS = 3


def norm_range(norms: Iterable[float]) -> str:
    """Of the finite ones; one number where both print alike, "" where there is none.

    Example:
        >>> norm_range([4000.0, float("nan"), 2.5]), norm_range([1.0001, 1.0002])
        ('2.5 – 4000', '1')
    """
    finite = [norm for norm in norms if math.isfinite(norm)]
    return _between(*(number_text(end, digits=DIGITS) for end in (min(finite), max(finite)))) if finite else ""


def stable_rank_range(spectra: Iterable[Spectrum]) -> str:
    """The same of stable ranks: from the least lower end to the greatest upper one, rounded outwards."""
    finite = [one for one in spectra if math.isfinite(one.stable_rank)]
    if not finite:
        return ""
    least, greatest = min(one.stable_rank_lower for one in finite), max(one.stable_rank for one in finite)
    return _between(number_text(least, "down", DIGITS), number_text(greatest, "up", DIGITS))


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low}{RANGE}{high}"
