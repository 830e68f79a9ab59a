"""What a run knows beyond σ₁: leading singular values, the density and effective ranks.

Two kinds of numbers. A *bound* follows from the residual of a Ritz pair, whatever the start: some eigenvalue of M lies
within ‖Mv − θv‖ of θ (Parlett 1998, "The Symmetric Eigenvalue Problem", sec. 4.5). An *estimate* is stochastic Lanczos
quadrature: T gives a Gauss rule for the spectral measure that the random start sees, and the mean of that measure over
starts is the density (Golub & Meurant 2010; Ubaru, Chen & Saad 2017). See docs/spectral.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import SpectrumDetail
from weightaudit.spectral.rounding import UNIT

LEADING = 32
"""How many leading singular values are kept at most."""
USEFUL = 0.05
"""The list of leading singular values ends before the first whose bound is more than this share of it."""
SEPARATION = 4.0
"""Two neighbouring Ritz values are told apart if their gap is this many times the sum of their residuals."""


class Density(NamedTuple):
    """``weights[j]`` of A's singular values are the root of ``values[j]``, descending."""

    values: Sequence[float]
    weights: Sequence[float]


@dataclass(frozen=True)
class WholeSpectrum:
    """All min(m, n) eigenvalues of M = (sA)ᵀ(sA), ascending (float64), each off by at most ``error``; ``longer``
    is max(m, n)."""

    values: NDArray[np.float64]
    error: float
    longer: int

    def detail(self, frob_sq: float, scale: float, distance: float = 0.0) -> SpectrumDetail:
        """The record, unscaled: ``frob_sq`` = ‖sA‖_F² > 0, ``scale`` = s, of a matrix ``distance`` from sA at most."""
        values = _floored(self.values[::-1], self.longer)
        leading = leading_values(values, [self.error] * len(values), scale, distance)
        return _detail(leading, Density(values, [1.0] * len(values)), frob_sq, scale)


@dataclass(frozen=True)
class Projection:
    """M on the Krylov space of G = Q₁R₁: MQ = QT_N + X·T[N:] but for an error of at most ``error`` in norm.

    ``T`` (N + c, N) and ``R1`` (b, b), float64; A is (``m``, ``n``).
    """

    T: NDArray[np.float64]
    R1: NDArray[np.float64]
    error: float
    m: int
    n: int

    def detail(self, frob_sq: float, scale: float, distance: float = 0.0) -> SpectrumDetail:
        """The record, unscaled: ``frob_sq`` = ‖sA‖_F² > 0, ``scale`` = s, of a matrix ``distance`` from sA at most."""
        values, radii = self.ritz()
        count = min(self.m, self.n)
        known = count if self.n == len(values) else min(count, resolved(values, radii, self.R1.shape[0]))
        trace = frob_sq - math.fsum(values[:known])

        def density(nodes: list[float], columns: NDArray[np.float64]) -> Density:
            own = columns.sum(axis=0).tolist()
            rest = dimensions(nodes[known:], own[known:], count - known, null=self.n - count, trace=trace)
            return Density([*values[:known], *nodes[known:]], [1.0] * known + rest)

        nodes, seen = self.rule()
        others = [density(nodes, np.delete(seen, column, axis=0)) for column in range(len(seen))]
        leading = leading_values(values, radii, scale, distance)
        return _detail(leading, density(nodes, seen), frob_sq, scale, others, density(*self.gauss()))

    def ritz(self) -> tuple[list[float], list[float]]:
        """(θ, r), descending: an eigenvalue of M lies within r[j] of θ[j]."""
        values, _, coupling = self._eigen()
        solver = 8 * len(values) * UNIT * values[0]
        # 1e-10: the basis is orthonormal to about 1e-13, so a Ritz vector's length is 1 to far better than that.
        radii = (np.linalg.norm(coupling, axis=0) + self.error + solver) * (1.0 + 1e-10)
        return values, radii.tolist()

    def rule(self) -> tuple[list[float], NDArray[np.float64]]:
        """Nodes, descending, and weights of the block Gauss-Radau rule with nodes at zero, where M's spectrum begins.

        Row j has the weights for column j of G: Σ weight·p(node) = gⱼᵀp(M)gⱼ for every p of degree ≤ twice the passes.
        It belongs to T_N grown by the block row C = T[N:] and the corner C·T_N⁻¹·Cᵀ, the one that makes it singular c
        times (Golub & Meurant 2010, ch. 6, for b = 1); here in the eigenbasis of T_N. Without the nodes at zero, the
        zeros of M beyond A's singular values would have to be told from small ones.
        """
        values, s, coupling = self._eigen()
        N, c, b = len(values), coupling.shape[0], self.R1.shape[0]
        # ‖C·s_j‖ ≤ σ₁√θ_j, so the quotient stays bounded, and where θ_j is rounding there is nothing to couple.
        half = coupling * np.array([value**-0.5 if value > 0.0 else 0.0 for value in values])
        grown = np.diag([*values, *[0.0] * c])
        grown[N:, :N], grown[:N, N:], grown[N:, N:] = coupling, coupling.T, half @ half.T
        theta, turn = np.linalg.eigh(grown)
        theta, turn = theta[::-1], turn[:, ::-1]
        seen = (self.R1.T @ s[:b] @ turn[:N]) ** 2
        nodes = _floored(theta, max(self.m, self.n))
        nodes[N:] = [0.0] * c
        return nodes, seen

    def gauss(self) -> tuple[list[float], NDArray[np.float64]]:
        """The same without the nodes at zero: of √λ that rule gives too much and this one too little, so how far they
        are apart says how much so few nodes leave open."""
        values, s, _ = self._eigen()
        return values, (self.R1.T @ s[: self.R1.shape[0]]) ** 2

    def _eigen(self) -> tuple[list[float], NDArray[np.float64], NDArray[np.float64]]:
        """(θ descending, S, C·S) of T_N = S·diag(θ)·Sᵀ with C = T[N:]."""
        N = self.T.shape[1]
        theta, s = np.linalg.eigh(self.T[:N])
        s = s[:, ::-1]
        return _floored(theta[::-1], max(self.m, self.n)), s, self.T[N:] @ s


@dataclass(frozen=True)
class Interval:
    """``lower`` ≤ λ₁ ≤ ``upper`` for the scaled matrix, the passes over it that this took, and what else they saw."""

    lower: float
    upper: float
    passes: int
    spectrum: WholeSpectrum | Projection | None = field(default=None, repr=False, compare=False)


def _detail(
    leading: tuple[tuple[float, ...], tuple[float, ...]],
    density: Density,
    frob_sq: float,
    scale: float,
    others: Sequence[Density] = (),
    coarser: Density | None = None,
) -> SpectrumDetail:
    """The record. Of an estimate ``others`` are what each but one of the start's columns say, ``coarser`` is another
    rule's density.
    """
    sigma = [math.sqrt(value) for value in density.values]
    count = math.fsum(density.weights)
    shares: dict[float, float] = {}
    for node, weight in zip(reversed(sigma), reversed(density.weights), strict=True):
        if weight > 0.0:
            shares[node / scale] = shares.get(node / scale, 0.0) + weight / count
    told = _sums(density, frob_sq)
    errors = [0.0] * len(told)
    if coarser is not None:
        apart = np.subtract(_sums(coarser, frob_sq), told)
        errors = np.hypot(_jackknife([_sums(one, frob_sq) for one in others]), apart).tolist()
    return SpectrumDetail(
        singular_values=leading[0],
        residual_bounds=leading[1],
        density=tuple(shares.items()),
        entropy_effective_rank=told[0],
        participation_ratio=told[1],
        estimated=coarser is not None,
        nuclear_norm=told[2] / scale,
        schatten_4=told[3] / scale,
        entropy_effective_rank_error=errors[0],
        participation_ratio_error=errors[1],
        nuclear_norm_error=errors[2] / scale,
        schatten_4_error=errors[3] / scale,
    )


def _sums(density: Density, frob_sq: float) -> tuple[float, float, float, float]:
    """Entropy rank, participation ratio, Σσ and (Σσ⁴)^¼."""
    sigma = [math.sqrt(value) for value in density.values]
    fourth = math.fsum(w * v**2 for v, w in zip(*density, strict=True))
    nuclear = math.fsum(w * s for s, w in zip(sigma, density.weights, strict=True))
    return entropy_effective_rank(sigma, density.weights), frob_sq**2 / fourth, nuclear, fourth**0.25


def _jackknife(without_one: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    """Standard errors of numbers by what they are without each of the columns (Efron & Stein 1981)."""
    several = np.array(without_one)
    deviations = several - several.mean(axis=0)
    errors: NDArray[np.float64] = np.sqrt((len(several) - 1) * np.square(deviations).mean(axis=0))
    return errors


def leading_values(
    values: Sequence[float], radii: Sequence[float], scale: float, distance: float = 0.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(σ, r) for the leading ``values`` λ of M, descending: some singular value of A lies in [σ − r, σ + r].

    From |λ − σ²| ≤ radius: r = radius/(√λ + √(λ − radius)), which is the distance of the interval's lower end and more
    than that of its upper. ``distance`` bounds ‖A − the matrix that is meant‖₂, and so moves each singular value by no
    more (Weyl). A radius below λ also says that the eigenvalue is not one of the zeros that M has beyond A's
    singular values when A is wider than tall.
    """
    sigmas, bounds = [], []
    for value, radius in zip(values[:LEADING], radii, strict=False):
        if not radius < value:
            break
        sigma = math.sqrt(value)
        bound = radius / (sigma + math.sqrt(value - radius)) * (1.0 + 8.0 * UNIT) + 4.0 * UNIT * sigma + distance
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


def dimensions(values: Sequence[float], seen: Sequence[float], count: int, *, null: int, trace: float) -> list[float]:
    """How many of ``count`` dimensions each of the unresolved ``values`` (descending) stands for.

    ``seen`` is what the start has in each Ritz vector, a random share. Of the dimensions that they share, ``null`` are
    zeros of M beyond A's singular values, and go to the least values. What is left is calibrated to what is known of
    them: their number, and the sum ``trace`` of their eigenvalues (Deville & Särndal 1992, the linear method).
    """
    if not values or count <= 0:
        return [0.0] * len(values)
    total = math.fsum(seen)
    weights = [share / total * (count + null) for share in seen]
    left = float(null)
    for j in reversed(range(len(weights))):
        taken = min(weights[j], left)
        weights[j] -= taken
        left -= taken
    return _calibrated(values, weights, count, trace)


def _calibrated(values: Sequence[float], weights: list[float], count: int, trace: float) -> list[float]:
    """``weights`` times a linear function of ``values`` that makes Σw = ``count`` and Σw·value = ``trace``; unchanged
    where that function would be negative."""
    mean = math.fsum(w * v for w, v in zip(weights, values, strict=True)) / count
    spread = math.fsum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True))
    if spread <= 1e-20 * count * mean**2:
        return weights
    slope = (trace - count * mean) / spread
    factors = [1.0 + slope * (v - mean) for v in values]
    if min(factors) < -1e-9:
        return weights
    return [w * max(0.0, f) for w, f in zip(weights, factors, strict=True)]


def entropy_effective_rank(sigma: Sequence[float], weights: Sequence[float]) -> float:
    """exp of the Shannon entropy of σ_i/Σσ (Roy & Vetterli 2007), where ``sigma[j]`` occurs ``weights[j]`` times."""
    pairs = [(s / sigma[0], w) for s, w in zip(sigma, weights, strict=True) if s > 0.0]
    total = math.fsum(s * w for s, w in pairs)
    return math.exp(math.log(total) - math.fsum(w * s * math.log(s) for s, w in pairs) / total)


def _floored(values: NDArray[np.float64], longer: int) -> list[float]:
    """``values`` (descending), zero where they are rounding of a zero: of a rank-deficient A, or of M's null space."""
    floor = 2.0 * UNIT * longer * float(values[0])
    return [value if value > floor else 0.0 for value in values.tolist()]
