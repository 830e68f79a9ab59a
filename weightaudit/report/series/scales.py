"""Scales of a chart's axes: where a value lies, and which values are named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EARLY, MANY = 0.05, 0.2
"""Where this share of the steps lies within that first share of the way, the axis is logarithmic: powers of two are so,
equal distances are not.
"""
MOST_TICKS = 6
FEW_TIMES = 5.0
"""High over low below which round distances tell more than decades do, on a logarithmic axis too."""


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``; a value's share of the way is `at`. With ``plus_one`` it is logarithmic in 1 + value,
    for steps, which begin at 0.
    """

    low: float
    high: float
    logarithmic: bool = False
    plus_one: bool = False

    def at(self, value: float) -> float:
        """From 0 to 1; the middle where all values are one."""
        low, high = self._of(self.low), self._of(self.high)
        return (self._of(value) - low) / (high - low) if high > low else 0.5

    def _of(self, value: float) -> float:
        if self.plus_one:
            return math.log10(1 + value) if self.logarithmic else value
        return math.log10(value) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Round values within, at most some; both ends where no round value lies within."""
        if not self.high > self.low:
            return [self.low]
        wide = self.logarithmic and self.high > FEW_TIMES * self.low
        found = _decades(self.low, self.high, zero=self.plus_one) if wide else _round(self.low, self.high)
        return found if len(found) > 1 else [self.low, self.high]


def axis_of_steps(steps: Sequence[int]) -> Axis:
    """That of a chart over ``steps``, which are in order."""
    early = sum(0 < step <= EARLY * steps[-1] for step in steps)
    return Axis(steps[0], steps[-1], logarithmic=early > MANY * len(steps), plus_one=True)


def axis_of_values(values: Sequence[float]) -> Axis:
    """The logarithmic one of positive values."""
    return Axis(min(values), max(values), logarithmic=True)


def _decades(low: float, high: float, *, zero: bool) -> list[float]:
    first, last = math.floor(math.log10(max(low, 1.0 if zero else low))), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        inside = [value for value in found if low <= value <= high]
        if len(inside) <= MOST_TICKS:
            return inside
    return inside[:: -(-len(inside) // MOST_TICKS)]


def _round(low: float, high: float) -> list[float]:
    rough = (high - low) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    distance = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
    first = math.ceil(low / distance)
    return [number * distance for number in range(first, math.floor(high / distance) + 1)]
