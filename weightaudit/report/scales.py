"""Whether a number is drawn from zero or on a logarithmic scale: one rule for a page's cards and its charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weightaudit.records import LayerRow
from weightaudit.report.style import LineFigure

LOG_FROM = 10.0
"""Largest over smallest at which a scale that starts at zero would hide the smaller."""


@dataclass(frozen=True)
class Scale:
    """Of one number in all drawings: from its least value, or from zero where it is not logarithmic."""

    low: float
    high: float
    logarithmic: bool

    @property
    def name(self) -> str:
        """As plotly calls it."""
        return "log" if self.logarithmic else "linear"

    def share(self, value: float) -> float:
        """How far up ``value`` lies, from 0 to 1. What is too small for a logarithmic scale lies at the bottom."""
        if not self.logarithmic:
            return value / self.high
        if self.high > self.low:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return 0.5


def scale_of(rows: Sequence[LayerRow], figure: LineFigure) -> Scale:
    """The scale of what ``figure`` draws of ``rows``: the one that suits this number, but logarithmic where values lie
    far apart.
    """
    ends = [end for row in rows for end in ends_of(row, figure)]
    positive = [end for end in ends if math.isfinite(end) and end > 0]
    low, high = (min(positive), max(positive)) if positive else (1.0, 1.0)
    return Scale(low, high, figure.scale == "log" or high > LOG_FROM * low)


def ends_of(row: LayerRow, figure: LineFigure) -> Iterable[float]:
    """The ends of the interval that ``figure`` draws of ``row``, and the number; NaN where it is not known."""
    spectrum = row.spectrum
    holders = (spectrum, spectrum.detail, spectrum.full and spectrum.full.tail)
    for name in filter(None, (figure.lower, figure.column, figure.upper)):
        yield next((float(getattr(holder, name)) for holder in holders if hasattr(holder, name)), math.nan)
