"""How far rounding can move what is computed in float64: bounds of worst-case kind (Higham 2002, ch. 3), not guesses.

A dot product of length p in any order has an error of at most γ_p·|x|ᵀ|y|, γ_p = p·u/(1 − p·u). For Y = Aᵀ(AX), unit x:
- z = Ax: |error of z_r| ≤ γ_n‖a_r‖, so the vector of them is at most γ_n‖A‖_F, and Aᵀ turns it into γ_n σ₁‖A‖_F;
- y = Aᵀz: |error of y_j| ≤ γ_m‖column j‖‖z‖, together at most γ_m‖A‖_F σ₁.
Relative to λ₁ = σ₁² that is (γ_n + γ_m)·√(stable rank): the shape enters linearly, the stable rank by its root only.
"""

from __future__ import annotations

import math

UNIT = 2.0**-53
"""Unit roundoff of float64."""

SUM_ERROR = 2.0**-28
"""Relative error of ‖A‖_F²: sums of at most 2^24 squares, and at most 2^24 of those sums."""


def product_error(m: int, n: int, stable_rank: float) -> float:
    """‖computed AᵀAx − AᵀAx‖ / λ₁ for a unit x."""
    return (m + n + 4) * UNIT * math.sqrt(max(1.0, stable_rank)) * 1.01


def lanczos_error(m: int, n: int, columns: int, stable_rank: float, amplification: float = 1.0) -> float:
    """‖MQ − QT − (residual block)‖₂ / λ₁ after a block Lanczos run with ``columns`` basis vectors.

    Each column carries the product's error, ``amplification`` times that with a stored matrix, and that of its
    orthogonalisation against the others, twice: inner products of length n with vectors no longer than λ₁,
    4·n·u·√columns. The columns' errors add in squares.
    """
    return math.sqrt(columns) * (amplification * product_error(m, n, stable_rank) + 4 * n * UNIT * math.sqrt(columns))


def gram_error(m: int, n: int, stable_rank: float) -> float:
    """|computed λ₁ − λ₁| / λ₁ where AᵀA is formed in float64 and handed to a backward stable eigensolver.

    Entry (i, j) is off by γ_m‖a_i‖‖a_j‖, so the matrix by γ_m‖A‖_F² = γ_m·(stable rank)·λ₁; the solver by a small
    multiple of n·u (Anderson et al. 1999, LAPACK Users' Guide, sec. 4.7).
    """
    return ((m + 4) * max(1.0, stable_rank) + 8 * n) * UNIT * 1.01
