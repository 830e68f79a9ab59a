"""Which route measures a matrix, by a cost model of measured constants."""

from __future__ import annotations

from typing import Literal

from weightaudit.config import Method
from weightaudit.spectral.krylov import MAX_PASSES

BLOCK = 4
"""Columns of the random start: the kernel's own width. Passes times time a pass is flat from 2 to 4 (see
weightaudit.spectral.kernels.WIDTH), and the more columns, the less a tiny delta costs."""

# Milliseconds on two cores of a Zen 5, fitted to matrices of 32² to 1536×384 in float32; only ratios matter. The same
# for every device and thread count, so that the choice depends on the matrix alone.
EIGENSOLVER = 1.3e-7  # × n³
GRAM = 3e-8  # × m·n²
PASS_FIXED = 0.2  # orthogonalisation and certificate of one Krylov pass
PASS = 3e-7  # × m·n
PASSES = 12.0  # of trained weights at tol = 1e-2


def choose(method: Method, rows: int, cols: int, tol: float) -> Literal["exact", "krylov"]:
    """The route for a (rows, cols) matrix: ``method`` itself, or for "auto" the one that should be faster."""
    if method != "auto":
        return method
    m, n = max(rows, cols), min(rows, cols)
    # Passes grow like tol^(-1/2) on flat spectra and like log(1/tol) on steep ones.
    passes = PASSES * max(1.0, 1e-2 / tol) ** 0.25
    exact_cost = EIGENSOLVER * n**3 + GRAM * m * n**2
    krylov_cost = passes * (PASS_FIXED + PASS * m * n)
    return "exact" if exact_cost <= krylov_cost or passes > MAX_PASSES else "krylov"
