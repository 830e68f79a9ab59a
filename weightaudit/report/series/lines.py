"""A number of a role over the steps of training: the median over the layers as a line, their range as a band."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from weightaudit.records import SeriesRow
from weightaudit.report.columns import number_text
from weightaudit.report.hypertext import NOTHING, Html, each, html, join
from weightaudit.report.markup import figure
from weightaudit.report.series.scales import Axis, axis_of_values

WIDTH, HEIGHT = 360.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 10.0, 8.0, 24.0
"""Of a drawing, and its margins, in CSS pixels where it is not made narrower."""
LEAST_DIGITS = 3
"""Of what stands at a tick."""
MOST_DOTS = 60
"""Measurements that have a dot each, which tells its number."""


@dataclass(frozen=True)
class Number:
    """What is drawn of a matrix: its column, its name, and a sentence."""

    column: str
    name: str
    said: str

    def of(self, row: SeriesRow) -> float:
        """Its value of a row."""
        value: float = getattr(row, self.column)
        return value


NUMBERS = (
    Number("stable_rank", "Stable rank", "In how many directions a matrix acts; the upper end of its interval."),
    Number("frobenius_norm", "Frobenius norm", "How large all entries are together."),
    Number("spectral_norm", "Spectral norm", "How much a matrix can stretch a vector; the lower end of its interval."),
)


@dataclass(frozen=True)
class Point:
    """Over the layers at a step; NaN where no matrix has a number that is finite and above zero."""

    step: int
    middle: float
    low: float
    high: float


def points_of(rows: Sequence[SeriesRow], number: Number, steps: Sequence[int]) -> list[Point]:
    """One for each of ``steps``."""
    by_step: dict[int, list[float]] = {step: [] for step in steps}
    for row in rows:
        value = number.of(row)
        if math.isfinite(value) and value > 0:
            by_step[row.due].append(value)
    unknown = (math.nan, math.nan, math.nan)
    return [Point(s, *((median(v), min(v), max(v)) if v else unknown)) for s, v in by_step.items()]


def chart(
    title: str, number: Number, points: Sequence[Point], steps: Axis, marks: Sequence[int], label: Callable[[int], str]
) -> Html:
    """The drawing, with ``marks`` at steps where something was found; a sentence where there is nothing to draw."""
    known = [point for point in points if math.isfinite(point.middle)]
    if not known:
        return html('<p class="range">{}: no number is finite and above zero</p>', number.name)
    values = axis_of_values([end for point in known for end in (point.low, point.high)])

    def across(step: int) -> float:
        return LEFT + steps.at(step) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - values.at(value) * (HEIGHT - TOP - BOTTOM)

    def at(step: int, value: float) -> Html:
        return html("{:.1f} {:.1f}", across(step), down(value))

    runs = [list(run) for finite, run in groupby(points, lambda point: math.isfinite(point.middle)) if finite]
    band = each(
        "M{}Z",
        (join("L", [*(at(p.step, p.high) for p in run), *(at(p.step, p.low) for p in reversed(run))]) for run in runs),
    )
    line = each("M{}", (join("L", (at(p.step, p.middle) for p in run)) for run in runs))
    first, last = known[0], known[-1]
    said = (
        f"{number.name} of {title} over steps: from {figure(first.middle, 3)} at {label(first.step)} to "
        f"{figure(last.middle, 3)} at {label(last.step)}, median over the layers"
    )
    return html(
        '<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}{}{}<path class="band" d="{}"/>'
        '<path class="line" d="{}"/>{}</svg>',
        WIDTH,
        HEIGHT,
        said,
        _value_ticks(values, down),
        _step_ticks(steps, across, label),
        _marks(marks, across, label),
        band,
        line,
        _dots(known, across, down, label),
    )


def _value_ticks(values: Axis, down: Callable[[float], float]) -> Html:
    ticks = values.ticks()
    return each(
        '<path class="grid" d="M{:g} {:.1f}H{:g}"/><text class="y" x="{:g}" y="{:.1f}">{}</text>',
        (
            (LEFT, down(tick), WIDTH - RIGHT, LEFT - 6, down(tick) + 4, text)
            for tick, text in zip(ticks, tick_texts(ticks), strict=True)
        ),
    )


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """What stands at ticks of positive values, in order: the digits that tell the two nearest apart, three at least."""
    nearest = min((b - a for a, b in pairwise(ticks)), default=ticks[0])
    digits = math.floor(math.log10(ticks[-1])) - math.floor(math.log10(nearest) + 1e-9) + 1
    return [number_text(tick, digits=max(digits, LEAST_DIGITS)) for tick in ticks]


def _step_ticks(steps: Axis, across: Callable[[int], float], label: Callable[[int], str]) -> Html:
    shown: list[tuple[float, float, float, float, str]] = []
    for tick in dict.fromkeys(int(tick) for tick in steps.ticks()):
        place = across(tick)
        if not shown or place - shown[-1][0] >= 8.0 * len(label(tick)):
            shown.append((place, HEIGHT - BOTTOM, min(place, WIDTH - 14), HEIGHT - 8, label(tick)))
    return each('<path class="grid" d="M{:.1f} {:g}v4"/><text class="x" x="{:.1f}" y="{:g}">{}</text>', shown)


def _marks(marks: Sequence[int], across: Callable[[int], float], label: Callable[[int], str]) -> Html:
    return each(
        '<path class="mark" d="M{:.1f} {:g}V{:g}"><title>Found at {}</title></path>',
        ((across(step), TOP, HEIGHT - BOTTOM, label(step)) for step in dict.fromkeys(marks)),
    )


def _dots(
    known: Sequence[Point],
    across: Callable[[int], float],
    down: Callable[[float], float],
    label: Callable[[int], str],
) -> Html:
    if len(known) > MOST_DOTS:
        return NOTHING
    return each(
        '<circle cx="{:.1f}" cy="{:.1f}" r="2.5"><title>{}: {}, layers from {} to {}</title></circle>',
        (
            (
                *(across(p.step), down(p.middle), label(p.step), figure(p.middle, 4)),
                *(figure(p.low, 4), figure(p.high, 4)),
            )
            for p in known
        ),
    )


Labels = Mapping[int, str]


def labelled(labels: Labels) -> Callable[[int], str]:
    """What a step is called: its label, or its number."""
    return lambda step: labels.get(step, f"{step:,}")
