"""All singular values: M = AᵀA in float64, A the taller of W and Wᵀ, and a dense eigensolver.

As `weightaudit.spectral.exact`, of a matrix of any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.block_matrix import Panels
from weightaudit.spectral.exact import exact
from weightaudit.spectral.full.gram import gram_matrix, slab_bytes
from weightaudit.spectral.full.shuffling import LARGEST_COPY
from weightaudit.spectral.rounding import SUM_ERROR, gram_error
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.team import ThreadTeam

LARGEST_SIDE = 16_384
"""The smaller side of the largest matrix of which all singular values are computed: M then takes 2 GiB, the eigensolver
as much again, and some twenty minutes of a core."""
LARGEST_PAIR = 3072
"""The smaller side of the largest matrix whose eigenvalues are computed beside those of its entries in random order,
which needs memory for both: M takes 75 MB."""


def all_values(matrix: Panels, scale: float, frob_sq: float, team: ThreadTeam) -> Interval:
    """As `exact`, of a matrix of any size."""
    return values_to_come(matrix, scale, frob_sq, team)()


def values_to_come(matrix: Panels, scale: float, frob_sq: float, team: ThreadTeam) -> Callable[[], Interval]:
    """`all_values`, of which M is made, and the eigenvalues are computed by who calls what this returns."""
    if matrix.device != "cpu":
        found = exact(matrix, scale, frob_sq)
        return lambda: found
    M = [gram_matrix(matrix, scale, team)]
    m = max(matrix.rows, matrix.cols)
    return lambda: _interval(m, eigenvalues(M.pop()), frob_sq)


def eigenvalues(M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those of a symmetric matrix, ascending, of which nothing above the diagonal is read."""
    return np.linalg.eigvalsh(M, UPLO="L").astype(np.float64, copy=False)


def _interval(m: int, values: NDArray[np.float64], frob_sq: float) -> Interval:
    largest = float(values[-1])
    error = largest * gram_error(m, len(values), frob_sq / largest)
    upper = min(largest + error, frob_sq * (1.0 + SUM_ERROR))
    return Interval(largest - error, upper, 1, WholeSpectrum(values, error, m))


def is_paired(rows: int, cols: int) -> bool:
    """Whether eigenvalues of such a matrix, and of its entries in random order, are computed beside one another."""
    return min(rows, cols) <= LARGEST_PAIR


def workspace_bytes(rows: int, cols: int, itemsize: int) -> int:
    """Bytes needed beside a (rows, cols) matrix: its entries shuffled, M and the eigensolver's copy of it, twice where
    both are computed at once, slabs and tiles."""
    squares = (4 if is_paired(rows, cols) else 2) * 8 * min(rows, cols) ** 2
    return min(rows * cols * itemsize, LARGEST_COPY) + squares + slab_bytes(rows, cols)
