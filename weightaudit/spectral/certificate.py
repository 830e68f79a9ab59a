"""The upper end: a bound on λ₁ that fails with probability at most δ over the random start.

Block Lanczos leaves MQ = QT + XC with orthonormal [Q X], G = QE₁R₁. For the top eigenvector x₁ let z = Qᵀx₁, w = Xᵀx₁:
    (λ₁ − T)z = Cᵀw,    x₁ᵀG = zᵀE₁R₁,    ‖z‖² + ‖w‖² ≤ 1.
So whatever λ₁ > θ is, the start has no more of x₁ in it than these allow: with Y = (λ₁ − T)⁻¹Cᵀ and H = R₁ᵀE₁ᵀY,
    ‖x₁ᵀG‖² ≤ β(λ₁)² = the largest eigenvalue of H(I + YᵀY)⁻¹Hᵀ.
‖x₁ᵀG‖² is χ² with b degrees of freedom: with q its δ-quantile, one event of probability 1 − δ makes q ≤ β(λ₁)² true
after every number of passes, and λ₁ is none of the λ where β(λ)² < q. The upper end is where these begin for good.

β(λ)⁻² is the least eigenvalue of Σ Pᵢ(λ)ᵀPᵢ(λ), Pᵢ the orthonormal matrix polynomials of GᵀMⁱG: the Christoffel
function of a block.

Kuczyński & Woźniakowski 1992; van Dorsselaer, Hochstenbach & van der Vorst 2000; Hochstenbach 2013, "Probabilistic
upper bounds for the matrix two-norm"; Golub & Meurant 2010, "Matrices, Moments and Quadrature"; Damanik, Pushnitski &
Simon 2008, "The analytic theory of matrix orthogonal polynomials".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.chi_squared import chi2_quantile
from weightaudit.spectral.rounding import UNIT

Numbers = NDArray[np.float64]

STEPS = ((1.2, 64), (1.02, 16), (1.001, 24))
"""The search for the upper end: by how much the gap shrinks from one λ to the next, and how many are looked at."""
ORDERS = (1, 3, 5, 7, 9)
"""Powers of the resolvent whose norms between two λ are bounded by those at both; of the next by all it may be."""
STEEP = 1e8
"""‖Y‖² above which β is taken for infinite: beside it rounding would hide the 1 of 1 + YᵀY."""


class Certificate:
    """What a start with the triangular factor ``R1`` certifies of what block Lanczos has found."""

    def __init__(self, R1: Numbers, delta: float) -> None:
        """``R1``: (b, b) float64 of G = Q₁R₁."""
        self.q = chi2_quantile(delta, R1.shape[1])
        self._R1 = R1
        self._size = float(np.linalg.norm(R1, 2))

    def excludes(self, mu: float, T: Numbers, theta: float, error: float) -> bool:
        """Whether λ₁ is not ``mu`` on the event. ``theta`` is the largest eigenvalue of T's square part.

        ``error`` bounds what rounding left of ‖MQ − QT − XC‖. ``T``: (N + c, N) float64, the coefficients of N basis
        columns, C's last.
        """
        N, b = T.shape[1], self._R1.shape[1]
        least = 0.0 if mu <= theta else float(self._least(mu - theta, error + _solver_error(N, theta)))
        if least == 0.0:
            return False
        Y = np.linalg.solve(mu * np.eye(N) - T[:N], T[N:].T)
        return bool(_beta_squared(self._R1.T @ Y[:b], Y.T @ Y) < least)

    def upper_end(self, T: Numbers, theta: float, error: float) -> float:
        """The least μ found such that no λ ≥ μ can be λ₁ on the event; same units as T.

        From θ + (‖C‖ + error)‖R₁‖/√q on that is so by norms alone, as ‖z‖ ≤ (‖C‖ + error)/(λ − θ). Below, steps that
        are `_proven` lead down, ever smaller ones towards the end.
        """
        N = T.shape[1]
        T, error = T / theta, error / theta + _solver_error(N, 1.0)  # powers of numbers about 1 stay in range
        residual = float(np.linalg.norm(T[N:], 2)) if len(T) > N else 0.0
        gap = (residual + error) * self._size / math.sqrt(self.q)
        if residual > 0.0:
            found = _Resolvent(T, self._R1)
            for ratio, count in STEPS:
                down = ratio ** -np.arange(count + 1.0)
                proven = count
                while proven == count:
                    gaps = gap * down
                    proven = int(np.argmin([*self._proven(found, gaps, error), False]))
                    gap = float(gaps[proven])
        return theta * (1.0 + gap)

    def _least(self, gaps: Any, error: float) -> Any:
        """The square of what is left of √q at λ = θ + ``gaps``; 0 where nothing is.

        (λ − T)z = Cᵀw + f with ‖f‖ ≤ error, so z may be off by η = error/(λ − θ), and with it x₁ᵀG by η‖R₁‖ and the
        length of (Yw, w) by η.
        """
        off = error / gaps
        return (np.maximum(0.0, math.sqrt(self.q) - self._size * off) / (1.0 + off)) ** 2

    def _proven(self, found: _Resolvent, gaps: Numbers, error: float) -> NDArray[np.bool_]:
        """Between which of these λ = θ + ``gaps``, descending, and the next one every λ is excluded.

        With S = I + YᵀY and q as rounding leaves it, that is where F = qS − HᵀH is positive definite. In any direction
        F between a < b = a + h is at least what a line through its ends has, less h²/8 times the most of F'', and
            F = qS − HᵀH ≥ (q − β²)S,   F'' ≤ 6qCL⁴Cᵀ − 2H₁ᵀH₃ − 2H₃ᵀH₁ ≤ (6q/(a − θ)² + 4‖H₁‖‖H₃‖)S(a),
        L = (λ − T)⁻¹, H_m = R₁ᵀE₁ᵀLᵐCᵀ, and S(b) ≥ S(a)((a − θ)/(b − θ))².
        """
        wide, narrow = gaps[:-1], gaps[1:]
        q = self._least(narrow, error)
        eighth = (wide - narrow) ** 2 / 8.0
        most, first, third = found.between(gaps, eighth, q)
        curved = eighth * (6.0 * q / narrow**2 + 4.0 * first * third)
        proven: NDArray[np.bool_] = q - most > (wide / narrow) ** 2 * curved
        return proven


class _Resolvent:
    """E₁ᵀ(λ − T)⁻ᵐCᵀ and the like as sums over the eigenvalues of T, for many λ at once."""

    def __init__(self, T: Numbers, R1: Numbers) -> None:
        N, self._b, self._c = T.shape[1], R1.shape[1], len(T) - T.shape[1]
        values, vectors = np.linalg.eigh(T[:N])
        self._below = values[-1] - values
        top, bottom = vectors[: self._b].T @ R1, vectors.T @ T[N:].T
        self._across = (top[:, :, None] * bottom[:, None, :]).reshape(N, -1)
        self._end = (bottom[:, :, None] * bottom[:, None, :]).reshape(N, -1)
        self._sizes = np.linalg.norm(top, axis=1) * np.linalg.norm(bottom, axis=1)

    def between(self, gaps: Numbers, eighth: Numbers, enough: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Between each two of λ = θ + ``gaps``, descending, an ``eighth`` of whose distance squared is given: β² at the
        end where it is larger, or what it is at most if that is half of ``enough``, and bounds on ‖H₁‖ and ‖H₃‖.

        ‖H_m‖ is at most what it is at one of the ends and an eighth of ‖H_m''‖ = m(m + 1)‖H_{m+2}‖.
        """
        inverse = 1.0 / (gaps[:, None] + self._below)
        square = inverse * inverse
        H = inverse @ self._across
        at_ends: list[Numbers] = []
        power = inverse
        for _ in ORDERS:
            at_ends.append(_norms(power @ self._across))
            power = power * square
        most: Numbers = power[1:] @ self._sizes
        third = most
        for m, ends in zip(reversed(ORDERS), reversed(at_ends), strict=True):
            third, most = most, np.maximum(ends[:-1], ends[1:]) + eighth * (m * (m + 1)) * most
        largest = at_ends[0] ** 2
        close = np.flatnonzero(largest > 0.5 * np.append(enough[:1], enough))
        gram = square[close] @ self._end
        largest[close] = _beta_squared(H[close].reshape(-1, self._b, self._c), gram.reshape(-1, self._c, self._c))
        return np.maximum(largest[:-1], largest[1:]), most, third


def _norms(rows: Numbers) -> Numbers:
    """Those of the rows: numpy's own function for it takes twice as long for so few."""
    found: Numbers = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return found


def _beta_squared(H: Numbers, gram: Numbers) -> Numbers:
    """The largest eigenvalue of H(I + ``gram``)⁻¹Hᵀ for H (…, b, c) and gram = YᵀY (…, c, c)."""
    steep = np.trace(gram, axis1=-2, axis2=-1) > STEEP
    S = np.eye(gram.shape[-1]) + np.where(steep[..., None, None], 0.0, gram)
    largest = np.linalg.eigvalsh(H @ np.linalg.solve(S, np.swapaxes(H, -1, -2)))[..., -1]
    return np.where(steep, math.inf, largest)


def _solver_error(columns: int, theta: float) -> float:
    """How far T may be from one whose eigenvalues and solutions are exact; see `rounding.gram_error`."""
    return 8 * columns * UNIT * theta
