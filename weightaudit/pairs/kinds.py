"""What was done to a matrix or a vector, told from the facts of its entries and of its change; the first match wins.

A kind is told only where what was found hardly comes about in another way: most are exact, and "dense" is what is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from weightaudit.arrays import Array
from weightaudit.pairs.grids import grid_of
from weightaudit.pairs.permutations import Rounding, permutation_of, same_values
from weightaudit.pairs.rounded import Touched, is_rounded, touched
from weightaudit.records.change import AT_RESOLUTION, COARSE, ELSEWHERE, UNLIKE, EntryChanges, Grid, Kind, RankFacts
from weightaudit.records.measurement import Spectrum, SpectrumDetail
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.inputs import block_matrix

WITHOUT_SPECTRUM: frozenset[Kind] = frozenset({"unchanged", "cast", "at the resolution", "not finite", *ELSEWHERE})
"""Kinds of a change whose singular values say nothing: there is none, it is rounding, or it is of two matrices that do
not belong together."""

FAR = 0.5
"""‖Δ‖_F/‖W₀‖_F above which W₁ may be W₀ turned, even where they are like: entries of one sign stay like. No training
goes so far and leaves the norm as it was."""
SAME_NORM = 2e-5
"""Relative difference up to which two Frobenius norms are those of one matrix and its rotation, beside rounding."""
NORM_ROUNDING = 4.0
"""Standard deviations of what rounding does to a norm that are granted on top of it."""
SAME_SIGMA = 1e-3
"""Relative difference up to which two singular values are the same, beside what is known of each."""
GROWN_ZEROS = 0.2
"""Share of the entries by which zeros must have grown where other entries changed too."""
FEW_ROWS = 0.5
"""Share of the rows up to which they are few; and of those in which as many changed entries would lie by chance."""
SCALED_REST = 1.3
"""What scaling may leave, over what rounding comes to."""
FINE_REST = 4.0
"""The same of float32 and float64, whose numbers are the results of several roundings, all of them far below a change.
"""
SUMMED = 1e-14
"""The same over ‖Δ‖_F²: what its sums may be off by."""
PER_FACTOR, FINE_PER_FACTOR = 8, 2
"""Entries for each factor of a scaling, at the least, that no factors fit a change by chance: of COARSE numbers, and of
float32 and float64, of which a single one that is not needed to find a factor proves it."""
SPARSE = 0.5
"""Share of changed entries below which a change is sparse."""
MOSTLY = 0.9
"""Share of changed entries below which rounding has swallowed the rest, where most of them are off by one ulp."""
FLAT = 0.93
"""Flatness from which a change is white noise; those of training have 0.16 to 0.32."""
NOISE_SIDE = 64
"""Changed rows and columns, at the least, of what is called noise: the change of a smaller matrix is flat by itself."""
BY_ROUNDING = (0.5, 2.0)
"""‖Δ‖_F² over what rounding W₀ came to, where W₀ is W₁ rounded: an update that no rounding of it shows is smaller."""


@dataclass(frozen=True)
class Verdict:
    """What was done: ``block`` rows or columns moved together where a permutation was, ``grid`` has the levels of what
    is quantised."""

    kind: Kind
    block: int = 0
    grid: Grid | None = None


def kind_of_entries(
    base: Sequence[Array],
    derived: Sequence[Array],
    facts: EntryChanges,
    norms: Callable[[], tuple[Spectrum, Spectrum]],
) -> Verdict | None:
    """The kind of a matrix (rows, cols), as far as its entries tell it; None where the spectrum of Δ must.

    ``base`` and ``derived`` are vertical blocks of W₀ and W₁, of the same shape together. ``norms`` measures both, with
    their leading singular values, which is expensive; it is called of matrices of the same norm that are far apart
    alone.
    """
    told = _exact(facts)
    if told is not None:
        return Verdict(told)
    W0, W1 = block_matrix(list(base), "base"), block_matrix(list(derived), "derived")
    if _before_rounding(W0, W1, facts):
        return Verdict("cast")
    found = permutation_of(W0, W1, facts)
    if found is not None:
        return Verdict(*found)
    beside_rounding = touched(W0, W1, facts)
    if not beside_rounding.changed:
        return Verdict("cast")
    if beside_rounding.changed == beside_rounding.cut:
        return Verdict("pruned")
    scaled, unlike = _scaled(facts, W0.rows, W0.cols), abs(facts.cosine) < UNLIKE
    if scaled is None and (unlike or facts.relative > FAR) and _rotated(facts, norms):
        return Verdict("rotated")
    if unlike:
        return Verdict(scaled or "unrelated")
    grid = grid_of(W0, W1, facts)
    if grid is not None:
        return Verdict("quantised", grid=grid)
    if _cut_and_changed(facts):
        return Verdict("pruned and changed")
    if _few_rows(beside_rounding, W0.rows):
        return Verdict("few rows")
    if facts.change_sq < AT_RESOLUTION * facts.floor:
        return Verdict("at the resolution")
    return Verdict(scaled) if scaled else None


def kind_of_spectrum(facts: EntryChanges, spectrum: Spectrum, ranks: RankFacts) -> Verdict:
    """The kind of a matrix whose entries leave it open, by the ``spectrum`` of Δ and what that says of its rank."""
    if ranks.rank is not None:
        return Verdict("low rank")
    if _sparse(facts):
        return Verdict("sparse")
    if facts.changed < MOSTLY * facts.entries and 2 * facts.within_ulp > facts.changed:
        return Verdict("at the resolution")
    large = min(facts.rows_changed, facts.cols_changed) >= NOISE_SIDE
    return Verdict("noise" if large and spectrum.spectral_norm and ranks.flatness >= FLAT else "dense")


def kind_without_spectrum(facts: EntryChanges) -> Verdict:
    """The kind of what has too few rows or columns for a spectrum, and whose entries leave it open."""
    return Verdict("sparse" if _sparse(facts) else "dense")


def kind_of_vector(base: Array, derived: Array, facts: EntryChanges) -> Verdict:
    """The kind of a vector (n,): a norm's, a bias's. None is unrelated: those of two models may point one way, and what
    begins at zero points any way."""
    told = _exact(facts)
    if told is not None:
        return Verdict(told)
    W0, W1 = block_matrix(base[None], "base"), block_matrix(derived[None], "derived")
    if _before_rounding(W0, W1, facts):
        return Verdict("cast")
    rounding = Rounding.between(facts)
    if rounding is not None and same_values(base, derived, rounding):
        return Verdict("rows permuted", 1)
    beside_rounding = touched(W0, W1, facts)
    if not beside_rounding.changed:
        return Verdict("cast")
    if beside_rounding.changed == beside_rounding.cut:
        return Verdict("pruned")
    if _cut_and_changed(facts):
        return Verdict("pruned and changed")
    if facts.change_sq < AT_RESOLUTION * facts.floor:
        return Verdict("at the resolution")
    if _fits(facts, facts.scaled_rest, 1):
        return Verdict("scaled")
    return kind_without_spectrum(facts)


def _exact(facts: EntryChanges) -> Kind | None:
    """What is told by equality of entries. A cast that leaves the range of its dtype is a cast."""
    if not facts.changed:
        return "unchanged"
    if facts.casts:
        return "cast"
    return "not finite" if facts.nonfinite else None


def _before_rounding(W0: BlockMatrix, W1: BlockMatrix, facts: EntryChanges) -> bool:
    """Whether W₁ is what W₀ was rounded from."""
    least, most = (times * facts.floor_base for times in BY_ROUNDING)
    return least <= facts.change_sq <= most and is_rounded(W0, W1, facts)


def _few_rows(found: Touched, rows: int) -> bool:
    """Whether changed entries lie together in at most the half of several rows, which those that rounding spared do
    not."""
    if rows == 1:
        return False
    scattered = -rows * math.expm1(found.changed * math.log1p(-1.0 / rows))
    return found.rows <= FEW_ROWS * min(rows, math.ceil(scattered))


def _cut_and_changed(facts: EntryChanges) -> bool:
    return facts.zeros_derived - facts.zeros_base >= GROWN_ZEROS * facts.entries


def _sparse(facts: EntryChanges) -> bool:
    """Whether few entries changed, and not because rounding swallowed what the others did."""
    few = facts.changed < SPARSE * facts.entries and 2 * facts.within_ulp <= facts.changed
    return few and facts.precision_base == facts.precision_derived


def _scaled(facts: EntryChanges, rows: int, cols: int) -> Kind | None:
    """How W₁ is W₀ scaled, but for rounding."""
    if _fits(facts, facts.scaled_rest, 1):
        return "scaled"
    if _fits(facts, facts.cols_scaled_rest, cols):
        return "columns scaled"
    return "rows scaled" if _fits(facts, facts.rows_scaled_rest, rows) else None


def _fits(facts: EntryChanges, rest: float, factors: int) -> bool:
    coarse = facts.precision_derived in COARSE
    most, each = (SCALED_REST, PER_FACTOR) if coarse else (FINE_REST, FINE_PER_FACTOR)
    return each * factors <= facts.entries and rest <= most * facts.floor + SUMMED * facts.change_sq


def _rotated(facts: EntryChanges, norms: Callable[[], tuple[Spectrum, Spectrum]]) -> bool:
    """Whether W₁ has the norm and the leading singular values of W₀."""
    if not facts.base_sq:
        return False
    spread = math.sqrt((facts.floor + facts.floor_base) / facts.entries / facts.base_sq)
    if not abs(math.sqrt(facts.derived_sq / facts.base_sq) - 1.0) <= SAME_NORM + NORM_ROUNDING * spread:
        return False
    base, derived = norms()
    slack = SAME_SIGMA * base.spectral_norm + facts.edge + facts.edge_base
    if not abs(derived.spectral_norm - base.spectral_norm) <= slack:
        return False
    return base.detail is None or derived.detail is None or _same_values(base.detail, derived.detail, slack)


def _same_values(base: SpectrumDetail, derived: SpectrumDetail, slack: float) -> bool:
    """Whether leading singular values may be the same, as far as they are known of both."""
    known = zip(
        base.singular_values, base.residual_bounds, derived.singular_values, derived.residual_bounds, strict=False
    )
    return all(abs(one - other) <= slack + radius + reach for one, radius, other, reach in known)
