"""Where a change Δ = W₁ − W₀ points: along the directions of W₀ or not, and whether W₁ has leading ones that W₀ lacks.

*Lifts.* ‖W₀‖² along the rows of Δ is ‖ΔW₀ᵀ‖_F²/‖Δ‖_F² on average, for random rows ‖W₀‖_F²/n. With orthonormal U
    ‖ΔW₀ᵀ‖_F² = ‖UᵀΔW₀ᵀ‖_F² + ‖(I − UUᵀ)ΔW₀ᵀ‖_F²,
whose first part is exact; U is about Δ's leading left singular vectors, so little is left, which Gaussian vectors
estimate without bias (Hutch++: Meyer, Musco, Musco & Woodruff 2021). No subspace is cut off at some rank k.

*Novelty.* σ_j(W₁) = u_jᵀW₀v_j + u_jᵀΔv_j, so ν_j = u_jᵀΔv_j/σ_j is the share of it that W₀ does not have. Of Ritz
vectors this holds as exactly, with the Ritz value for σ_j.

*Intruders* (Shuttleworth et al. 2024) are leading singular vectors of W₁ whose cosines with those of W₀ are all `LIKE`
or less, compared on the shorter side of the matrices, where those of W₀ are a basis. They need all of these, so small
matrices are decomposed. Of a large one Lanczos on M = A₀ᵀA₀ from x gives polynomials π_i, orthonormal in the measure
that has at each eigenvalue the squared cosines of x with its vectors: none has more than 1/Σπ_i² there (the Christoffel
function; Golub & Meurant 2010). What is below LIKE² everywhere is certain, and so is what a Ritz vector with a small
residual has; x itself is off by no more than its residual over its gap, which counts on either side. Gaps are those
between Ritz values: an eigenvalue that no run from random vectors has seen is the one thing that is taken on trust.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import Directions
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.krylov import gaussian_start, rng_for
from weightaudit.spectral.measurement import BLOCK
from weightaudit.spectral.operators.dense import DenseOperator, gram_side
from weightaudit.spectral.operators.difference import Difference
from weightaudit.spectral.operators.panels import PanelGram
from weightaudit.spectral.ritz import RitzPairs, ritz_pairs
from weightaudit.spectral.statistics import is_safe
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Panel
from weightaudit.spectral.threads import one_blas_thread

Numbers = NDArray[np.float64]
Verdict = Literal["like", "unlike", "open"]

LEADING_OF_CHANGE = 16
"""Directions of Δ along which lifts are exact."""
PROBES = 32
"""Gaussian vectors for the rest of it."""
SPARE = 6
"""Columns of the Krylov run for vectors that are compared, beyond those."""
MOST_PASSES = 40
"""Passes after which the leading singular vectors of W₁ are taken as they are, and Lanczos runs on W₀ end."""
ROUGH, FINE = 1e-2, 1e-7
"""Relative residuals of these vectors, of which novelty is taken and which are compared with W₀'s."""

LIKE = 0.5
"""Cosine above which two singular vectors count as alike."""
DENSE_SIDE = 1024
"""Shorter side up to which W₀ is decomposed."""
TIGHT = 1e-6
"""Residual of a Ritz vector of Lanczos, over the largest value, up to which there is an eigenvector near it."""
SMALL = 1e-12
"""Share of the largest eigenvalue below which rounding decides which vector belongs to which eigenvalue."""


def directions(
    base: Any,
    derived: Any,
    *,
    k: int = 10,
    intruders: bool = False,
    seed: int = 0,
    name: str = "",
    digest: str | None = None,
    team: ThreadTeam | None = None,
) -> Directions:
    """Where W₁ = ``derived`` has moved from W₀ = ``base``; some passes over W₁, three over both.

    Exact up to rounding are ν_j as shares of Ritz values of W₁, whose squares are within 1 % of those of its singular
    values unless `MOST_PASSES` run out. Lifts are estimates as far as `PROBES` random vectors take part in them.
    Intruders are certain, as said above.

    Parameters
    ----------
    base, derived
        Matrices as `measure` takes them, of one shape, on the CPU.
    k
        How many leading singular values of W₁ are looked at; of more than `BLOCK` that are equal, so many are seen.
    intruders
        Whether their vectors are compared with all of W₀'s.
    seed, name, digest, team
        As `measure` has them, of the difference.

    Returns
    -------
    Directions
        Lifts are NaN where W₀ or Δ is zero. Of matrices that are not finite, or whose squares leave
        float64, nothing is known.
    """
    difference = Difference(derived, base)
    W0, W1 = difference.matrix.subtrahend, difference.matrix.minuend
    rng = rng_for(seed, f"{name} directions", digest or difference.digest())
    pair, count = _Pair(W0, W1, gram_side(W1)[0]), min(k, W1.rows, W1.cols)
    with np.errstate(all="ignore"), one_blas_thread:
        first = pair.looked_at(rng)
        if not count or first is None:
            return Directions(math.nan, math.nan, ())
        with DenseOperator(W1).on("cpu", ThreadTeam(0) if team is None else team) as ready:
            leading = ritz_pairs(ready.gram(1.0), BLOCK, MOST_PASSES, rng, wanted=count, tol=ROUGH)
        lifts, novelty = pair.measured(first, leading.vectors[:, :count], rng)
        verdicts = _verdicts(W0, W1, count, rng) if intruders else None
    return Directions(
        *(lifts if pair.row_major else lifts[::-1]),
        novelty,
        None if verdicts is None else verdicts.count("unlike"),
        0 if verdicts is None else verdicts.count("open"),
    )


@dataclass(frozen=True)
class _Look:
    """‖A₀‖_F², ‖D‖_F², and orthonormal columns about D's leading singular vectors: left (m, c), right (n, c)."""

    base_sq: float
    change_sq: float
    left: Numbers
    right: Numbers


class _Pair:
    """A₀ and D = A₁ − A₀ (m, n): W₀ and Δ if ``row_major``, else their transposes."""

    def __init__(self, base: BlockMatrix, derived: BlockMatrix, row_major: bool) -> None:
        self.base, self.derived, self.row_major = base, derived, row_major
        self.m, self.n = (base.rows, base.cols) if row_major else (base.cols, base.rows)

    def panels(self) -> Iterator[tuple[slice, Panel, Panel]]:
        """Which rows they are, and these of A₀ and of D: one pass."""
        top = 0
        both = zip(self.base.panels(self.row_major), self.derived.panels(self.row_major), strict=True)
        for before, change in both:
            change -= before
            its = slice(top, top + len(change))
            top = its.stop
            yield its, before, change

    def looked_at(self, rng: np.random.Generator) -> _Look | None:
        """The range of D and of Dᵀ, of random vectors; None where numbers, or their squares, are not finite."""
        start = gaussian_start(self.n, min(LEADING_OF_CHANGE, self.n), rng)
        left, right, base_sq, change_sq = np.zeros((self.m, start.shape[1])), np.zeros_like(start), 0.0, 0.0
        for its, before, change in self.panels():
            left[its] = change @ start
            right += change.T @ left[its]
            base_sq += float(np.vdot(before, before))
            change_sq += float(np.vdot(change, change))
        if not all(square == 0.0 or is_safe(square) for square in (base_sq, change_sq)):
            return None
        return _Look(base_sq, change_sq, np.linalg.qr(left)[0], np.linalg.qr(right)[0])

    def measured(
        self, look: _Look, leading: Numbers, rng: np.random.Generator
    ) -> tuple[tuple[float, float], tuple[float, ...]]:
        """((lift along the rows, along the columns), ν_j of the ``leading`` right singular vectors (n, k) of A₁)."""
        X, Y = _with_probes(look.left, rng), _with_probes(look.right, rng)
        DtX, DY = np.zeros((self.n, X.shape[1])), np.zeros((self.m, Y.shape[1]))
        before_v, change_v = np.zeros((self.m, leading.shape[1])), np.zeros((self.m, leading.shape[1]))
        for its, before, change in self.panels():
            DtX += change.T @ X[its]
            DY[its] = change @ Y
            before_v[its], change_v[its] = before @ leading, change @ leading
        rows, cols = np.zeros(X.shape[1]), np.zeros((self.n, Y.shape[1]))
        for its, before, _ in self.panels():
            rows += np.square(before @ DtX).sum(axis=0)
            cols += before.T @ DY[its]
        chance = look.base_sq * look.change_sq
        along = _mean_square(rows, look.left.shape[1]) * self.n / chance if chance else math.nan
        across = (
            _mean_square(np.square(cols).sum(axis=0), look.right.shape[1]) * self.m / chance if chance else math.nan
        )
        U, sigma, turn = np.linalg.svd(before_v + change_v, full_matrices=False)
        shares = np.einsum("ij,ij->j", U, change_v @ turn.T) / sigma
        return (along, across), tuple(shares[sigma > math.sqrt(SMALL) * sigma[0]].tolist())


def _with_probes(known: Numbers, rng: np.random.Generator) -> Numbers:
    """``known`` orthonormal columns (n, c), and Gaussian ones without what they have of these."""
    probes = rng.standard_normal((len(known), PROBES))
    probes -= known @ (known.T @ probes)
    return np.concatenate([known, probes], axis=1)


def _mean_square(squares: Numbers, known: int) -> float:
    """‖·‖_F² from what it makes of such columns: those known count, of the others the mean does."""
    return float(squares[:known].sum() + squares[known:].mean())


# Intruders


def _verdicts(base: BlockMatrix, derived: BlockMatrix, count: int, rng: np.random.Generator) -> list[Verdict]:
    """Of the ``count`` leading singular vectors of W₁, on the shorter side: the right ones of A. Those of singular
    values that are 0 are any, and left out."""
    row_major = base.rows > base.cols
    if min(base.rows, base.cols) <= DENSE_SIDE:
        values, vectors = _decomposed(base, row_major)
        sizes, own = _decomposed(derived, row_major)
        return [_of_all(values, np.square(vectors.T @ own[:, j])) for j in range(_present(sizes[:count]))]
    gram = PanelGram(derived, row_major, 1.0)
    leading = ritz_pairs(gram, count + SPARE, MOST_PASSES, rng, wanted=count, tol=FINE)
    count = _present(leading.values[:count])
    gaps = [_gap(leading, j) for j in range(count)]
    off = [residual / gap if gap > 0.0 else 1.0 for residual, gap in zip(leading.residuals, gaps, strict=False)]
    return _by_lanczos(PanelGram(base, row_major, 1.0), leading.vectors[:, :count], off)


def _decomposed(matrix: BlockMatrix, row_major: bool) -> tuple[Numbers, Numbers]:
    """All eigenvalues of AᵀA, descending, and their vectors (n, n)."""
    n = matrix.cols if row_major else matrix.rows
    M = np.zeros((n, n))
    for panel in matrix.panels(row_major):
        M += panel.T @ panel
    values, vectors = np.linalg.eigh(M)
    return values[::-1], vectors[:, ::-1]


def _present(values: Numbers) -> int:
    """How many of ``values``, eigenvalues in descending order, are more than rounding."""
    return int(np.count_nonzero(values > SMALL * values[0]))


def _of_all(values: Numbers, squares: Numbers) -> Verdict:
    """By the squared cosines with all eigenvectors of M, and its eigenvalues: of equal ones any vector is one."""
    told = values > SMALL * values[0]
    first = np.flatnonzero(np.diff(values[told], prepend=np.inf) < -SMALL * values[0])
    if np.add.reduceat(squares[told], first).max(initial=0.0) > LIKE**2:
        return "like"
    return "open" if squares[~told].sum() > LIKE**2 else "unlike"


def _gap(pairs: RitzPairs, j: int) -> float:
    """How far the j-th eigenvalue is from all others that were seen, at least."""
    away = np.abs(pairs.values - pairs.values[j]) - pairs.residuals
    away[j] = np.inf
    return float(away.min(initial=np.inf)) - float(pairs.residuals[j])


@dataclass
class _Run:
    """Lanczos on M from one unit vector: ``basis`` (passes + 1, n), and the diagonals of T."""

    basis: Numbers
    diagonal: list[float]
    coupling: list[float]

    def extend(self, product: Numbers) -> None:
        """``product``: M times the last vector."""
        q = len(self.diagonal) + 1
        self.diagonal.append(float(product @ self.basis[q - 1]))
        for _ in range(2):
            product = product - (self.basis[:q] @ product) @ self.basis[:q]
        norm = float(np.linalg.norm(product))
        closed = norm <= SMALL * max(self.diagonal)
        self.coupling.append(0.0 if closed else norm)
        self.basis[q] = 0.0 if closed else product / norm

    def verdict(self, off: float) -> Verdict:
        """What is certain where the vector is ``off`` by that sine."""
        T = np.diag(self.diagonal) + np.diag(self.coupling[:-1], 1) + np.diag(self.coupling[:-1], -1)
        theta, S = np.linalg.eigh(T)
        cosines, residuals = np.abs(S[0]), self.coupling[-1] * np.abs(S[-1])
        for j in np.flatnonzero((theta > SMALL * theta[-1]) & (residuals <= TIGHT * theta[-1])):
            gap = np.abs(np.delete(theta, j) - theta[j]).min(initial=np.inf) - residuals[j]
            turned = residuals[j] / gap if gap > 0.0 else 1.0
            if cosines[j] - math.sqrt(2.0) * (turned + off) > LIKE:
                return "like"
        most = cosines.max() ** 2 if self.coupling[-1] == 0.0 else self._christoffel(theta)
        return "unlike" if 1.01 * math.sqrt(most) + math.sqrt(2.0) * off < LIKE else "open"

    def _christoffel(self, theta: Numbers) -> float:
        """Bound on the squared cosine with the vectors of any one eigenvalue: the largest 1/Σπ_i² from 0 on. Beyond the
        largest node the sum only increases."""
        nodes = np.concatenate([[0.0], theta, [theta[-1] + 1e-6 * theta[-1]]])
        points = np.concatenate([np.linspace(a, b, 48) for a, b in pairwise(nodes)])
        before, now = np.zeros_like(points), np.ones_like(points)
        total, carry = np.ones_like(points), 0.0
        for diagonal, coupling in zip(self.diagonal, self.coupling, strict=True):
            before, now = now, ((points - diagonal) * now - carry * before) / coupling
            carry = coupling
            total += now * now
        return float((1.0 / total).max())


def _by_lanczos(gram: PanelGram, vectors: Numbers, off: Sequence[float]) -> list[Verdict]:
    """Of unit ``vectors`` (n, k), each ``off`` by so much: one pass for all that are open, until none is."""
    runs = [_Run(np.zeros((MOST_PASSES + 1, gram.n)), [], []) for _ in off]
    for run, vector in zip(runs, vectors.T, strict=True):
        run.basis[0] = vector
    verdicts: list[Verdict] = ["open"] * len(runs)
    for passes in range(1, MOST_PASSES + 1):
        going = [j for j, run in enumerate(runs) if verdicts[j] == "open" and 0.0 not in run.coupling]
        if not going:
            break
        products = gram(np.stack([runs[j].basis[passes - 1] for j in going], axis=1))
        for j, product in zip(going, products.T, strict=True):
            runs[j].extend(product)
            verdicts[j] = runs[j].verdict(off[j])
    return verdicts
