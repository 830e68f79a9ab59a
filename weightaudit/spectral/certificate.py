"""The upper end: a bound on λ₁ that fails with probability at most δ over the random start.

Write p(M)G for a polynomial p of degree ≤ k, known after k passes. The top eigenvector x₁ gives
p(λ₁)²·‖x₁ᵀG‖² ≤ ‖p(M)G‖_F², and ‖x₁ᵀG‖² is χ² with b degrees of freedom: with q its δ-quantile, one event of
probability 1 − δ makes p(λ₁)²·q ≤ ‖p(M)G‖_F² true for every p and k at once. In the inner product
⟨p, r⟩ = tr((p(M)G)ᵀ r(M)G), with orthonormal polynomials π_i, the best p leaves
    Σ_{i≤k} π_i(λ₁)² ≤ 1/q,
and beyond the largest Ritz value the left side increases: the upper end is where equality holds.

Kuczyński & Woźniakowski 1992; van Dorsselaer, Hochstenbach & van der Vorst 2000; Hochstenbach 2013, "Probabilistic
upper bounds for the matrix two-norm"; Golub & Meurant 2010, "Matrices, Moments and Quadrature".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.chi_squared import chi2_quantile

EXHAUSTED = 1e-11
"""A next polynomial whose norm is below this share of λ₁ is rounding: the measure has no further points."""
HUGE = 1e280
"""Where the Christoffel sum stops being added up: it exceeds every 1/q by then."""


class Certificate:
    """Orthonormal polynomials of the measure that (M, G) defines, one more with every pass, and the bound they give.

    They come from Lanczos on the block tridiagonal T with start E₁R₁ in the Frobenius inner product: π_i(T)E₁R₁ has its
    entries in the first i + 1 blocks, so a pass that adds a block adds a polynomial.
    """

    def __init__(self, R1: NDArray[np.float64], delta: float) -> None:
        """``R1``: (b, b) float64 of G = Q₁R₁."""
        self.b = R1.shape[1]
        self.q = chi2_quantile(delta, self.b)
        self.amplification = float(np.linalg.norm(R1, 2)) / math.sqrt(self.q)
        norm = float(np.linalg.norm(R1))
        self._vectors = (R1 / norm).reshape(1, -1)  # row i is π_i(T)E₁R₁, (N, b) by rows
        self._first = 1.0 / norm  # π₀
        self._diagonal: list[float] = []
        self._coupling: list[float] = []
        self._open = True

    def extend(self, T: NDArray[np.float64]) -> None:
        """Add π_k. ``T``: (N + c, N) float64, the coefficients after k passes: N basis columns and c new ones."""
        if not self._open:
            return
        rows, cols = T.shape
        known = np.zeros((self._vectors.shape[0], rows * self.b))
        known[:, : self._vectors.shape[1]] = self._vectors
        last = known[-1, : cols * self.b]
        v = (T @ last.reshape(cols, self.b)).reshape(-1)
        diagonal = float(v[: cols * self.b] @ last)
        # Orthogonalised against all, twice: the three-term recurrence alone drifts once Ritz values converge.
        for _ in range(2):
            v = v - (known @ v) @ known
        coupling = float(np.linalg.norm(v))
        if coupling <= EXHAUSTED * float(np.abs(T).max()):
            self._open = False  # fewer polynomials give a valid, only wider, bound
            return
        self._diagonal.append(diagonal)
        self._coupling.append(coupling)
        self._vectors = np.concatenate([known, (v / coupling).reshape(1, -1)])

    def kernel(self, mu: float) -> float:
        """Σ_i π_i(mu)² over the polynomials known; HUGE or more where it would overflow."""
        before, now = 0.0, self._first
        total = now * now
        carry = 0.0
        for diagonal, coupling in zip(self._diagonal, self._coupling, strict=True):
            before, now = now, ((mu - diagonal) * now - carry * before) / coupling
            carry = coupling
            total += now * now
            if total > HUGE:
                break
        return total

    def holds(self, mu: float, theta: float, error: float) -> bool:
        """Whether λ₁ ≤ ``mu`` on the event, by the polynomials; ``theta`` is the largest Ritz value.

        ``error`` bounds what rounding left of ‖MQ − QT − residual‖. It perturbs x₁ᵀp(M)G by at most
        error·‖R₁‖·4|p(λ₁)|/(λ₁ − θ), so the factor √q shrinks by the share e below; see docs/spectral.md.
        """
        gap = mu - theta
        e = 4.0 * error * self.amplification / gap if gap > 0 else math.inf
        return e < 1.0 and self.kernel(mu) * self.q * (1.0 - e) ** 2 >= 1.0

    def residual_end(self, theta: float, residual: float, error: float) -> float:
        """θ + ‖residual‖·‖R₁‖/√q ≥ λ₁ on the event: weaker, but it closes when the Krylov space becomes invariant.

        x₁ᵀQ(λ₁ − T) = x₁ᵀ(MQ − QT), and ‖x₁ᵀQ‖ ≥ ‖x₁ᵀG‖/‖R₁‖ ≥ √q/‖R₁‖.
        """
        return theta + (residual + error) * self.amplification

    def certifies(self, mu: float, theta: float, residual: float, error: float) -> bool:
        """Whether `upper_end` would be at most ``mu``, at the cost of one evaluation."""
        return self.holds(mu, theta, error) or self.residual_end(theta, residual, error) <= mu

    def upper_end(self, theta: float, residual: float, error: float) -> float:
        """The least μ found that is certified to be ≥ λ₁; same units as T."""
        high = self.residual_end(theta, residual, error)
        if not self.holds(high, theta, error):
            return high
        # Bisection of the gap μ − θ, which spans many magnitudes, to 1e-3 of itself; its upper end stays certified.
        low_gap, high_gap = 1e-18 * high, high - theta
        while high_gap > low_gap * 1.001:
            gap = math.sqrt(low_gap * high_gap)
            if self.holds(theta + gap, theta, error):
                high_gap = gap
            else:
                low_gap = gap
        return theta + high_gap
