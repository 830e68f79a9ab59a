"""Where an axis of a page's chart has its ticks, and what stands there: whole numbers, and numbers of any size."""

from __future__ import annotations

import math
from collections.abc import Iterable

from weightaudit.paper.chart_layout import Ticks

EACH = 13
"""Whole numbers on an axis up to which each has its tick."""
MOST, MOST_LONG = 7, 4
"""Ticks on any other axis, about; stretches between such as have four digits."""
_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
_APART = 1e-9
"""Of the numbers, what two on an axis differ by at least; nearer ones are one."""
_PLAIN = (1e-3, 1e5)
"""Numbers from the first up to the second are written out, others as powers of ten."""


def whole_ticks(low: float, high: float) -> Ticks:
    """Whole numbers from ``low`` to ``high``: each where they are few, else round ones."""
    first, last = math.floor(low), math.ceil(high)
    step = 1
    if last - first >= EACH:
        rough = (last - first) / (MOST if last < 1000 else MOST_LONG)
        power = 10 ** math.floor(math.log10(rough))
        step = next(round(size * power) for size in (1, 2, 5, 10) if size * power >= rough)
    places = [float(place) for place in range(math.ceil(first / step) * step, last + 1, step)]
    return Ticks(tuple(places), tuple(f"{place:,.0f}" for place in places))


def log_ticks(low: float, high: float) -> Ticks:
    """Round numbers around the positive ``low`` and ``high``: powers of ten where there are three, finer ones else, and
    evenly spaced ones where these are too few.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in _STEPS:
        every = [step * 10.0**power for power in powers for step in steps]
        places = [place for place in every if 0.97 * low <= place <= 1.03 * high]
        if sum(low * (1 - 1e-9) <= place <= high * (1 + 1e-9) for place in places) > 2:
            return thinned(places)
    if high <= low * (1 + _APART):
        return thinned([low])
    places = _even(low, high)
    texts = (tuple(size_text(place, digits) for place in places) for digits in range(3, 16))
    return Ticks(tuple(places), next(labels for labels in texts if len(set(labels)) == len(places)))


def _even(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within: of the largest of which there are three."""
    power = math.floor(math.log10(high - low))
    while True:
        for digit in (5, 2, 1):
            distance = digit * 10.0**power
            first, last = math.ceil(low / distance - 1e-9), math.floor(high / distance + 1e-9)
            if last - first > 1:
                return [number * distance for number in range(first, last + 1)]
        power -= 1


def thinned(places: Iterable[float]) -> Ticks:
    """Ticks at each of ``places``, or at every second, third, … where they are many."""
    kept = list(places)
    kept = kept[:: math.ceil(len(kept) / MOST) or 1]
    return Ticks(tuple(kept), tuple(map(size_text, kept)))


def size_text(value: float, digits: int = 3) -> str:
    """A positive number of any size, in plotly's markup: 0.001, 20,000, 10⁻⁶."""
    if _PLAIN[0] * (1 - 1e-9) <= value < _PLAIN[1]:
        plain = f"{value:,.{digits}g}"
        return f"{value:,.0f}" if "e" in plain else plain
    power = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**power:.{digits}g}"
    return ("" if factor == "1" else f"{factor}·") + f"10<sup>{power}</sup>".replace("-", "−")
