"""What an experiment returns. Plain data: nothing here computes or writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from weightaudit.paper.charts import Chart

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["true", "false", "inconclusive"]
Number = float | int | str | None
"""A value that verdict.json can hold; a float that is not finite becomes null there."""
Numbers = dict[str, Number | list[Number]]


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
    numbers: Numbers
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


def judged(holds: bool | None) -> Outcome:
    """The outcome of a claim that holds, does not, or (None) cannot be told."""
    if holds is None:
        return "inconclusive"
    return "true" if holds else "false"
