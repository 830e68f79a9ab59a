"""The quantile of the χ² distribution, which is all of scipy.special that the engine would import.

With a = b/2 the distribution function is P(a, x/2) = z^a e^−z / Γ(a + 1) · S(z), z = x/2, with the series
S(z) = 1 + z/(a + 1) + z²/((a + 1)(a + 2)) + … (Abramowitz & Stegun 1964, 6.5.29), whose terms are all positive.
"""

from __future__ import annotations

import math


def chi2_quantile(delta: float, b: int) -> float:
    """q with P(χ²_b ≤ q) = ``delta``, 0 < delta < 1: to 1e-13 of itself where delta ≤ 0.9, however small, and to less
    nearer to 1, where log P is all rounding.

    Newton's method on log P as a function of log z. That is concave, as its slope a/S falls, and S > 1 puts the start
    below the root: so each step goes up, and none beyond it.
    """
    a = 0.5 * b
    constant = math.lgamma(a + 1.0) + math.log(delta)
    log_z = constant / a
    while True:
        z = math.exp(log_z)
        series = _series(a, z)
        step = (constant - a * log_z + z - math.log(series)) * series / a
        if not step > 1e-15 * max(1.0, abs(log_z)):
            return 2.0 * z
        log_z += step


def _series(a: float, z: float) -> float:
    total = term = 1.0
    n = 0
    while term > 1e-17 * total:
        n += 1
        term *= z / (a + n)
        total += term
    return total
