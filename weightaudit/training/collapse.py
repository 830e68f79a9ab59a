"""The rule for collapsing stable rank: what a role's median over the layers does over the steps of training.

That stable ranks fall is no fault: an i.i.d. random n × n matrix has about n/4, and training takes most of that away,
by tens of times, most of it early. So no share of the largest value so far tells a collapse. Two things do:

- **few directions**: a median below `FEW`, of a role that had `TWICE` times that before. Single matrices of sound
  models have so little; a role in the median of its layers has not.
- **a sudden fall**: a median below `SUDDEN` of the least of the `BEFORE` medians before it. The fall from a random
  start is steep at first and slows down, so that after some measurements no step of it is as large.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weightaudit.records import Finding
from weightaudit.training.medians import RoleMedian

ID, TITLE = "collapsing-stable-rank", "The stable rank of a role collapses"
FEW = 2.0
"""Median stable rank below which one direction holds more than half of the energy."""
TWICE = 2.0
"""How many times `FEW` it must have been before: what starts so low has not collapsed."""
SUDDEN = 0.5
"""Share of the least median of those before below which the fall is sudden."""
BEFORE = 5
"""Medians that must lie before a sudden fall, and that it is compared with."""
ADVICE = (
    "Look at the loss and at the size of gradients around this step: a learning rate that is too high, a missing "
    "warm-up or a spike in the data does this. If the loss has not come back, go on from a checkpoint of before."
)

Ranks = Sequence[tuple[int, float]]
"""(step, median stable rank), in order of steps."""


@dataclass(frozen=True)
class Collapse:
    """Where a role's median went below what it may: at ``step`` to ``value``, below ``threshold``; ``earlier`` is what
    it is compared with, at ``earlier_step``.
    """

    step: int
    value: float
    threshold: float
    earlier_step: int
    earlier: float
    sudden: bool


def collapses(ranks: Ranks) -> list[Collapse]:
    """Each collapse at its first step: a role that stays low, or goes on falling, is told once until it has risen above
    the threshold that it fell below.
    """
    found: list[Collapse] = []
    below = -math.inf  # the threshold that it is below now
    for at, (step, value) in enumerate(ranks):
        if value >= below:
            below = -math.inf
        one = _collapse(ranks[:at], step, value)
        if one is not None:
            if math.isinf(below):
                found.append(one)
            below = max(below, one.threshold)
    return found


def _collapse(before: Ranks, step: int, value: float) -> Collapse | None:
    if not before:
        return None
    most = max(before, key=lambda one: one[1])
    if value < FEW and most[1] >= TWICE * FEW:
        return Collapse(step, value, FEW, *most, sudden=False)
    last = before[-BEFORE:]
    least = min(last, key=lambda one: one[1])
    if len(last) == BEFORE and value < SUDDEN * least[1]:
        return Collapse(step, value, SUDDEN * least[1], *least, sudden=True)
    return None


def collapse_findings(stack: str, role: str, medians: Iterable[RoleMedian]) -> list[tuple[int, Finding]]:
    """Every collapse of a role, with its step."""
    ranks = [(one.step, one.stable_rank) for one in medians if math.isfinite(one.stable_rank)]
    return [(one.step, _finding(one, stack, role)) for one in collapses(ranks)]


def _finding(one: Collapse, stack: str, role: str) -> Finding:
    limit = (
        f"less than half of the least of the {BEFORE} measurements before"
        if one.sudden
        else f"below {FEW:g}, where one direction holds more than half of the energy"
    )
    return Finding(
        ID,
        "warning",
        TITLE,
        stack=stack,
        role=role,
        value=one.value,
        threshold=one.threshold,
        advice=ADVICE,
        detail=f"At step {one.step:,} the median stable rank of {f'{stack} {role}'.strip()} over the layers is "
        f"{one.value:.3g}, {limit}: at step {one.earlier_step:,} it was {one.earlier:.3g}.",
    )
