"""The eigenvalues λ = σ² of a matrix whose spectrum is whole, counted in bins, beside those of its shuffled entries.

Where a random matrix lies beside them, an edge of the bins is the threshold above which singular values are spikes, so
that bins hold spikes alone or none.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from weightaudit.records import FullSpectrum

BINS = 48
"""Bins of a histogram, a few more where its edges are moved onto the threshold."""
DECADES = 6.0
"""Of λ below its largest, as many as a logarithmic histogram shows: far below them is rounding."""
NEARLY_ALL = 0.975
"""Share of the λ that a linear histogram shows at least; few large ones would leave no room for the others."""
LEAST, MOST = 1e-145, 1e152
"""Largest singular values between which histograms are made: the squares of others leave the range of float64."""
BEYOND = 1.5
"""A linear histogram reaches this far beyond the threshold for spikes (ratio of λ), if λ does."""


@dataclass(frozen=True)
class Histogram:
    """How many λ lie in bins of one width.

    Attributes
    ----------
    start, width
        Lower edge of the first bin, and of each its width: of log₁₀ λ where it is ``logarithmic``, else of λ. A bin
        holds its upper edge, not its lower one.
    counts, shuffled
        λ of the matrix and of its shuffled entries in each bin.
    below, beyond
        λ of the matrix that lie in none.
    """

    start: float
    width: float
    counts: tuple[int, ...]
    shuffled: tuple[int, ...]
    below: int
    beyond: int
    logarithmic: bool

    def edges(self) -> list[float]:
        """Those of the bins as λ, ascending, one more than there are bins."""
        marks = (self.start + i * self.width for i in range(len(self.counts) + 1))
        return [10.0**mark if self.logarithmic else mark for mark in marks]


def log_histogram(full: FullSpectrum) -> Histogram | None:
    """Over log₁₀ λ, of what is more than rounding; None where all is, or too small or large to be squared."""
    highest = max(_largest(full.singular_values), _largest(full.shuffled))
    if not LEAST <= highest <= MOST:
        return None
    highest *= highest
    floor = math.sqrt(max(full.squared_error, highest * 10**-DECADES))
    told = [values[: spikes_among(values, floor)] for values in (full.singular_values, full.shuffled)]
    lowest = min((values[-1] ** 2 for values in told if values), default=0.0)
    if lowest <= 0:
        return None
    low, high = math.log10(lowest), math.log10(highest)
    width = max(high - low, 0.1) / BINS
    anchor = 2 * math.log10(full.bulk.threshold) if full.bulk else high
    first = math.ceil((low - anchor) / width) - 1
    last = math.floor((high - anchor) / width) + 1
    return _counted(full, anchor + first * width, width, last - first, logarithmic=True)


def linear_histogram(full: FullSpectrum) -> Histogram | None:
    """Over λ from 0, to where nearly all are shown; None where all are 0, or too small or large to be squared."""
    if not LEAST <= _largest(full.singular_values) <= MOST:
        return None
    end = _linear_end(full)
    width = end / BINS
    steps = round(full.bulk.threshold**2 / width) if full.bulk else 0
    if full.bulk and steps:
        width = full.bulk.threshold**2 / steps
    return _counted(full, 0.0, width, math.ceil(end / width), logarithmic=False)


def _linear_end(full: FullSpectrum) -> float:
    values = full.singular_values
    nearly_all = values[int((1 - NEARLY_ALL) * len(values))] ** 2 if values else 0.0
    threshold = BEYOND * full.bulk.threshold**2 if full.bulk else 0.0
    return min(_largest(values) ** 2 * (1 + 1e-9), max(nearly_all, threshold))  # the largest is not to fall on an edge


def _largest(values: Sequence[float]) -> float:
    return values[0] if values else 0.0


def _counted(full: FullSpectrum, start: float, width: float, bins: int, *, logarithmic: bool) -> Histogram:
    marks = [start + i * width for i in range(bins + 1)]
    edges = [10 ** (mark / 2) if logarithmic else math.sqrt(max(mark, 0.0)) for mark in marks]
    if full.bulk:  # what is computed from the threshold and back may lie on its other side
        edges = [full.bulk.threshold if math.isclose(edge, full.bulk.threshold) else edge for edge in edges]
    above = _above(full.singular_values, edges)
    beside = _above(full.shuffled, edges)
    counts = tuple(high - low for high, low in pairwise(above))
    shuffled = tuple(high - low for high, low in pairwise(beside))
    return Histogram(start, width, counts, shuffled, len(full.singular_values) - above[0], above[-1], logarithmic)


def _above(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many of the descending ``values`` are above each edge; of 0, not below: a first bin has them, too."""
    return [spikes_among(values, edge) if edge > 0 else len(values) for edge in edges]


def spikes_among(values: Sequence[float], threshold: float) -> int:
    """How many of the descending singular values are above ``threshold``."""
    return bisect_left(values, -threshold, key=lambda value: -value)
