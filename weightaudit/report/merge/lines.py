"""What a line of a merge check's table is of: a matrix, a model, and what it is merged with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from weightaudit.records import Effect, Meeting, MergeCheckResult

HIGH = 0.95
"""Share of the contaminations by chance below the one that is told."""


@dataclass(frozen=True)
class Line:
    """What merging ``others`` does to the matrix ``meeting`` of the model ``victim``; indices of models from 0.

    The line of the whole merge has all others and the weights asked for; one of a pair has these two alone.
    ``weights`` are those of all updates.
    """

    result: MergeCheckResult
    meeting: Meeting
    victim: int
    others: tuple[int, ...]
    weights: tuple[float, ...]

    @cached_property
    def effect(self) -> Effect:
        """On the victim."""
        return self.meeting.interactions.effect(self.victim, self.weights)

    @property
    def other(self) -> int | None:
        """The one model that it is merged with; None for several, and for a merge that is judged."""
        return self.others[0] if len(self.others) == 1 and not self.merge else None

    @property
    def merge(self) -> bool:
        """Whether it is of a merge that exists."""
        return any(self.weights[self.meeting.interactions.models :])

    @property
    def chance_high(self) -> float:
        """Below which `HIGH` of the contaminations by chance lie; NaN where there are several others."""
        if self.other is None:
            return math.nan
        weight = self.weights[self.other]
        return self.meeting.interactions.chance_quantile(self.victim, self.other, HIGH, weight)

    def of_pair(self, number: str) -> float:
        """A symmetric number of the victim and the one other; NaN where there are several."""
        if self.other is None:
            return math.nan
        one = self.meeting.interactions
        if number == "opposed":
            return one.opposed[self.victim][self.other]
        if number == "size_ratio":
            own = one.norm(self.victim)
            return one.norm(self.other) / own if own > 0.0 else math.nan
        found: float = getattr(one, number)(self.victim, self.other)
        return found


def lines(result: MergeCheckResult) -> Iterator[Line]:
    """Of every matrix, of each model that changed it: the whole merge first, then each other alone, where there are
    several."""
    for meeting in result.meetings:
        for victim in range(len(result.models)):
            if meeting.interactions.inner[victim][victim] != 0.0:  # not finite counts
                yield from _of_victim(result, meeting, victim)


def whole_lines(result: MergeCheckResult) -> Iterator[Line]:
    """Those of the whole merge alone."""
    return (line for line in lines(result) if len(line.others) == len(result.models) - 1 and _is_whole(line))


def _is_whole(line: Line) -> bool:
    return line.weights == line.result.weights


def _of_victim(result: MergeCheckResult, meeting: Meeting, victim: int) -> Iterator[Line]:
    others = tuple(i for i in range(len(result.models)) if i != victim)
    yield Line(result, meeting, victim, others, result.weights)
    if len(others) < 2 and result.merged is None:
        return
    alone = result.summary.weights or (1.0,) * len(result.models)
    for other in others:
        pair = tuple(alone[i] if i in (victim, other) else 0.0 for i in range(len(result.models)))
        yield Line(result, meeting, victim, (other,), (*pair, *(0.0 for _ in result.weights[len(pair) :])))
