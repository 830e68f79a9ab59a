"""The same matrices at several steps of training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from weightaudit.records.finding import Finding
from weightaudit.records.place import Place
from weightaudit.text import listed

EventKind = Literal["matrix", "skipped", "finding"]
EVENT_KINDS: tuple[EventKind, ...] = ("matrix", "skipped", "finding")
WHOLE = Place()
"""The whole model."""


@dataclass(frozen=True)
class SeriesRow:
    """What is known of one step: a matrix that was measured, a measurement that was skipped, or what was found.

    Attributes
    ----------
    step
        The step of training after which the weights were these.
    due
        The step at which the measurement was due that the row belongs to: a measurement of all matrices that is spread
        over several steps has one ``due``.
    kind
        "matrix", "skipped" or "finding".
    place
        Where in the model the matrix is; of the whole model where the row is about no one matrix.
    tensors
        Names of the tensors that the matrix is cut from, or that the finding is about.
    rows, cols
        Of the matrix; 0 where the row is about none.
    frobenius_norm, spectral_norm, spectral_norm_upper, stable_rank, stable_rank_lower
        As in `Spectrum`; NaN where the row is about no matrix.
    nonfinite
        Entries of the matrix that are NaN or infinite.
    seconds
        How long it took to measure; NaN where that is not known.
    rule
        Id of the rule that found something; "" of the other kinds.
    note
        Why the measurement was skipped, or what was found: a sentence.
    """

    step: int
    due: int
    kind: EventKind
    place: Place = WHOLE
    tensors: tuple[str, ...] = ()
    rows: int = 0
    cols: int = 0
    frobenius_norm: float = math.nan
    spectral_norm: float = math.nan
    spectral_norm_upper: float = math.nan
    stable_rank: float = math.nan
    stable_rank_lower: float = math.nan
    nonfinite: int = 0
    seconds: float = math.nan
    rule: str = ""
    note: str = ""


@dataclass(frozen=True)
class Series:
    """One run, or several versions of one model, over the steps of training.

    Attributes
    ----------
    name
        What the run is called.
    rows
        In order of steps.
    findings
        What the rules for series found, each at its step (`found_at`), in order of steps.
    found_at
        The step of each of ``findings``.
    labels
        What a step is called where it is no number of a step: a revision.
    notes
        Sentences for the reader.
    told
        What the log says of the run as a whole: how often it was measured, within which budget, what that took.
    """

    name: str
    rows: tuple[SeriesRow, ...]
    findings: tuple[Finding, ...] = ()
    found_at: tuple[int, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    told: Mapping[str, float] = field(default_factory=dict)

    @property
    def matrices(self) -> tuple[SeriesRow, ...]:
        """The rows of matrices that were measured."""
        return tuple(row for row in self.rows if row.kind == "matrix")

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps at which measurements were due that brought a matrix, in order."""
        return tuple(sorted({row.due for row in self.matrices}))


def told_together(found: Iterable[tuple[int, Finding]]) -> list[tuple[int, Finding]]:
    """``found``, each with its step, with those of one rule at one step as one, about all of their roles."""
    groups: dict[tuple[int, str], list[Finding]] = {}
    for step, one in found:
        groups.setdefault((step, one.id), []).append(one)
    return [(step, _one_of(several)) for (step, _), several in groups.items()]


def _one_of(several: Sequence[Finding]) -> Finding:
    first, *rest = several
    if not rest:
        return first
    others = listed(f"{one.stack} {one.role}".strip() for one in rest)
    return replace(first, stack="", role="", detail=f"{first.detail} The same holds for {others}.")
