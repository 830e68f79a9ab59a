"""The rank of a change Δ = W₁ − W₀ of stored weights: how few directions explain it, but for the rounding of entries.

Δ = R + E with E the rounding of entries to the precision of W₁, and to that of W₀ where that was rounded as well. What
E comes to is known: ‖E‖_F² ≈ F = Σ ulp²/12, σ₁(E) ≲ edge (`EntryChanges`). Rank r is claimed where

- r singular values of Δ lie above the edge, so no fewer directions and rounding make Δ (Weyl: σ_{r+1}(R + E) ≤ σ₁(E)
  if R has rank r);
- without them no more is left of ‖Δ‖_F² than F·(1 − r/m)(1 − r/n), within `SLACK`: so r directions, which are at hand,
  and rounding do make Δ (that factor is what noise loses where r rows and columns are projected away);
- the r-th stands clear of all others by a factor of `GAP`. Singular values that fall off smoothly into the rounding, as
  those of an update in all directions do, and a rank some of whose directions rounding hides, have no such gap.

The first two are facts about Δ under that model of rounding, the third is what makes r the rank of R rather than how
many of its directions can be seen: nobody can count those that lie deeper in the rounding than the gap is wide.

Most changes of whole models are in all directions, and are told from the others by a block of some hundred rows and
columns chosen at random: R has there rank r at most, E is there no larger, so what is said above holds of it as well.
Only what passes is sketched (Halko, Martinsson & Tropp 2011, alg. 4.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import EntryChanges, RankFacts, Spectrum
from weightaudit.records.change import AT_RESOLUTION, COARSE
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.entry_changes import PRECISIONS
from weightaudit.spectral.krylov import rng_for
from weightaudit.spectral.operators.base import GramOperator
from weightaudit.spectral.operators.difference import Difference
from weightaudit.spectral.ritz import ritz_pairs
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.threads import one_blas_thread

SMALLEST_SIDE = 8
"""Rows and columns below which no rank is claimed: noise and few directions look alike there."""

LARGEST_RANK = 256
"""The largest rank that is looked for, and at most a quarter of the smaller side."""

SCATTERED = 0.1
"""Share of the entries, of all in rows and columns that differ, from which on a rank is looked for: a product changes
all of them but for what rounding hides, which at `AT_RESOLUTION` is half; single entries have a rank for their places
alone."""

SLACK = 1.04
"""How many times what rounding comes to may be left, and `SCATTER`/√(mn) more, by which it may differ from its mean."""

SCATTER = 4.0
"""In standard deviations of a sum of independent errors, 0.9 each."""

FINE_ROUNDINGS = 4.0
"""Roundings that weights which are not `COARSE` may have gone through; exports of adapters show 1.5 to 1.8."""

MARGIN = 1.1
"""How far above the edge of rounding a singular value has to be."""

GAP = 1.4
"""How many times the next singular value the last one of a claimed rank is at least."""

CROWD = 16.0
"""Singular values above the edge that one node of the measurement's density stands for at most, where they are few."""

CROWDED = 0.01
"""Share of ‖Δ‖_F² that other nodes may have; one that is about to be resolved has next to nothing."""

ROUGHLY = 1.3
"""How many times what rounding comes to that density may have below the edge."""

SQUARED = 3e-6
"""Share of σ₁ below which rounding hides what squares of singular values say."""

SKETCHES = ((16, 4), (64, 4), (176, 3))
"""(columns, passes) of the block Krylov runs, the next where half of the basis of the one before may be needed."""

AT_ONCE = 8
"""Rows of products with c vectors that are brought to a triangle at once, over c."""

PAD = 8
"""Directions beside those above the edge that the last pass looks at."""


@dataclass(frozen=True)
class _Rounding:
    """‖E‖_F² and the size up to which a singular value may be one of E's, under one account of what was rounded."""

    floor: float
    edge: float
    present: float = 0.0
    """How much of it has to be there: all that of W₀ alone; where W₁ is as coarse, small changes leave entries of both
    as they are, rounded alike, and there is no more of it than entries that changed."""


def rank_facts(
    difference: Difference,
    facts: EntryChanges,
    spectrum: Spectrum,
    *,
    seed: int = 0,
    name: str = "",
    digest: str | None = None,
    team: ThreadTeam | None = None,
) -> RankFacts:
    """Rank and flatness of Δ = ``difference``, whose entries are summed up in ``facts``.

    Proven, as far as E is rounding to nearest: that Δ is a matrix of the rank claimed and rounding, and of no lower
    one. That a rank is not claimed proves nothing. Panels of Δ are formed in float64, one at a time.

    Parameters
    ----------
    difference
        W₁ − W₀ on the CPU.
    facts
        What `entry_changes` says of W₀ and W₁.
    spectrum
        ``measure(difference, spectrum=True)``.
    seed, name, digest, team
        As `measure` has them.
    """
    rows, cols = difference.shape
    roundings, largest = _roundings(facts), min(LARGEST_RANK, min(rows, cols) // 4)
    unknown = RankFacts(None, math.nan, _leading(spectrum), roundings[0].edge, flatness(spectrum, rows, cols))
    if min(rows, cols) < SMALLEST_SIDE or not 0.0 < AT_RESOLUTION * roundings[0].floor <= facts.change_sq:
        return unknown
    if facts.changed < SCATTERED * facts.rows_changed * facts.cols_changed:
        return unknown
    with np.errstate(all="ignore"), one_blas_thread:
        above = [rounding for rounding in roundings if facts.change_sq >= AT_RESOLUTION * rounding.floor]
        possible = [rounding for rounding in above if _may_be_few(spectrum, rounding, min(rows, cols))]
        if not possible:
            return unknown
        rng = rng_for(seed, f"{name} rank", digest or difference.digest())
        least = _ranks_of_block(difference, facts, largest, rng)
        possible = [
            rounding
            for rounding, rank in zip(roundings, least, strict=True)
            if rank <= largest and rounding in possible
        ]
        if not possible:
            return unknown
        with difference.on("cpu", ThreadTeam(0) if team is None else team) as ready:
            return _sketched(difference, ready.gram(1.0), possible, rng, unknown)


def _roundings(facts: EntryChanges) -> list[_Rounding]:
    """What may have been rounded: W₁, or W₀ as well."""
    derived, base = _times(facts.precision_derived), _times(facts.precision_base)
    # Differences and products of float64 numbers are rounded here, and no finer than those of W₁ may be.
    own = (16.0 * UNIT) ** 2 * max(facts.derived_sq, facts.base_sq)
    floor, floor_base = derived * facts.floor + own, base * facts.floor_base
    present = facts.changed / max(1, facts.entries) if facts.precision_derived in COARSE else 1.0
    edge, edge_base = math.sqrt(derived) * facts.edge + math.sqrt(own), math.sqrt(base) * facts.edge_base
    return [
        _Rounding(floor, edge),
        _Rounding(floor + floor_base, math.hypot(edge, edge_base), present),
    ]


def _times(precision: str) -> float:
    return 1.0 if precision in COARSE else FINE_ROUNDINGS


def _leading(spectrum: Spectrum) -> tuple[float, ...]:
    """Those singular values of the measurement that are known within 1 %."""
    if spectrum.detail is None:
        return ()
    known = zip(spectrum.detail.singular_values, spectrum.detail.residual_bounds, strict=True)
    return tuple(value for value, bound in known if bound <= 0.01 * value)


def flatness(spectrum: Spectrum, rows: int, cols: int) -> float:
    """σ₁ of white noise of the same Frobenius norm, over σ₁; NaN where there is none."""
    if not spectrum.spectral_norm > 0.0:
        return math.nan
    return spectrum.norm_ratio * (1.0 / math.sqrt(rows) + 1.0 / math.sqrt(cols))


def _may_be_few(spectrum: Spectrum, rounding: _Rounding, count: int) -> bool:
    """Whether the density of all ``count`` singular values, as the measurement's passes saw it, leaves it possible that
    few are above the edge and that rounding is all below."""
    if spectrum.detail is None:
        return True
    edge = max(MARGIN * rounding.edge, SQUARED * spectrum.spectral_norm)
    density = [(sigma, share * count) for sigma, share in spectrum.detail.density]
    below = math.fsum(weight * sigma**2 for sigma, weight in density if sigma <= edge)
    crowded = math.fsum(weight * sigma**2 for sigma, weight in density if sigma > edge and weight > CROWD)
    if spectrum.detail.estimated and crowded > CROWDED * spectrum.frobenius_norm**2:
        return False
    return below <= ROUGHLY * rounding.floor + count * (SQUARED * spectrum.spectral_norm) ** 2


# A block of some hundred rows and columns


def _ranks_of_block(
    difference: Difference, facts: EntryChanges, largest: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Numbers that the rank of R is not below, if W₁ was rounded and if W₀ was as well; where one is more than
    ``largest`` it may say no more than that."""
    rows, cols = difference.shape
    side = min(rows, cols, max(int(2.3 * (rows * cols) ** (1.0 / 3.0)), largest + largest // 4 + PAD))
    at = np.sort(rng.choice(rows, side, replace=False)), np.sort(rng.choice(cols, side, replace=False))
    W0, W1 = _block(difference.matrix.subtrahend, *at), _block(difference.matrix.minuend, *at)
    block = W1 - W0
    energy = float(np.square(block).sum())
    if energy == 0.0:
        return 0, 0
    derived = _rounding_sq(W1, facts.precision_derived)
    both = derived + _rounding_sq(W0, facts.precision_base)
    edges = [MARGIN * _edge(error) + 64.0 * UNIT * math.sqrt(energy) for error in (derived, both)]
    # σ₁…σ_q of a matrix of rank q and rounding are bounded by their mean square, all others by the edge, and so is
    # their product, which a LU decomposition gives for a fifth of what they cost.
    product = float(np.linalg.slogdet(block)[1])
    bounds = [0.5 * largest * math.log(energy / max(largest, 1)) + (side - largest) * math.log(edge) for edge in edges]
    if product > max(bounds):
        return largest + 1, largest + 1
    sigma = np.linalg.svd(block, compute_uv=False)
    above, above_both = (int(np.count_nonzero(sigma > edge)) for edge in edges)
    return above, above_both


def _block(matrix: BlockMatrix, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float64]:
    """The entries of W in ``rows``, ascending, and ``cols``."""
    parts = []
    for block, top, end in zip(matrix.blocks, matrix.seams, matrix.seams[1:], strict=False):
        its = rows[(rows >= top) & (rows < end)] - top
        parts.append(block[np.ix_(its, cols)].astype(np.float64))
    return np.concatenate(parts)


def _rounding_sq(W: NDArray[np.float64], precision: str) -> NDArray[np.float64]:
    """The mean square by which each entry may be off."""
    kind = next(kind for kind in PRECISIONS if kind.name == precision)
    return _times(precision) / 12.0 * kind.ulp_squares(W)


def _edge(error_sq: NDArray[np.float64]) -> float:
    """σ₁ of a matrix of independent errors of those mean squares, or a little less."""
    return math.sqrt(error_sq.sum(axis=1).max()) + math.sqrt(error_sq.sum(axis=0).max())


# All of it


def _sketched(
    difference: Difference,
    gram: GramOperator,
    roundings: Sequence[_Rounding],
    rng: np.random.Generator,
    unknown: RankFacts,
) -> RankFacts:
    """What is claimed under the first of ``roundings`` that allows a claim."""
    for columns, passes in SKETCHES:
        pairs = ritz_pairs(gram, columns, passes, rng)
        sizes = np.sqrt(pairs.values)
        edge = max(MARGIN * roundings[0].edge, SQUARED * float(sizes[0]))
        wanted = int(np.count_nonzero(sizes > edge))
        if pairs.whole or 2 * wanted <= len(sizes):
            sizes, rest = _projected(difference, pairs.vectors[:, : wanted + PAD])
            found = unknown
            for rounding in roundings:
                found, enough = _judged(sizes, rest, rounding, difference.shape, unknown)
                if enough:
                    break
            return found
    return unknown


def _projected(difference: Difference, V: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(singular values of A·V, ‖A − A·V·Vᵀ‖_F²) for orthonormal columns V (n, c): one pass."""
    c = V.shape[1]
    waiting: list[NDArray[np.float64]] = []
    rest = 0.0
    for panel in difference.matrix.panels(difference.row_major):
        waiting.append(panel @ V)
        panel -= waiting[-1] @ V.T
        rest += float(np.square(panel, out=panel).sum())
        if sum(map(len, waiting)) >= AT_ONCE * c:  # the singular values are those of R, which is small
            waiting = [np.asarray(np.linalg.qr(np.concatenate(waiting), mode="r"))]
    return np.linalg.svd(np.concatenate(waiting), compute_uv=False), rest


def _judged(
    sizes: NDArray[np.float64],
    outside: float,
    rounding: _Rounding,
    shape: tuple[int, int],
    unknown: RankFacts,
) -> tuple[RankFacts, bool]:
    """What ``sizes``, singular values of Δ within a space, and what is left ``outside`` of it say of the rank, and
    whether ``rounding`` accounts for all that is left."""
    m, n = shape
    r = int(np.count_nonzero(sizes > MARGIN * rounding.edge))
    if not 1 <= r <= min(LARGEST_RANK, min(shape) // 4):
        return unknown, False
    rest = outside + float(np.square(sizes[r:]).sum())
    left = rounding.floor * (1.0 - r / m) * (1.0 - r / n)
    facts = replace(unknown, rest=rest / left, edge=rounding.edge)
    scatter = SLACK - 1.0 + SCATTER / math.sqrt(m * n)
    if facts.rest > 1.0 + scatter or facts.rest < rounding.present - scatter:
        return facts, False
    # The largest of the rest, or of noise of its size, which the space need not hold.
    others = max(math.sqrt(rest) * (1.0 / math.sqrt(m) + 1.0 / math.sqrt(n)), *sizes[r : r + 1])
    steps = sizes[max(0, r - 3) : r - 1] / sizes[max(1, r - 2) : r]
    if sizes[r - 1] < max([GAP, *steps]) * others:
        return facts, True
    return replace(facts, rank=r, singular_values=tuple(sizes[:r].tolist())), True
