"""Means that the standard library lacks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean


def harmonic_mean(values: Iterable[float]) -> float | None:
    """The harmonic mean of those that are finite, None where none is: of stable ranks the mean that Lemma 4 bounds.

    Example:
        >>> harmonic_mean([1.0, 3.0, math.nan])
        1.5
    """
    inverse = [1.0 / value for value in values if math.isfinite(value)]
    return 1.0 / fmean(inverse) if inverse else None
