"""Judging a claim from repeated draws: Student's intervals of a mean, and outcomes that follow from them.

The rule is the same everywhere: what must lie above (below) a number is true where the whole interval does, false where
the whole interval lies on the other side, and inconclusive in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from weightaudit.paper.results import Numbers, Outcome

LEVEL = 0.95
"""Confidence of an interval."""


@dataclass(frozen=True)
class Spread:
    """One number over independent draws: mean, standard deviation (n − 1), and the interval of the mean."""

    mean: float
    sd: float
    low: float
    high: float
    draws: int

    def numbers(self, name: str) -> Numbers:
        """As a claim's numbers have it."""
        return {
            f"{name}: mean": self.mean,
            f"{name}: standard deviation": self.sd,
            f"{name}: interval": [self.low, self.high],
        }

    def __str__(self) -> str:
        return f"{self.mean:.3g} ± {self.sd:.2g}"


def spread(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Spread:
    """Mean and interval of one value a draw; draws without one (NaN) do not count.

    A single draw has no interval, so nothing follows from it. An infinite value makes everything infinite or NaN.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    n = len(array)
    if n == 0 or not np.isfinite(array).all():
        return Spread(math.nan, math.nan, -math.inf, math.inf, n)
    mean = float(array.mean())
    if n == 1:
        return Spread(mean, math.nan, -math.inf, math.inf, n)
    sd = float(array.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)
    return Spread(mean, sd, mean - half, mean + half, n)


def above(found: Spread, threshold: float) -> Outcome:
    """Whether the mean is above ``threshold``, as far as the draws can tell."""
    if found.low > threshold:
        return "true"
    return "false" if found.high < threshold else "inconclusive"


def below(found: Spread, threshold: float) -> Outcome:
    """Whether the mean is below ``threshold``, as far as the draws can tell."""
    if found.high < threshold:
        return "true"
    return "false" if found.low > threshold else "inconclusive"


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """False where one is false, true where all are (and there are some), else inconclusive."""
    found = list(outcomes)
    if "false" in found:
        return "false"
    return "true" if found and set(found) == {"true"} else "inconclusive"


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each from 1 on, equal ones at the mean of theirs."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def trend(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, over the points where neither is NaN; NaN for fewer than three, or no variation."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    there = ~(np.isnan(a) | np.isnan(b))
    a, b = ranks(a[there]), ranks(b[there])
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
