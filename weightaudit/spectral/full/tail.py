"""The power law of the largest eigenvalues of WᵀW, how well it is known, and whether it is one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import TailFit
from weightaudit.spectral.full.alternatives import against_exponential, against_lognormal
from weightaudit.spectral.full.power_law import Fit, best_fit, best_fits

Floats = NDArray[np.float64]

SMALLEST_COUNT = 50
"""Eigenvalues other than zero below which no power law is fitted (Clauset et al. 2009, sec. 3.4, ask for as many)."""
LEVEL = 0.95
"""Nominal coverage of the interval on α."""
RESAMPLES = 100
"""Samples for the interval on α."""
TRIALS = 100
"""Samples for the p-value."""
DOUBT = 0.1
"""p-value at or below which a power law is rejected, or an alternative significantly likelier (Clauset et al. 2009,
sec. 4.1)."""
NORMAL = 1.959964
"""`LEVEL` of the normal distribution lies within so many standard deviations."""


def tail_of(squares: Floats, scale: float, rng: np.random.Generator, *, error: float = 0.0) -> TailFit | None:
    """The power law of the ``squares`` λ = (sσ)² > 0, ascending, s the ``scale``, each off by ``error`` at most; None
    for few values, and for a tail of such as do not differ by more. Samples are drawn from ``rng``.
    """
    if len(squares) < SMALLEST_COUNT:
        return None
    y = np.log(squares / squares[-1])
    fit = best_fit(y)
    if fit is None or squares[-1] - squares[fit.first] <= 2.0 * error:
        return None
    lower, upper = _interval(y, fit, rng)
    p_value = _p_value(y, fit, rng)
    tail = y[fit.first :] - y[fit.first]
    lognormal, exponential = against_lognormal(tail, fit.rate), against_exponential(tail, fit.rate)
    likelier = any(other.ratio < 0.0 and other.p_value <= DOUBT for other in (lognormal, exponential))
    return TailFit(
        alpha=1.0 + fit.rate,
        alpha_lower=1.0 + lower,
        alpha_upper=1.0 + upper,
        level=LEVEL,
        x_min=float(squares[fit.first]) / scale / scale,
        x_max=float(squares[-1]) / scale / scale,
        count=len(tail),
        distance=fit.distance,
        p_value=p_value,
        fits=p_value > DOUBT and not likelier,
        lognormal=lognormal,
        exponential=exponential,
        hill_alpha=hill_alpha(y),
    )


def hill_alpha(y: Floats) -> float:
    """Hill's estimate of α from the largest half of ``y`` = ln λ (n,), ascending: 1 + k/Σ ln(λ_i/λ_k), k = ⌊n/2⌋, λ_k
    the largest of those left out; NaN where that half is equal to it (Hill 1975)."""
    k = len(y) // 2
    total = float((y[len(y) - k :] - y[len(y) - k - 1]).sum())
    return 1.0 + k / total if total > 0.0 else math.nan


def _interval(y: Floats, fit: Fit, rng: np.random.Generator) -> tuple[float, float]:
    """Ends of the interval on the rate, from resamples of all values with x_min chosen anew in each.

    They are as far from the rate, as a factor, as the resamples scatter (the bootstrap's normal interval, Efron &
    Tibshirani 1993, ch. 13, of ln rate). Of 120 samples each of a power law from the least value on, of one above a
    body with a kink between, and of one above a body without, 97, 97 and 94 % of these intervals hold the rate; of
    those between quantiles of the resamples 93, 93 and 97 %, and 93, 94 and 84 % of those that take x_min for known.
    """
    drawn = np.sort(rng.integers(0, len(y), (RESAMPLES, len(y))), axis=1)
    rates = np.array([again.rate for again in best_fits(y[drawn]) if again is not None])
    if len(rates) < 2:
        return 0.0, math.inf
    factor = math.exp(NORMAL * float(np.log(rates).std(ddof=1)))
    return fit.rate / factor, fit.rate * factor


def _p_value(y: Floats, fit: Fit, rng: np.random.Generator) -> float:
    """Share of samples that lie further from their own fits than ``y``: of the fit's power law above x_min, of the
    values themselves below (Clauset et al. 2009, sec. 4.1)."""
    n = len(y)
    body = y[: fit.first]
    beyond = rng.binomial(n, (n - fit.first) / n, TRIALS)
    samples = np.empty((TRIALS, n))
    for sample, count in zip(samples, beyond.tolist(), strict=True):
        count = n if not len(body) else count
        sample[:count] = y[fit.first] + rng.exponential(1.0 / fit.rate, count)
        sample[count:] = body[rng.integers(0, max(1, len(body)), n - count)]
    samples.sort(axis=1)
    further = sum(again is not None and again.distance >= fit.distance for again in best_fits(samples))
    return further / TRIALS
