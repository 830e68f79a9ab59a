"""The σ² of a matrix whose entries are in random order.

Only where they lie is asked of them, beside a law that scatters by more than 1e-3 of itself. So products of tall
matrices are summed in float32, some thousand rows at a time, and these sums in float64: each σ² was off by 1e-8 to 8e-7
of the largest (tests/spectral/full/test_null.py holds them to `SINGLE_ERROR`), in half the time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.block_matrix import Panels
from weightaudit.spectral.full.gram import mixed_gram_matrix
from weightaudit.spectral.full.shuffling import Mixed
from weightaudit.spectral.full.values import all_values, eigenvalues
from weightaudit.spectral.spectrum import WholeSpectrum
from weightaudit.spectral.team import ThreadTeam

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
SINGLE_ERROR = 2e-6
"""Error of a σ² by sums in float32, as a share of the largest: several times the largest that was seen."""
TALL = 2
"""Times as many rows as columns from which float32 will do: the smallest σ² of entries in random order is then some
hundredths of the largest, and of a square matrix next to nothing."""
LEAST = 1e-3
"""Share of the largest σ² that the smallest is at least where it is taken from float32."""

LARGEST_EXPONENT = 1000
"""Of the factor by which entries are brought there; of float64's least numbers it would be beyond its largest."""


def null_values(mixed: Panels, scale: float, frob_sq: float, team: ThreadTeam) -> NDArray[np.float64]:
    """The σ² of ``scale`` times that matrix, ascending; ``frob_sq`` is the sum of those of the one in order."""
    if not isinstance(mixed, Mixed):
        found = all_values(mixed, scale, frob_sq, team).spectrum
        assert isinstance(found, WholeSpectrum)
        return found.values
    m, n = max(mixed.rows, mixed.cols), min(mixed.rows, mixed.cols)
    # Entries are brought to magnitude 1, so that their squares are numbers of float32.
    turns = round(math.log2(math.sqrt(frob_sq / m / n)))
    if m >= TALL * n and math.frexp(scale)[1] - turns <= LARGEST_EXPONENT:
        values = eigenvalues(mixed_gram_matrix(mixed, math.ldexp(scale, -turns), SINGLE, team))
        if values[0] >= LEAST * values[-1] > 0.0:
            return np.ldexp(values, 2 * turns)
    return eigenvalues(mixed_gram_matrix(mixed, scale, DOUBLE, team))
