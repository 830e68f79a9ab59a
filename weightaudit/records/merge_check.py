"""What merging several models would do to each, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weightaudit.records.finding import Finding, Suppressed
from weightaudit.records.interactions import Interactions
from weightaudit.records.place import Place
from weightaudit.records.scan import ModelIdentity, Verdict, verdict_of


@dataclass(frozen=True)
class Meeting:
    """One matrix that a model changed, and how the updates meet there.

    Attributes
    ----------
    place
        Where it stands.
    tensors
        Its tensors in the base; in the first model that has it where there is no base.
    shape
        (rows, cols).
    interactions
        Of all updates.
    table
        Whether it is a table of tokens: each input is a row of its own, so it does not count among the model's numbers.
    """

    place: Place
    tensors: tuple[str, ...]
    shape: tuple[int, int]
    interactions: Interactions
    table: bool = False


@dataclass(frozen=True)
class Standing:
    """How one model fares in a merge: means over the matrices that it changed and that count; NaN where there are none.

    Attributes
    ----------
    retention, contamination, chance, disturbance
        ρ, κ, κ₀ and D.
    lift
        Mean κ over mean κ₀.
    first_layer
        D of the first layer alone.
    matrices
        How many matrices these are.
    """

    retention: float
    contamination: float
    chance: float
    disturbance: float
    lift: float
    first_layer: float
    matrices: int


@dataclass(frozen=True)
class Encounter:
    """Two models merged alone, each with the weight that it has: what ``other`` does to ``victim``; indices from 0.

    ``cosine``, ``cosine_without_base`` and ``opposed`` are of all counted matrices together: of the two updates, of
    these without what they have of the base, and the share of the entries they change in opposite directions.
    ``size_ratio`` is ‖Δ_other‖/‖Δ_victim‖.
    """

    victim: int
    other: int
    standing: Standing
    cosine: float
    cosine_without_base: float
    opposed: float
    size_ratio: float


@dataclass(frozen=True)
class MergeSummary:
    """What a merge comes to, at the weights that were asked for.

    Attributes
    ----------
    weights
        Of the models' updates, (T,); () where a merge that exists is judged.
    standings
        Of each model in the whole merge, (T,).
    encounters
        Of every ordered pair, T(T − 1).
    suggested
        Weights that minimise the models' summed D², (T,); () where no matrix is known.
    suggested_standings
        Of each model at these.
    fitted
        Weights of the linear merge that is nearest to the merge that is judged, (T,); () where none is.
    unexplained
        Share of the judged merge's squared update that no linear merge explains; NaN where none is judged.
    shrink
        c of Δ_i ≈ −cW₀ of each model, as weight decay leaves it, (T,); NaN without a base.
    low_rank
        Whether each model's updates are of low rank, as adapters make them, (T,).
    """

    weights: tuple[float, ...]
    standings: tuple[Standing, ...]
    encounters: tuple[Encounter, ...]
    suggested: tuple[float, ...]
    suggested_standings: tuple[Standing, ...]
    fitted: tuple[float, ...]
    unexplained: float
    shrink: tuple[float, ...]
    low_rank: tuple[bool, ...]


@dataclass(frozen=True)
class MergeCheckResult:
    """What merging several models would do to each, or what a merge has done, as plain data.

    Attributes
    ----------
    base
        The model that they were made from; None where they have none in common, and their weights are added up as they
        are.
    models
        Those that are merged, two to eight.
    merged
        A merge of them that exists and is judged; None where one is only thought of.
    family
        That of the models.
    meetings
        Matrices that some model changed, in report order.
    summary
        Numbers of the whole.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
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
    gate
        How findings were judged: options that move no number.
    """

    base: ModelIdentity | None
    models: tuple[ModelIdentity, ...]
    merged: ModelIdentity | None
    family: str
    meetings: tuple[Meeting, ...]
    summary: MergeSummary
    options: dict[str, Any]
    versions: dict[str, str]
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
    def weights(self) -> tuple[float, ...]:
        """Of all updates in what is judged, (U,): the merge that exists alone, or the models at their weights."""
        if self.merged is not None:
            return (*(0.0 for _ in self.models), 1.0)
        return self.summary.weights

    @property
    def counted(self) -> tuple[Meeting, ...]:
        """Those that the models' numbers are means of."""
        return tuple(one for one in self.meetings if not one.table)

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called, each once: those with one name by their place as well."""
        names = [one.name for one in self.models]
        return tuple(name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names))
