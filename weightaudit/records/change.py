"""What became of one matrix, or one vector, of a model in another that was made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from weightaudit.records.measurement import Spectrum
from weightaudit.records.place import Place
from weightaudit.records.table import TableFacts

Kind = Literal[
    "unchanged",
    "cast",
    "rows permuted",
    "columns permuted",
    "rows and columns permuted",
    "moved",
    "rotated",
    "unrelated",
    "pruned",
    "pruned and changed",
    "quantised",
    "few rows",
    "at the resolution",
    "scaled",
    "rows scaled",
    "columns scaled",
    "low rank",
    "sparse",
    "noise",
    "dense",
    "not finite",
]
"""What was done to a matrix, as far as its numbers show it; docs/diff.md says how each is told."""

PERMUTED: tuple[Kind, ...] = ("rows permuted", "columns permuted", "rows and columns permuted")
UNLIKE = 0.1
"""Cosine between W₀ and W₁, of either sign, below which one was not made from the other in place. No multiple of what
chance would give: layers of one model have a cosine of 0.02, which is 15 standard deviations."""
ELSEWHERE: tuple[Kind, ...] = (*PERMUTED, "moved", "rotated", "unrelated")
"""Kinds of which the difference from the matrix in the same place says nothing."""


@dataclass(frozen=True)
class EntryChanges:
    """How the entries of W₁ (rows, cols) differ from those of W₀, from one pass over both. Δ is W₁ − W₀.

    Sums, floors and edges are NaN where an entry of either is not finite, and where the squares of float64 numbers
    leave what float64 can hold: where one of the three norms is not 0, below 1e-60, or above 1e60.

    Attributes
    ----------
    entries
        Number of them.
    nonfinite_base, nonfinite_derived
        Entries of W₀ and of W₁ that are NaN or infinite.
    changed
        Entries that differ in value; two NaN do not.
    rows_changed, cols_changed
        Rows and columns in which an entry differs.
    base_sq, derived_sq, change_sq
        ‖W₀‖_F², ‖W₁‖_F² and ‖Δ‖_F².
    inner
        ⟨Δ, W₀⟩, the sum of the products of their entries.
    precision_base, precision_derived
        The narrowest of bfloat16, float16, float32 and float64 that holds every finite entry exactly.
    floor, floor_base
        What rounding to ``precision_derived`` and to ``precision_base`` would come to: the sums of ulp²/12.
    edge, edge_base
        σ₁ of a matrix of such rounding errors: the roots of its largest sums over a row and over a column, added up.
    within_ulp
        Changed entries that are off by at most one ulp of ``precision_derived``.
    zeros_base, zeros_derived
        Entries that are exactly zero.
    cut
        Entries that were not zero and are.
    casts
        Ways of rounding W₀ of which W₁ is the result, entry by entry: names of `CASTS`.
    two_of_four
        Whether of every four neighbouring entries of a row of W₁ two at least are zero.
    scaled_rest, rows_scaled_rest, cols_scaled_rest
        ‖Δ‖_F² that is left where W₀ is multiplied by the best number, by the best one for each row, for each column.
    """

    entries: int
    nonfinite_base: int
    nonfinite_derived: int
    changed: int
    rows_changed: int
    cols_changed: int
    base_sq: float
    derived_sq: float
    change_sq: float
    inner: float
    precision_base: str
    precision_derived: str
    floor: float
    floor_base: float
    edge: float
    edge_base: float
    within_ulp: int
    zeros_base: int
    zeros_derived: int
    cut: int
    casts: tuple[str, ...]
    two_of_four: bool
    scaled_rest: float
    rows_scaled_rest: float
    cols_scaled_rest: float

    @property
    def nonfinite(self) -> int:
        """Entries of either that are no finite number, each matrix counted by itself."""
        return self.nonfinite_base + self.nonfinite_derived

    @property
    def relative(self) -> float:
        """‖Δ‖_F/‖W₀‖_F; 0 where Δ is 0, infinite where W₀ alone is, NaN where either is not finite."""
        if self.change_sq == 0.0:
            return 0.0
        return math.sqrt(self.change_sq / self.base_sq) if self.base_sq else self.change_sq * math.inf

    @property
    def above_floor(self) -> float:
        """‖Δ‖_F² over what rounding alone comes to; infinite where that is 0."""
        return self.change_sq / self.floor if self.floor else math.inf if self.change_sq else 0.0

    @property
    def cosine(self) -> float:
        """Cosine of the angle between W₀ and W₁; NaN where either is zero or not finite."""
        both = math.sqrt(self.base_sq) * math.sqrt(self.derived_sq)
        if not both:
            return math.nan
        return max(min((self.base_sq + self.inner) / both, 1.0), -1.0)  # in this order NaN stays NaN

    @property
    def shrink(self) -> float:
        """c of W₁ ≈ (1 − c)·W₀: −⟨Δ, W₀⟩/‖W₀‖_F²; NaN where W₀ is zero."""
        return -self.inner / self.base_sq if self.base_sq else math.nan


CASTS = ("bfloat16", "float16", "float16 then bfloat16", "bfloat16 then float16", "bfloat16 towards zero")
"""Ways of rounding float32 numbers that a model may have gone through, with ties to even but for the last."""


COARSE = ("bfloat16", "float16")
"""Precisions to which a result is rounded once, at its end, as a rule. To finer ones each term of a sum is."""


@dataclass(frozen=True)
class RankFacts:
    """What the leading singular values of Δ say of its rank.

    Attributes
    ----------
    rank
        r, where Δ is proven to be a matrix of rank r and rounding; None where nothing is claimed.
    rest
        ‖Δ‖_F² without its r largest squared singular values, over what rounding leaves there; of None, r is the number
        of those above the edge of rounding. NaN where it was not looked for.
    singular_values
        Leading ones of Δ, descending, within 1 %.
    edge
        Size up to which a singular value may be rounding.
    flatness
        σ₁ of white noise of Δ's size over Δ's own: near 1 where Δ is such noise.
    """

    rank: int | None
    rest: float
    singular_values: tuple[float, ...]
    edge: float
    flatness: float


@dataclass(frozen=True)
class Directions:
    """Where Δ points, beside the singular vectors of W₀ and W₁.

    Attributes
    ----------
    row_lift, col_lift
        Mean square of W₀ along the rows of Δ, and along its columns, over that along a random direction: 1 by chance.
    novelty
        For each of the leading singular values of W₁, descending, the share of it that W₀ does not have: u·Δv/σ.
    intruders
        Leading singular vectors of W₁ that are known to be like none of W₀: no cosine above 0.5. None where that was
        not asked for.
    undetermined
        Those of which neither that nor the opposite is certain.
    """

    row_lift: float
    col_lift: float
    novelty: tuple[float, ...]
    intruders: int | None = None
    undetermined: int = 0

    @property
    def new(self) -> int:
        """Leading singular values of which W₀ does not have the half."""
        return sum(share > NEW for share in self.novelty)


AT_RESOLUTION = 6.0
"""‖Δ‖_F² over what rounding alone comes to, below which nothing is said of Δ's shape: below, dense changes in bfloat16
have looked like low-rank ones."""

NEW = 0.5
"""Share of a leading singular value that the base does not have, above which its direction counts as new."""


@dataclass(frozen=True)
class Grid:
    """The levels on which the entries of a quantised matrix lie.

    ``bits`` are those that the levels of a group need, ``group`` is how many consecutive inputs share a scale, by
    themselves or with those of as many outputs, a square tile (0: all of a row, -1: all of the matrix), ``even`` says
    whether levels are evenly spaced.
    """

    bits: int
    group: int
    even: bool


@dataclass(frozen=True)
class Explained:
    """Δ as a sum of given matrices: the ``weights`` of the least squares fit, and what it leaves.

    ``rest`` is the residual's square over what rounding comes to, ``unexplained`` the same over ‖Δ‖_F²; ``exact`` says
    that rounding is all that is left.
    """

    weights: tuple[float, ...]
    rest: float
    unexplained: float
    exact: bool


@dataclass(frozen=True)
class Change:
    """One matrix or vector of two models in the same place: W₀ of the base and W₁ of the derived one, Δ = W₁ − W₀.

    Attributes
    ----------
    place
        Where it stands; a vector has no role.
    tensors, tensors_base
        Names of stored tensors that W₁ and W₀ are cut from.
    shape, shape_base
        (rows, cols) of both, (n,) of vectors. Where they differ in rows the first, which both have, are compared.
    dtype, dtype_base
        Stored dtypes.
    kind
        What was done to it.
    entries
        What one pass over both said; None where an adapter gives Δ as a product, which is never formed.
    spectrum
        What was measured of Δ: None of vectors, and where it would say nothing (of kinds that are not a change of the
        matrix in that place, and at the resolution).
    relative
        ‖Δ‖_F/‖W₀‖_F.
    ranks, directions, grid
        What else is known of Δ and W₁, where it was looked for.
    block
        Rows, or columns, that moved together, of kinds that are permuted: the size of a head, say; else 0.
    moved_from
        Where in the base W₁ stood, of kind "moved".
    recipe
        Δ as a sum of what parents of a merge have changed; None where there are none.
    added
        What stands out among the rows that W₁ has more than W₀, by their numbers; None where it has no more.
    """

    place: Place
    tensors: tuple[str, ...]
    tensors_base: tuple[str, ...]
    shape: tuple[int, ...]
    shape_base: tuple[int, ...]
    dtype: str
    dtype_base: str
    kind: Kind
    entries: EntryChanges | None
    relative: float
    spectrum: Spectrum | None = None
    ranks: RankFacts | None = None
    directions: Directions | None = None
    grid: Grid | None = None
    block: int = 0
    moved_from: Place | None = None
    recipe: Explained | None = None
    added: TableFacts | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether it has a role."""
        return bool(self.place.role)

    @property
    def resized(self) -> bool:
        """Whether one of the two has more rows."""
        return self.shape != self.shape_base
