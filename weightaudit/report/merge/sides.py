"""What one model of a pair suffers from the other, as a batch of pairs tells it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weightaudit.records import MergeCheckResult


@dataclass(frozen=True)
class Side:
    """Of the model ``victim`` when ``other`` is added to it; numbers that are not known are None."""

    victim: str
    other: str
    disturbance: float | None
    retention: float | None
    contamination: float | None
    lift: float | None
    first_layer: float | None
    cosine: float | None
    sign_conflict: float | None
    size_ratio: float | None


NUMBERS = tuple(name for name in Side.__dataclass_fields__ if name not in ("victim", "other"))


def sides(result: MergeCheckResult, titles: Sequence[str]) -> Iterator[Side]:
    """Both, of models called by their ``titles``."""
    for one in result.summary.encounters:
        standing = one.standing
        numbers = (
            *(standing.disturbance, standing.retention, standing.contamination, standing.lift, standing.first_layer),
            *(one.cosine, one.opposed, one.size_ratio),
        )
        yield Side(
            titles[one.victim], titles[one.other], *(value if math.isfinite(value) else None for value in numbers)
        )
