"""The difference of two models, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from weightaudit.records.change import Change, Kind
from weightaudit.records.finding import Finding, Suppressed
from weightaudit.records.place import Place
from weightaudit.records.scan import ModelIdentity, Verdict, verdict_of


@dataclass(frozen=True)
class OneSided:
    """A matrix or a vector that one of the two models has alone."""

    place: Place
    tensors: tuple[str, ...]
    shape: tuple[int, ...]
    side: Literal["base", "derived"]


@dataclass(frozen=True)
class DiffSummary:
    """What the changes of all matrices and vectors come to.

    Attributes
    ----------
    matrices, vectors
        How many were compared.
    kinds
        Kind → matrices of that kind; those that are unchanged too.
    vector_kinds
        The same of vectors.
    relative
        ‖Δ‖_F/‖W₀‖_F of all matrices together; NaN where an entry is not finite.
    largest
        The largest finite ``relative`` of a matrix or a vector.
    identical
        Whether nothing differs, and nothing is on one side alone.
    decay
        c of W₁ ≈ (1 − c)·W₀ common to all dense matrices, as weight decay leaves it; None where none is.
    rank
        Rank that most low-rank changes have; None where there are none, or their ranks differ.
    resolution
        Share of the changed matrices whose change is at the resolution of their numbers.
    recipe
        Weights of the parents, those of the matrices' medians; () where there are none.
    recipe_exact
        Whether every matrix is that linear merge, but for rounding, or unchanged.
    """

    matrices: int
    vectors: int
    kinds: dict[Kind, int]
    vector_kinds: dict[Kind, int]
    relative: float
    largest: float
    identical: bool
    decay: float | None = None
    rank: int | None = None
    resolution: float = 0.0
    recipe: tuple[float, ...] = ()
    recipe_exact: bool = False


@dataclass(frozen=True)
class DiffResult:
    """What one model changed of another, as plain data.

    Attributes
    ----------
    base, derived
        Which models they are, and the files that were read.
    family
        That of the derived model.
    changes
        Matrices in report order, then vectors by name.
    one_sided
        What one of the two has alone.
    summary
        Numbers of the whole.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
    parents
        Models whose changes those of the derived one may be a sum of; an adapter that may have been merged.
    findings
        What the rules found, most severe first.
    rules
        Ids of all rules that were checked.
    suppressed
        Findings that do not count, as an option says.
    notes
        Sentences for the reader.
    partial
        Why it is of a part of the models only: "--roles"; () where it is of all.
    """

    base: ModelIdentity
    derived: ModelIdentity
    family: str
    changes: tuple[Change, ...]
    one_sided: tuple[OneSided, ...]
    summary: DiffSummary
    options: dict[str, Any]
    versions: dict[str, str]
    parents: tuple[ModelIdentity, ...] = ()
    findings: tuple[Finding, ...] = ()
    rules: tuple[str, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    notes: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    gate: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """As `verdict_of` has it."""
        return verdict_of(self.rules, self.findings)

    @property
    def matrices(self) -> tuple[Change, ...]:
        """The changes of matrices."""
        return tuple(change for change in self.changes if change.is_matrix)

    @property
    def vectors(self) -> tuple[Change, ...]:
        """The changes of norms, biases and all else without a role."""
        return tuple(change for change in self.changes if not change.is_matrix)
