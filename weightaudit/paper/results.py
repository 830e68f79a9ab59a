"""What an experiment returns, and how it tells how far it is. Plain data: nothing here computes or writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from weightaudit.paper.charts import Chart

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["true", "false", "inconclusive"]
Number = float | int | str | None
"""A value that verdict.json can hold; a float that is not finite becomes null there."""


@dataclass(frozen=True)
class Claim:
    """One statement of the paper, and what became of it here.

    ``id`` is short and stable ("merging-orthogonal"); ``text`` says in our words what the paper claims; ``source`` is
    where ("Figure 2", "Lemma 4"). ``numbers`` are those the outcome rests on; ``tolerance`` says how it is judged, and
    was written before looking; ``why`` says in a sentence what decided it.
    """

    id: str
    text: str
    source: str
    numbers: dict[str, Number | list[Number]]
    tolerance: str
    outcome: Outcome
    why: str


@dataclass(frozen=True)
class Result:
    """What one experiment found.

    ``points`` has one row per measured value or state (seed or draw, λ, step, metric, …) in an order that does not
    depend on timing; ``claims`` are judged from it; ``charts`` draw it; ``notes`` are warnings for the reader.
    ``lacking`` names what could not be had now (models, data): such a result is made anew by the next run.
    """

    points: pd.DataFrame
    claims: tuple[Claim, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


class Progress(Protocol):
    """What an experiment calls to say how far it is."""

    def start(self, total: int, what: str) -> None:
        """A stage of ``total`` steps begins; ``what`` names it. May be called again for the next stage."""

    def advance(self, n: int = 1, what: str | None = None) -> None:
        """``n`` more steps of the stage are done; ``what`` renames it."""


class _Silent:
    """Nobody waits."""

    def start(self, total: int, what: str) -> None: ...
    def advance(self, n: int = 1, what: str | None = None) -> None: ...


def silent() -> Progress:
    """A progress that says nothing."""
    return _Silent()


def judged(holds: bool | None) -> Outcome:
    """The outcome of a claim that holds, does not, or (None) cannot be told."""
    if holds is None:
        return "inconclusive"
    return "true" if holds else "false"
