"""A product of two thin matrices, W = s·B·A, measured by its factors and never formed.

With QR decompositions B = Q_B R_B and Aᵀ = Q_A R_A the singular values of BA are those of the small core R_B R_Aᵀ.
Householder's QR needs no Q for that, and its computed R is exact for a B + ΔB with ‖Δb_j‖ ≤ (6m + 40)·r·u·‖b_j‖ in each
column (Lawson & Hanson 1974, ch. 15; Higham 2002, thm. 19.4). With b_j the columns of B (m×r), a_j the rows of A (r×n)
and S = Σ_j ‖b_j‖‖a_j‖, which bounds every sum of |b_j||a_j| that a rounding error is a share of, the computed core Ĉ is
off by no more than
    ‖Q_B Ĉ Q_Aᵀ − BA‖_F ≤ (8(m + n) + 128)(r + 1)·u·S,
which also covers the product R_B R_Aᵀ, the singular values of Ĉ and the sum of its squares. S and not ‖BA‖_F: a product
in which large factors cancel is known less well than its size, and its interval is wider for that. S does not change
where a column of B is multiplied and the row of A divided; powers of two bring both to magnitudes about 1 first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from weightaudit.errors import UsageError
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.hashing import digest_of
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.operators.base import GramOperator, Operator
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Device, Panel, moved

RANGE = 1000
"""Powers of two that the product may be away from 1: 2^±RANGE and their inverses are normal float64 numbers."""


@dataclass(frozen=True)
class Factors:
    """W = 2^``exponent`` · ``left`` · ``right``ᵀ, float64, (rows, r) and (cols, r): the columns of ``left``
    and the largest of ``right`` have entries of magnitude about 1."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    exponent: int

    @cached_property
    def terms(self) -> float:
        """S = Σ_j ‖left_j‖‖right_j‖ ≥ ‖left · rightᵀ‖_F."""
        left, right = np.linalg.norm(self.left, axis=0), np.linalg.norm(self.right, axis=0)
        return float(np.dot(left, right))

    @cached_property
    def core(self) -> NDArray[np.float64]:
        """Ĉ, at most (r, r)."""
        return triangle(self.left) @ triangle(self.right).T

    @property
    def error(self) -> float:
        """Bound on ‖Q_B Ĉ Q_Aᵀ − left · rightᵀ‖_F, see above."""
        m, n, r = len(self.left), len(self.right), len(self.left.T)
        return (8 * (m + n) + 128) * (r + 1) * UNIT * self.terms * 1.01


class LowRank:
    """`Operator` of W = scale·B·A, B (rows, r) and A (r, cols) of any dtype and layout that `measure` takes.

    Its cost is that of the factors, in time and memory: W may be too large to hold. The factors are thin, so the CPU
    computes with them whatever the device. An entry of W is not finite where a number that it is a sum over is not.

    Example:
        >>> import numpy as np
        >>> from weightaudit.spectral import LowRank, measure
        >>> round(measure(LowRank(np.ones((50_000, 1)), np.ones((1, 20_000)), scale=2.0)).stable_rank, 6)
        1.0
    """

    def __init__(self, B: Any, A: Any, scale: float = 1.0) -> None:
        """UsageError for what is no matrix, factors that do not fit each other, and a scale that is not finite."""
        self._B, self._A = block_matrix(B, "factor B"), block_matrix(A, "factor A")
        if self._B.cols != self._A.rows:
            shapes = f"{(self._B.rows, self._B.cols)} times {(self._A.rows, self._A.cols)}"
            raise UsageError("low-rank product", f"{shapes} is not defined", "B needs as many columns as A has rows")
        if isinstance(scale, bool) or not isinstance(scale, Real) or not math.isfinite(scale):
            raise UsageError("scale", f"{scale!r} is not a finite number", "It is lora_alpha / r of an adapter, say")
        self._scale: float = float(scale)

    @property
    def shape(self) -> tuple[int, int]:
        return self._B.rows, self._A.cols

    @property
    def cost_shape(self) -> tuple[int, int]:
        return self._B.rows + self._A.cols, self._B.cols

    def digest(self) -> str:
        parts = (self._scale.hex(), digest_of(self._B), digest_of(self._A))
        return blake3("low rank {} {} {}".format(*parts).encode()).hexdigest()

    @contextmanager
    def on(self, device: Device, team: ThreadTeam) -> Iterator[Operator]:
        """A twin: the float64 copies of the factors that are made go with it."""
        yield LowRank(self._B.blocks, self._A.blocks, self._scale)

    def statistics(self) -> Statistics:
        rows, cols = self.shape
        B, A = _float64(self._B), _float64(self._A)
        finite = int(np.isfinite(B).all(axis=1).sum()) * int(np.isfinite(A).all(axis=0).sum())
        nonfinite = rows * cols - finite
        if nonfinite:
            return Statistics(math.nan, 1.0, math.nan, None, nonfinite, 1, None)
        found = self._factors
        frob_sq = float(np.square(found.core).sum())
        return Statistics(frob_sq, math.ldexp(1.0, -found.exponent), math.nan, None, 0, 1, None, found.error)

    def gram(self, scale: float) -> GramOperator:
        return LowRankGram(self._factors, math.ldexp(scale, self._factors.exponent))

    def spectrum(self, known: Statistics) -> Interval:
        core = self._factors.core
        values = np.zeros(min(self.shape))
        values[len(values) - min(core.shape) :] = np.square(np.linalg.svd(core, compute_uv=False))[::-1]
        largest = float(values[-1])
        return Interval(largest, largest, 0, WholeSpectrum(values, 4.0 * UNIT * largest, max(self.shape)))

    def singular_values(self) -> NDArray[np.float64]:
        """All that may be other than 0, descending and at most r of them, within the certificate's error; NaN where an
        entry of W is not finite."""
        if self.statistics().nonfinite:
            return np.full(1, np.nan)
        factors = self._factors
        values: NDArray[np.float64] = np.ldexp(np.linalg.svd(factors.core, compute_uv=False), factors.exponent)
        return values

    @cached_property
    def _factors(self) -> Factors:
        B, At = _float64(self._B), _float64(self._A).T
        if not (all(self.shape) and self._scale):
            B, At = B[:, :0], At[:, :0]
        mantissa, shared = math.frexp(self._scale)
        B_exponents, A_exponents = _exponents(B), _exponents(At)
        live = (B != 0.0).any(axis=0) & (At != 0.0).any(axis=0)
        both = B_exponents + A_exponents
        top = int(both[live].max()) if live.any() else 0
        exponent = top + shared if live.any() else 0
        if abs(exponent) > RANGE:
            cause = f"the magnitude of the product, about 2^{exponent}, leaves the range of float64"
            raise UsageError("low-rank product", cause, "Multiply the scale by a power of two first")
        left = np.ldexp(B[:, live], -B_exponents[live])
        right = np.ldexp(At[:, live], (both - top - A_exponents)[live]) * mantissa
        return Factors(left, right, exponent)


class LowRankGram:
    """`GramOperator` by four thin products, on the smaller side of W.

    For a unit x the first two are off by at most (γ_n + γ_r)·S, the others by (γ_m + γ_r)·S·σ₁: (m + n + 2r)·u·S·σ₁ in
    all, where a stored matrix has (m + n)·u·‖W‖_F·σ₁.
    """

    device: Device = "cpu"

    def __init__(self, factors: Factors, scale: float) -> None:
        self.scale = scale
        left, right = factors.left, factors.right
        self._outer, self._inner = (right, left) if left.shape[0] >= right.shape[0] else (left, right)
        self.m, self.n = self._inner.shape[0], self._outer.shape[0]
        frob = float(np.linalg.norm(factors.core))
        self.amplification = factors.terms / frob * (1.0 + 2.0 * left.shape[1] / (self.m + self.n)) * 1.01

    def __call__(self, X: Panel) -> Panel:
        Y = self._inner @ (self._outer.T @ (self.scale * X))
        return self.scale * (self._outer @ (self._inner.T @ Y))


def _float64(factor: BlockMatrix) -> NDArray[np.float64]:
    """A copy of ``factor`` in float64."""
    return np.concatenate([moved(block, "cpu").astype(np.float64) for block in factor.blocks])


def triangle(side: NDArray[np.float64]) -> NDArray[np.float64]:
    """R of ``side`` = QR, at most (r, r)."""
    R: Any = np.linalg.qr(side, mode="r")  # which is typed as if Q came with it
    return np.asarray(R)


def _exponents(factor: NDArray[np.float64]) -> NDArray[np.int64]:
    """e with largest magnitude of each column in [2^(e−1), 2^e); 0 for a zero column."""
    largest: NDArray[np.float64] = np.abs(factor).max(axis=0, initial=0.0)
    exponents: NDArray[np.int64] = np.frexp(largest)[1].astype(np.int64)
    return exponents
