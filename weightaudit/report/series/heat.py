"""Layers by steps: the stable rank of each matrix as a shade, one map a role, without a script."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

from weightaudit.records import SeriesRow
from weightaudit.report.hypertext import Html, each, html
from weightaudit.report.markup import figure
from weightaudit.report.series.scales import Axis

WIDTH, ROW, LEFT, BOTTOM = 360.0, 9.0, 50.0, 20.0
"""Of a map, the height of a layer, and margins, in CSS pixels where it is not made narrower."""
SHADES = 12
MOST_STEPS, MOST_LAYERS = 120, 160
"""Columns and lines that a map has; where there are more, evenly chosen ones are drawn."""


def heat_map(
    title: str, rows: Sequence[SeriesRow], steps: Sequence[int], scale: Axis, label: Callable[[int], str]
) -> Html:
    """The map of a role's ``rows``: dark is a small stable rank. Cells whose number is not finite are red."""
    ranks: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in rows:
        if row.place.layer is not None:
            ranks[row.place.layer, row.due].append(row.stable_rank)
    layers = chosen(sorted({layer for layer, _ in ranks}), MOST_LAYERS)
    columns = chosen(list(steps), MOST_STEPS)
    width, tall = (WIDTH - LEFT - 10) / len(columns), max(ROW, 40.0 / max(1, len(layers)))
    height = tall * len(layers)
    shades: dict[int, list[Html]] = defaultdict(list)
    unknown: list[Html] = []
    for line, layer in enumerate(layers):
        for place, step in enumerate(columns):
            if (layer, step) not in ranks:
                continue
            finite = [rank for rank in ranks[layer, step] if math.isfinite(rank)]
            cell = html("M{:.2f} {:.2f}h{:.2f}v{:.2f}h{:.2f}z", LEFT + place * width, line * tall, width, tall, -width)
            if finite:
                shades[shade(scale.at(median(finite)))].append(cell)
            else:
                unknown.append(cell)
    ends = dict.fromkeys((0, len(layers) - 1))
    return html(
        '<svg viewBox="0 0 {:g} {:.1f}" role="img" aria-label="Stable rank of {} by layer and step, from {} to {}">'
        '{}<path class="unknown-cell" d="{}"/>{}{}</svg>',
        WIDTH,
        height + BOTTOM,
        title,
        figure(scale.low, 3),
        figure(scale.high, 3),
        each('<path class="shade-{}" d="{}"/>', ((n, each("{}", cells)) for n, cells in sorted(shades.items()))),
        each("{}", unknown),
        each(
            '<text class="y" x="{:g}" y="{:.1f}">layer {}</text>',
            ((LEFT - 6, at * tall + tall / 2 + 4, layers[at]) for at in ends),
        ),
        each(
            '<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>',
            (
                ("start", LEFT, height + 14, label(columns[0])),
                ("y", WIDTH - 10, height + 14, label(columns[-1]) if len(columns) > 1 else ""),
            ),
        ),
    )


def shade(share: float) -> int:
    """Which of the shades a share of the way from the least to the largest has: 0 is the darkest."""
    return min(SHADES - 1, int(SHADES * share))


def chosen(values: Sequence[int], most: int) -> list[int]:
    """``values``, or so many of them, evenly, both ends included."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def legend(scale: Axis) -> Html:
    """What the shades mean."""
    return html(
        '<p class="legend">{} <svg viewBox="0 0 {:g} 10" role="img" aria-label="dark to light">{}</svg> {}</p>',
        figure(scale.low, 3),
        10.0 * SHADES,
        each('<path class="shade-{}" d="M{:g} 0h10v10h-10z"/>', ((n, 10.0 * n) for n in range(SHADES))),
        figure(scale.high, 3),
    )
