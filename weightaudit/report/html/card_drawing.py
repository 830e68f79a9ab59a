"""One number of one role over the layers, as a drawing that needs no script: on both scales, of which one is seen.

The band behind the line is the certified interval, or the range of a layer's experts around their median. Rings mark
layers with a finding; an upright dashed line stands where a layer has no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from weightaudit.records import Severity
from weightaudit.report.by_layer import LayerPoint
from weightaudit.report.columns import Rounding
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, link
from weightaudit.report.markup import figure
from weightaudit.report.page_constants import SEVERITY_CSS
from weightaudit.report.scales import Scale
from weightaudit.report.style import LineFigure
from weightaudit.text import listed, plural

WIDTH, HEIGHT, MARGIN = 100.0, 40.0, 3.0
"""Of a drawing, in units of its own: it stretches to its card."""
VISIBLE = 0.5
"""Height from which a band is drawn: a certified interval is mostly thinner than its line."""
DASHES = {"dash": "5 3", "dot": "1.5 3", "dashdot": "6 3 1.5 3", "longdash": "9 3"}
NAMED = 3
"""Layers without a number that are named one by one."""


@dataclass(frozen=True)
class Mark:
    """What a layer of one role has: the most severe of its findings, the titles of all, and why it has no number."""

    severity: Severity | None = None
    titles: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class CardSeries:
    """One role over the layers: the ``marks`` of those that have any, the ``ways`` to the matrices of each layer, and
    its line's dash.
    """

    name: str
    marks: Mapping[int, Mark]
    ways: Mapping[int, str]
    dash: str


@dataclass(frozen=True)
class CardNumber:
    """What a drawing shows: a line of the charts, and how its least and its largest value are rounded."""

    figure: LineFigure
    rounding: tuple[Rounding, Rounding]


def card_drawing(series: CardSeries, number: CardNumber, points: Sequence[LayerPoint], scale: Scale) -> Html:
    """The drawing, with its least and largest number as links to their matrices."""
    axis = number.figure.axis
    known = [point for point in points if math.isfinite(point.middle)]
    unknown = plural(len(points) - len(known), "layer") + " unknown" if len(known) < len(points) else ""
    if not known:
        why = listed(dict.fromkeys(mark.unknown for mark in series.marks.values() if mark.unknown))
        return html('<p class="range">{}: no number is finite{}</p>', axis, f" ({why})" if why else "")
    least, most = min(known, key=lambda point: point.middle), max(known, key=lambda point: point.middle)
    low, high = figure(least.middle, 3, number.rounding[0]), figure(most.middle, 3, number.rounding[1])
    said = f"{axis[0].upper()}{axis[1:]} of {series.name} by layer: from {low} at layer {least.layer} to "
    said += f"{high} at layer {most.layer}" + (f", {unknown}" if unknown else "")
    drawings = each(
        '<div class="scaled {}" data-scale="{}">{}</div>',
        (
            ("" if one.name == scale.name else "off", one.name, _svg(series, points, one, {least, most}, said))
            for one in (replace(scale, logarithmic=False), replace(scale, logarithmic=True))
        ),
    )
    return html(
        '<div class="drawn" data-figure="{id}">{drawings}'
        '<p class="range">{name} <span>{low}{high}</span>{unknown}</p></div>',
        id=number.figure.id,
        drawings=drawings,
        name=axis,
        low=_end(series, least, low),
        high=html(" – {}", _end(series, most, high)) if high != low else NOTHING,
        unknown=_unknown(series, [point.layer for point in points if not math.isfinite(point.middle)]),
    )


def _end(series: CardSeries, point: LayerPoint, number: str) -> Html:
    return link(series.ways[point.layer], html('<b title="layer {}">{}</b>', point.layer, number))


def _unknown(series: CardSeries, layers: list[int]) -> Html:
    """Which layers have no number, and why; they lead to their matrices."""
    if not layers:
        return NOTHING
    if len(layers) > NAMED:
        return html(' <em class="unknown">{} unknown</em>', plural(len(layers), "layer"))
    words = (
        link(series.ways[layer], f"layer {layer}: {series.marks[layer].unknown or 'unknown'}")
        if layer in series.marks
        else html("layer {}: unknown", layer)
        for layer in layers
    )
    return html(' <em class="unknown">{}</em>', join(", ", words))


def _svg(series: CardSeries, points: Sequence[LayerPoint], scale: Scale, ends: set[LayerPoint], said: str) -> Html:
    first, span = points[0].layer, points[-1].layer - points[0].layer

    def across(layer: int) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (layer - first) / span if span else WIDTH / 2

    def at(point: LayerPoint, value: float) -> Html:
        return html("{:.4g} {:.4g}", across(point.layer), HEIGHT - MARGIN - scale.share(value) * (HEIGHT - 2 * MARGIN))

    runs = [list(run) for finite, run in groupby(points, lambda point: math.isfinite(point.middle)) if finite]
    band = each(
        "M{}Z",
        (
            join("L", [*(at(d, d.high) for d in run), *(at(d, d.low) for d in reversed(run))])
            for run in runs
            if any(HEIGHT * (scale.share(d.high) - scale.share(d.low)) > VISIBLE for d in run)
        ),
    )
    line = each("M{}", (join("L", (at(d, d.middle) for d in run)) for run in runs if len(run) > 1))
    dotted = ends.union(run[0] for run in runs if len(run) == 1)
    dots = each("M{}h0", (at(d, d.middle) for d in points if d in dotted))
    rings, gaps = [], []
    for point in points:
        mark = series.marks.get(point.layer)
        title = html("<title>{}</title>", _title(point.layer, mark)) if mark else NOTHING
        if not math.isfinite(point.middle):
            gaps.append(html('<path class="gap" d="M{:.4g} 0V{:g}">{}</path>', across(point.layer), HEIGHT, title))
        elif mark and mark.severity:
            ring = (SEVERITY_CSS[mark.severity], at(point, point.middle), title)
            rings.append(html('<path class="found {0}" d="M{1}h0">{2}</path><path class="eye" d="M{1}h0"/>', *ring))
    if series.dash in DASHES:
        stroke = html('<path class="line" d="{}" stroke-dasharray="{}"/>', line, DASHES[series.dash])
    else:
        stroke = html('<path class="line" d="{}"/>', line)
    return html(
        '<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{said}">'
        '{gaps}{band}{stroke}<path class="dots" d="{dots}"/>{rings}</svg>',
        WIDTH=WIDTH,
        HEIGHT=HEIGHT,
        said=said,
        gaps=join("", gaps),
        band=html('<path class="band" d="{}"/>', band) if band else NOTHING,
        stroke=stroke if line else NOTHING,
        dots=dots,
        rings=join("", rings),
    )


def _title(layer: int, mark: Mark) -> str:
    return f"layer {layer}: " + "; ".join((*([mark.unknown] if mark.unknown else []), *mark.titles))
