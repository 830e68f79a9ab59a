"""The random matrix beside a matrix: the bulk of its singular values, and how many stand out of it.

An m×n matrix of independent entries of variance s² has its singular values between s(√m − √n) and s(√m + √n), up to
fluctuations (Marchenko & Pastur 1967), and the largest eigenvalue of WᵀW fluctuates by Tracy and Widom's law about
    s²·(√(m − ½) + √(n − ½))²,  in units of  s²·(√(m − ½) + √(n − ½))·(1/√(m − ½) + 1/√(n − ½))^⅓
(Johnstone 2001; the halves by Ma 2012). Entries need a fourth moment, and no distribution.

What s is has to be told from the matrix, in which directions stand out. The count goes from the top: given that k
values are spikes, the noise has the rest of ‖W‖_F², in (m − k)(n − k) dimensions, and the next value is a spike if it
is above the threshold of such noise (Kritchman & Nadler 2008, from the other side). Until the first is found nothing is
left out, so a random matrix has one as often as `LEVEL` says.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import Bulk

LEVEL = 0.01
"""Probability that a random matrix has a spike."""
QUANTILE = 2.0234
"""1 − `LEVEL` quantile of Tracy and Widom's law of real matrices, β = 1 (Prähofer's tables; Bejan 2005, table 2)."""
SMALLEST_SIDE = 8
"""Rows and columns below which the laws, of large matrices, say nothing."""


def bulk_of(squares: NDArray[np.float64], rows: int, cols: int, error: float, scale: float = 1.0) -> Bulk | None:
    """The bulk beside the singular values of W (rows, cols), of which ``squares`` are (sσ)², descending, each off by
    ``error`` at most, and s is the ``scale``. None for small sides, and where spikes leave nothing but rounding."""
    m, n = max(rows, cols), min(rows, cols)
    if n < SMALLEST_SIDE:
        return None
    centre, width = largest_of_noise(m, n)
    # left[k] is what remains of ‖W‖_F² without the k largest.
    left = np.cumsum(squares[::-1])[::-1]
    k = np.arange(n)
    variance = left / ((m - k) * (n - k))
    inside = squares <= variance * (centre + QUANTILE * width)
    spikes = int(np.argmax(inside))
    if not inside[spikes] or left[spikes] <= (n - spikes) * error:
        return None
    s = math.sqrt(float(variance[spikes])) / scale
    root_m, root_n = math.sqrt(m), math.sqrt(n)
    threshold = s * math.sqrt(centre + QUANTILE * width)
    return Bulk(s, s * (root_m - root_n), s * (root_m + root_n), threshold, LEVEL, spikes)


def largest_of_noise(m: int, n: int) -> tuple[float, float]:
    """Where the largest σ² of an m×n matrix of noise of variance 1 is, and the unit in which it fluctuates."""
    root_m, root_n = math.sqrt(m - 0.5), math.sqrt(n - 0.5)
    both = root_m + root_n
    return both**2, both * (1.0 / root_m + 1.0 / root_n) ** (1.0 / 3.0)
