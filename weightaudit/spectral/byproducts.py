"""What a run knows beyond σ₁, at no further pass: leading singular values, the density and effective ranks.

Two kinds of numbers. A *bound* follows from the residual of a Ritz pair, whatever the start: some eigenvalue of M lies
within ‖Mv − θv‖ of θ (Parlett 1998, "The Symmetric Eigenvalue Problem", thm 4.5.1). An *estimate* is stochastic Lanczos
quadrature: the Ritz values are the nodes of a Gauss rule for the spectral measure that the random start sees, whose
mean over starts is the density (Golub & Meurant 2010; Ubaru, Chen & Saad 2017). See docs/spectral.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from weightaudit.records import SpectrumDetail
from weightaudit.spectral.rounding import UNIT

LEADING = 32
"""How many leading singular values are kept at most."""
USEFUL = 0.05
"""The list of leading singular values ends before the first whose bound is more than this share of it."""
SEPARATION = 4.0
"""Two neighbouring Ritz values are told apart if their gap is this many times the sum of their residuals."""


@dataclass(frozen=True)
class Found:
    """Eigenvalues of M = (sA)ᵀ(sA), A (m, n), as far as a route found them.

    ``values`` descending; an eigenvalue of M lies within ``radii[j]`` of ``values[j]``; ``weights[j]`` is how many of
    the min(m, n) dimensions it stands for, together min(m, n). ``estimated`` says that weights are random.
    """

    values: list[float]
    radii: list[float]
    weights: list[float]
    estimated: bool

    def detail(self, frob_sq: float, scale: float) -> SpectrumDetail:
        """The record, unscaled. ``frob_sq`` = ‖sA‖_F² > 0, ``scale`` = s."""
        leading, bounds = leading_values(self.values, self.radii, scale)
        count = math.fsum(self.weights)
        sigma = [math.sqrt(value) for value in self.values]
        nodes = zip(reversed(sigma), reversed(self.weights), strict=True)
        return SpectrumDetail(
            singular_values=leading,
            residual_bounds=bounds,
            density=tuple((node / scale, weight / count) for node, weight in nodes if weight > 0.0),
            entropy_effective_rank=entropy_effective_rank(sigma, self.weights),
            participation_ratio=frob_sq**2
            / math.fsum(weight * value**2 for value, weight in zip(self.values, self.weights, strict=True)),
            estimated=self.estimated,
        )


@dataclass(frozen=True)
class WholeSpectrum:
    """All min(m, n) eigenvalues of M, ascending (CPU, float64), each off by at most ``error``."""

    values: torch.Tensor
    error: float
    longer: int

    def found(self, frob_sq: float) -> Found:
        values = _floored(self.values.flip(0), self.longer)
        return Found(values, [self.error] * len(values), [1.0] * len(values), estimated=False)


@dataclass(frozen=True)
class Projection:
    """M on the Krylov space of G = Q₁R₁: MQ = QT_N + X·T[N:] but for an error of at most ``error`` in norm.

    ``T`` (N + c, N) and ``R1`` (b, b), float64 on the CPU; A is (``m``, ``n``).
    """

    T: torch.Tensor
    R1: torch.Tensor
    error: float
    m: int
    n: int

    def found(self, frob_sq: float) -> Found:
        """Ritz values, their residuals, and the dimensions each stands for; ``frob_sq`` = ‖sA‖_F²."""
        N, b = self.T.shape[1], self.R1.shape[0]
        theta, s = torch.linalg.eigh(self.T[:N])
        theta, s = theta.flip(0), s.flip(1)
        solver = 8 * N * UNIT * float(theta[0])
        # 1e-10: the basis is orthonormal to about 1e-13, so a Ritz vector's length is 1 to far better than that.
        residuals = (torch.linalg.vector_norm(self.T[N:] @ s, dim=0) + self.error + solver) * (1.0 + 1e-10)
        seen = torch.linalg.vector_norm(self.R1.t() @ s[:b], dim=0) ** 2
        values, radii = _floored(theta, max(self.m, self.n)), residuals.tolist()
        count = min(self.m, self.n)
        known = count if self.n == N else min(count, resolved(values, radii, b))
        rest = dimensions(
            values[known:],
            seen[known:].tolist(),
            count - known,
            null=self.n - count,
            trace=frob_sq - math.fsum(values[:known]),
        )
        return Found(values, radii, [1.0] * known + rest, estimated=True)


def leading_values(
    values: Sequence[float], radii: Sequence[float], scale: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(σ, r) for the leading ``values`` λ of M, descending: some singular value of A lies in [σ − r, σ + r].

    From |λ − σ²| ≤ radius: r = radius/(√λ + √(λ − radius)), which is the distance of the interval's lower end and more
    than that of its upper. A radius below λ also says that the eigenvalue is not one of the zeros that M has beyond A's
    singular values when A is wider than tall.
    """
    sigmas, bounds = [], []
    for value, radius in zip(values[:LEADING], radii, strict=False):
        if not radius < value:
            break
        sigma = math.sqrt(value)
        bound = radius / (sigma + math.sqrt(value - radius)) * (1.0 + 8.0 * UNIT) + 4.0 * UNIT * sigma
        if bound > USEFUL * sigma:
            break
        sigmas.append(sigma / scale)
        bounds.append(math.nextafter(bound / scale, math.inf))
    return tuple(sigmas), tuple(bounds)


def resolved(values: Sequence[float], radii: Sequence[float], b: int) -> int:
    """How many of the leading Ritz values stand for one dimension each; fewer than all of them.

    A Krylov space of block size ``b`` holds up to b copies of a repeated eigenvalue. So a group of fewer than b Ritz
    values, set apart from the rest by several residuals, is the whole of its eigenspace; one of b or more may be a
    sample of a larger cluster.
    """
    count = 0
    for j in range(len(values) - 1):
        if values[j] - values[j + 1] < SEPARATION * (radii[j] + radii[j + 1]):
            continue
        if j + 1 - count >= b:
            break
        count = j + 1
    return count


def dimensions(
    values: Sequence[float], seen: Sequence[float], count: int, *, null: int, trace: float
) -> list[float]:
    """How many of ``count`` dimensions each of the unresolved ``values`` (descending) stands for.

    ``seen`` is what the start has in each Ritz vector, a random share. Of the dimensions that they share, ``null`` are
    zeros of M beyond A's singular values, and go to the least values. What is left is calibrated to what is known of
    them: their number, and the sum ``trace`` of their eigenvalues (Deville & Särndal 1992, the linear method).
    """
    if not values or count <= 0:
        return [0.0] * len(values)
    total = math.fsum(seen)
    weights = [share / total * (count + null) for share in seen]
    for j in reversed(range(len(weights))):
        taken = min(weights[j], float(null))
        weights[j] -= taken
        null -= taken  # type: ignore[assignment]
    return _calibrated(values, weights, count, trace)


def _calibrated(values: Sequence[float], weights: list[float], count: int, trace: float) -> list[float]:
    """``weights`` times a linear function of ``values`` that makes Σw = ``count`` and Σw·value = ``trace``; unchanged
    where no such weights are positive."""
    mean = math.fsum(w * v for w, v in zip(weights, values, strict=True)) / count
    spread = math.fsum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True))
    if spread <= 1e-20 * count * mean**2:
        return weights
    slope = (trace - count * mean) / spread
    factors = [1.0 + slope * (v - mean) for v in values]
    return [w * f for w, f in zip(weights, factors, strict=True)] if min(factors) > 0.0 else weights


def entropy_effective_rank(sigma: Sequence[float], weights: Sequence[float]) -> float:
    """exp of the Shannon entropy of σ_i/Σσ (Roy & Vetterli 2007), where ``sigma[j]`` occurs ``weights[j]`` times."""
    pairs = [(s / sigma[0], w) for s, w in zip(sigma, weights, strict=True) if s > 0.0]
    total = math.fsum(s * w for s, w in pairs)
    return math.exp(math.log(total) - math.fsum(w * s * math.log(s) for s, w in pairs) / total)


def _floored(values: torch.Tensor, longer: int) -> list[float]:
    """``values`` (descending), zero where they are rounding of a zero: of a rank-deficient A, or of M's null space."""
    floor = 2.0 * UNIT * longer * float(values[0])
    return [value if value > floor else 0.0 for value in values.tolist()]
