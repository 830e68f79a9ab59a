"""Where a power law begins and how steep it is: maximum likelihood, x_min by the Kolmogorov–Smirnov distance.

Clauset, Shalizi & Newman 2009, "Power-law distributions in empirical data", sec. 3: of each possible x_min the exponent
is the maximum-likelihood one of the values from there on, and that x_min is taken at which the fit is nearest to these.
All works on y = ln x, ascending, in which the tail is exponential: ln(x/x_min) has the rate a = α − 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST_TAIL = 10
"""Values that a tail has at least: of fewer nearly anything is a power law."""
PROBES = 24
"""Values of a tail at which each possible x_min is tried first: the distance is no less than there, so most are ruled
out, and the others are looked at in full. The result is that of looking at all."""
AT_ONCE = 1 << 21
"""Elements of the arrays that are worked on at once: 16 MB."""


@dataclass(frozen=True)
class Fit:
    """The tail begins at value ``first`` (from the smallest), falls with ``rate`` a = α − 1 and is ``distance`` from
    the fit."""

    first: int
    rate: float
    distance: float


def best_fit(y: Floats) -> Fit | None:
    """The fit of ``y`` = ln x (n,), ascending; None where no tail has `SMALLEST_TAIL` values that differ."""
    return next(best_fits(y[None]))


def best_fits(samples: Floats) -> Iterator[Fit | None]:
    """The same of each of the ``samples`` (count, n), ascending along their rows."""
    count, n = samples.shape
    candidates = n - SMALLEST_TAIL + 1
    if candidates < 1:
        yield from [None] * count
        return
    starts = np.arange(candidates)
    sizes = n - starts
    # Probes lie evenly in the tail of each candidate, the last value among them.
    offsets = np.unique(np.ceil(np.linspace(0.0, 1.0, PROBES + 1)[1:, None] * sizes).astype(np.int64) - 1, axis=0)
    height = max(1, AT_ONCE // (len(offsets) * candidates))
    for top in range(0, count, height):
        some = samples[top : top + height]
        with np.errstate(all="ignore"):
            rates = _rates(some, starts)
            least = np.zeros_like(rates)
            for offset in offsets:
                steps = some[:, starts + offset] - some[:, :candidates]
                np.maximum(least, np.abs(1.0 - np.exp(-rates * steps) - offset / sizes), out=least)
        least[~np.isfinite(rates)] = np.inf
        least[:, 1:][some[:, 1:candidates] == some[:, : candidates - 1]] = np.inf  # one of equal values is enough
        for y, rate, bound in zip(some, rates, least, strict=True):
            yield _nearest(y, rate, bound)


def distance(y: Floats, rate: float) -> float:
    """Largest |fit − share of the values that are smaller| over the tail ``y`` (k,), ascending from its ln x_min."""
    k = len(y)
    fit = 1.0 - np.exp(-rate * (y - y[0]))
    return float(np.abs(fit - np.arange(k) / k).max())


def _rates(samples: Floats, starts: NDArray[np.int64]) -> Floats:
    """Maximum-likelihood rates of the tails that begin at ``starts``: their size over Σ (y − y_first); infinite or NaN
    where all values are equal."""
    n = samples.shape[1]
    depth = samples - samples[:, -1:]  # at most 0, so that sums of a tail cancel little
    sums = np.cumsum(depth[:, ::-1], axis=1)[:, ::-1][:, : len(starts)]
    sizes = (n - starts).astype(np.float64)
    spread = sums - sizes * depth[:, : len(starts)]
    # What is no more than the rounding of the sums is no spread.
    spread[spread <= 1e-13 * np.abs(sums)] = 0.0
    rates: Floats = sizes / spread
    return rates


def _nearest(y: Floats, rates: Floats, bounds: Floats) -> Fit | None:
    """The candidate of least distance, the first of equals; ``bounds`` are lower ones, infinite where there is none."""
    best: Fit | None = None
    for i in np.argsort(bounds, kind="stable").tolist():
        if not np.isfinite(bounds[i]) or (best is not None and bounds[i] > best.distance):
            break
        found = distance(y[i:], float(rates[i]))
        if best is None or (found, i) < (best.distance, best.first):
            best = Fit(i, float(rates[i]), found)
    return best
