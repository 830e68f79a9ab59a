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
from scipy.special import gammaincinv

# A next polynomial whose norm is below this share of λ₁ is rounding: the measure has no further points.
EXHAUSTED = 1e-11
HUGE = 1e280
"""Where the Christoffel sum stops being added up: it exceeds every 1/q by then."""


def chi2_quantile(delta: float, b: int) -> float:
    """q with P(χ²_b ≤ q) = delta. Through the lower incomplete gamma function, accurate for tiny delta."""
    return 2.0 * float(gammaincinv(0.5 * b, delta))


class Certificate:
    """Orthonormal polynomials of the measure that (M, G) defines, one more with every pass, and the bound they give.

    They come from Lanczos on the block tridiagonal T with start E₁R₁ in the Frobenius inner product, so ⟨p, r⟩ is never
    formed: π_i(T)E₁R₁ has its entries in the first i + 1 blocks.
    """

    def __init__(self, R1: NDArray[np.float64], delta: float) -> None:
        """``R1``: (b, b) of G = Q₁R₁."""
        self.q = chi2_quantile(delta, R1.shape[1])
        self.spread = float(np.linalg.norm(R1, 2))
        norm = float(np.linalg.norm(R1))
        self._vectors = [R1 / norm]
        self._first = 1.0 / norm  # π₀
        self._diagonal: list[float] = []
        self._coupling: list[float] = []
        self._open = True

    def extend(self, T: NDArray[np.float64]) -> None:
        """Add π_k. ``T``: (N + c, N), the recurrence coefficients after k passes, N basis columns and c new ones."""
        if not self._open:
            return
        rows, cols = T.shape
        last = _padded(self._vectors[-1], cols)
        v = T @ last
        diagonal = float(np.sum(v[:cols] * last))
        # Orthogonalised against all, twice: the three-term recurrence alone drifts once Ritz values converge.
        known = np.stack([_padded(w, rows).ravel() for w in self._vectors])
        flat = v.ravel()
        for _ in range(2):
            flat = flat - known.T @ (known @ flat)
        coupling = float(np.linalg.norm(flat))
        if coupling <= EXHAUSTED * max(abs(diagonal), float(np.abs(T).max())):
            self._open = False  # fewer polynomials give a valid, only wider, bound
            return
        self._diagonal.append(diagonal)
        self._coupling.append(coupling)
        self._vectors.append((flat / coupling).reshape(rows, -1))

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
        """Whether λ₁ ≤ ``mu`` on the event, where ``theta`` < mu is the largest Ritz value.

        ``error`` bounds ‖MQ − QT − residual‖ from rounding. It perturbs x₁ᵀp(M)G by at most
        error·‖R₁‖·4|p(λ₁)|/(λ₁ − θ), so the factor √q shrinks by the share e below; see docs/spectral.md.
        """
        gap = mu - theta
        e = 4.0 * error * self.spread / (gap * math.sqrt(self.q)) if gap > 0 else math.inf
        return e < 1.0 and self.kernel(mu) * self.q * (1.0 - e) ** 2 >= 1.0

    def residual_end(self, theta: float, residual: float, error: float) -> float:
        """θ + ‖residual‖·‖R₁‖/√q: weaker, but it closes when the Krylov space becomes invariant.

        x₁ᵀQ(λ₁ − T) = x₁ᵀ(MQ − QT), and ‖x₁ᵀQ‖ ≥ ‖x₁ᵀG‖/‖R₁‖ ≥ √q/‖R₁‖.
        """
        return theta + (residual + error) * self.spread / math.sqrt(self.q)

    def certifies(self, mu: float, theta: float, residual: float, error: float) -> bool:
        """Whether `upper_end` would be at most ``mu``, at the cost of one evaluation."""
        return self.holds(mu, theta, error) or self.residual_end(theta, residual, error) <= mu

    def upper_end(self, theta: float, residual: float, error: float) -> float:
        """The least μ that is certified to be ≥ λ₁; same units as T."""
        high = self.residual_end(theta, residual, error)
        if not self.holds(high, theta, error):
            # The residual's bound is the better one (or both are wide open).
            return high
        low = theta
        # Bisection in the gap μ − θ, which spans many magnitudes, to 1e-3 of itself; `high` stays certified.
        low_gap, high_gap = 1e-18 * max(theta, high), high - theta
        while high_gap > low_gap * 1.001:
            gap = math.sqrt(low_gap * high_gap)
            if self.holds(low + gap, theta, error):
                high_gap = gap
            else:
                low_gap = gap
        return theta + high_gap


def _padded(v: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """``v`` with zero rows below, ``rows`` in all."""
    return v if v.shape[0] == rows else np.vstack([v, np.zeros((rows - v.shape[0], v.shape[1]))])
