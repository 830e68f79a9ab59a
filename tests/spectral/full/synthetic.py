"""Samples whose distribution is known, and the plain way to fit them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.full.power_law import SMALLEST_TAIL, Fit, distance

Floats = NDArray[np.float64]


def power_law_above(rng: np.random.Generator, n: int, alpha: float, share: float) -> Floats:
    """ln x (n,), ascending: a ``share`` of the x is of a power law from 1 on, the others lie below as the exponential
    of Clauset et al. 2009, eq. 3.10."""
    count = n if share == 1.0 else int(rng.binomial(n, share))
    above = rng.exponential(1.0 / (alpha - 1.0), count)
    whole = math.exp(alpha)
    below = 1.0 + np.log(1.0 / (whole - rng.random(n - count) * (whole - 1.0))) / alpha
    return np.sort(np.concatenate([np.log(np.maximum(below, 1e-9)), above]))


def plain_fit(y: Floats) -> Fit | None:
    """The best of all possible tails, each looked at in full."""
    best: Fit | None = None
    for i in range(len(y) - SMALLEST_TAIL + 1):
        spread = float((y[i:] - y[i]).sum())
        if spread <= 0.0 or (i and y[i] == y[i - 1]):
            continue
        rate = (len(y) - i) / spread
        found = distance(y[i:], rate)
        if best is None or found < best.distance:
            best = Fit(i, rate, found)
    return best


def random_matrix(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Floats:
    """Independent entries of mean 0."""
    drawn: Floats = {
        "normal": lambda: rng.standard_normal(shape),
        "uniform": lambda: rng.uniform(-1.0, 1.0, shape),
        "signs": lambda: np.copysign(1.0, rng.uniform(-1.0, 1.0, shape)),
    }[kind]()
    return drawn
