"""Whether the weights of two models are the same, and how far they are apart: from their difference, or from what two
reports tell of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from weightaudit.records import DiffResult, Place
from weightaudit.report.columns import number_text
from weightaudit.report.comparison.partners import Row, partners, place_of
from weightaudit.text import plural

SAME = ("rows", "cols", "nonfinite", "zeros", "max_abs")
"""Numbers of a report that equal matrices have in common, to the last digit."""
ROUNDING = 1e-9
"""Share of a Frobenius norm by which it may differ where another machine has added up the same squares."""


@dataclass(frozen=True)
class Apart:
    """The weights of a model beside those of the first.

    Attributes
    ----------
    identical
        Whether no number differs and nothing is on one side alone; None where that cannot be told.
    matrices, vectors
        How many are known to differ, and of how many; None where nothing is known of them.
    relative, largest
        ‖W₁ − W₀‖_F/‖W₀‖_F of all matrices together, and of the matrix or vector that differs most; NaN where unknown.
    by_place
        (identical, relative) of matrices by their places.
    why
        Why it cannot be told, as the end of a sentence; "" where it is.
    """

    identical: bool | None
    matrices: tuple[int, int] | None = None
    vectors: tuple[int, int] | None = None
    relative: float = math.nan
    largest: float = math.nan
    by_place: Mapping[Place, tuple[bool, float]] = field(default_factory=dict)
    why: str = ""

    @property
    def words(self) -> str:
        """What is known, in one sentence without its end.

        Example:
            >>> Apart(False, (1, 40), (0, 9), 0.25, 2.0).words
            'weights differ in 1 of 40 matrices and 0 of 9 vectors: relative difference 0.25, at most 2'
            >>> Apart(None, (0, 40), why="reports have no entries").words
            'weights cannot be told to be identical: reports have no entries'
        """
        if self.identical is None:
            return f"weights cannot be told to be identical: {self.why}"
        if self.identical:
            return f"weights are identical: {' and '.join(self._counts(differing=False))}"
        said = f"weights differ in {' and '.join(self._counts(differing=True))}" if self.matrices else "weights differ"
        if not math.isnan(self.largest):
            overall = "unknown" if math.isnan(self.relative) else number_text(self.relative, digits=3)
            said += f": relative difference {overall}, at most {number_text(self.largest, digits=3)}"
        return f"{said}; {self.why}" if self.why else said

    def _counts(self, *, differing: bool) -> Iterator[str]:
        for counted, one, many in ((self.matrices, "matrix", "matrices"), (self.vectors, "vector", "vectors")):
            if counted is not None:
                yield f"{counted[0]:,} of " * differing + plural(counted[1], one, many)


def apart_by_difference(difference: DiffResult) -> Apart:
    """From the two models themselves."""
    summary, by_place = difference.summary, {}
    for change in difference.matrices:
        by_place[change.place] = (change.kind == "unchanged" and not change.resized, change.relative)
    lone = len(difference.one_sided)
    return Apart(
        identical=summary.identical,
        matrices=_counted(summary.matrices, summary.kinds.get("unchanged", 0)),
        vectors=None if difference.partial else _counted(summary.vectors, summary.vector_kinds.get("unchanged", 0)),
        relative=summary.relative,
        largest=summary.largest,
        by_place=by_place,
        why="" if summary.identical or not lone else f"{plural(lone, 'tensor')} on one side alone",
    )


def _counted(number: int, unchanged: int) -> tuple[int, int]:
    return number - unchanged, number


def apart_by_reports(first: Sequence[Row], other: Sequence[Row]) -> Apart:
    """From the rows of two reports, which can show that matrices differ and not that they are the same: those of which
    one is the other's with its rows in another order have the same norms.
    """
    pairs = [(a, b) for _, a, b in partners(first, other) if a is not None and b is not None]
    differing = {place_of(a): (False, math.nan) for a, b in pairs if _differ(a, b)}
    if differing:
        return Apart(False, (len(differing), len(pairs)), by_place=differing, why="vectors are not known from reports")
    return Apart(None, (0, len(pairs)), why="a report has norms and no entries. Name the models themselves")


def _differ(a: Row, b: Row) -> bool:
    """Whether any number shows that two matrices are not the same."""
    if any(_known(a[name]) and _known(b[name]) and a[name] != b[name] for name in SAME):
        return True
    norms = [row["frobenius_norm"] for row in (a, b)]
    low, high = sorted(float(norm) if isinstance(norm, float | int) else math.nan for norm in norms)
    return high - low > ROUNDING * high


def _known(value: object) -> bool:
    return value is not None and value == value  # NaN is unknown
