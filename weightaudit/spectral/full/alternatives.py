"""Is another distribution of the tail likelier than the power law? Log-normal and exponential, by Vuong's test.

Each is cut off below x_min and fitted by maximum likelihood. With y = ln(x/x_min) ≥ 0 a power law is an exponential
distribution of y and a log-normal a normal one without its negative part. Such a normal distribution is always less
spread than the exponential of its mean, which it approaches in the limit: where the y are as spread as that, no
log-normal is likelier than the power law, and the two are one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import Alternative

Floats = NDArray[np.float64]

NO_DIFFERENCE = Alternative(0.0, 1.0)
TAIL_FROM = 5.0
"""Standard deviations from which on 1 − Φ is taken from a continued fraction."""
LIMIT = 1e3
"""Standard deviations of the cut above the mean at which the normal distribution is the exponential one, but for 1e-6
of its spread."""


def against_lognormal(y: Floats, rate: float) -> Alternative:
    """The power law of the ``rate`` a = α − 1 beside the log-normal, both fitted to ``y`` = ln(x/x_min) (k,)."""
    normal = lognormal_densities(y)
    return NO_DIFFERENCE if normal is None else _vuong(math.log(rate) - rate * y, normal)


def against_exponential(y: Floats, rate: float) -> Alternative:
    """The same beside the exponential distribution of x."""
    beyond = np.expm1(y)  # x/x_min − 1
    mean = float(beyond.mean())
    power = math.log(rate) - (rate + 1.0) * y
    return _vuong(power, -math.log(mean) - beyond / mean)


def lognormal_densities(y: Floats) -> Floats | None:
    """ln of the likeliest log-normal's density of ``y`` = ln(x/x_min), value by value; None where it is the limit."""
    mean = float(y.mean())
    cut = _cut_of_spread(float(np.square(y - mean).mean()) / mean**2)
    if cut is None:
        return None
    mills = inverse_mills(cut)
    sigma = mean / (mills - cut)
    # ln of φ((y − μ)/σ)/(σ·(1 − Φ(cut))) with (y − μ)/σ = y/σ + cut, and 1 − Φ = φ/mills: φ(cut) drops out.
    z = y / sigma
    densities: Floats = math.log(mills / sigma) - z * (0.5 * z + cut)
    return densities


def inverse_mills(a: float) -> float:
    """φ(a)/(1 − Φ(a)) of the normal distribution."""
    if a < TAIL_FROM:
        return math.exp(-0.5 * a * a) * math.sqrt(2.0 / math.pi) / math.erfc(a / math.sqrt(2.0))
    # Laplace's continued fraction (Abramowitz & Stegun 1964, 26.2.14): a + 1/(a + 2/(a + 3/(a + …))).
    value = a
    for k in range(40, 0, -1):
        value = a + k / value
    return value


def _spread(a: float) -> float:
    """Variance over squared mean of the normal distribution that is cut ``a`` standard deviations above its mean,
    counted from the cut; from 0 to 1, growing with a."""
    mills = inverse_mills(a)
    return (1.0 - mills * (mills - a)) / (mills - a) ** 2


def _cut_of_spread(wanted: float) -> float | None:
    """The a of that `_spread`; None where only the limit, an exponential, has it."""
    # Below −37 the normal distribution is whole: the mean is −a and the variance 1.
    if wanted <= _spread(-37.0):
        return -1.0 / math.sqrt(wanted) if wanted > 0.0 else None
    if wanted >= _spread(LIMIT):
        return None
    low, high = -37.0, LIMIT
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _spread(middle) < wanted else (low, middle)
    return 0.5 * (low + high)


def _vuong(first: Floats, second: Floats) -> Alternative:
    """Vuong's statistic of two log-likelihoods (k,), value by value (Vuong 1989; Clauset et al. 2009, app. C)."""
    difference = first - second
    scatter = float(difference.std())
    total = float(difference.sum())
    if not math.isfinite(total) or scatter <= 1e-12 * (1.0 + abs(total)):
        return NO_DIFFERENCE
    ratio = total / (math.sqrt(len(difference)) * scatter)
    return Alternative(ratio, math.erfc(abs(ratio) / math.sqrt(2.0)))
