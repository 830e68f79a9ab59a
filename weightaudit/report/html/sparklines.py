"""Small multiples: one card a role, its stable rank and its Frobenius norm by layer as drawings that need no script.

All cards share one scale a number, so that roles can be compared at a glance. A line has the role's colour and dash;
the band behind it is the certified interval, or the range of a layer's experts around their median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from weightaudit.records import LayerRow, ScanResult, Spectrum
from weightaudit.report.by_layer import LayerPoint, layer_points, role_groups
from weightaudit.report.columns import Rounding
from weightaudit.report.hypertext import NOTHING, Html, each, html, join
from weightaudit.report.markup import count, figure
from weightaudit.report.style import role_styles
from weightaudit.text import plural

WIDTH, HEIGHT, MARGIN = 100.0, 40.0, 3.0
"""Of a drawing, in units of its own: it stretches to its card."""
LOG_FROM = 10.0
"""Largest over smallest at which a scale that starts at zero would hide the smaller."""
DASHES = {"dash": "5 3", "dot": "1.5 3", "dashdot": "6 3 1.5 3", "longdash": "9 3"}


@dataclass(frozen=True)
class Scale:
    """Of one number in all drawings: from its least value, or from zero where it is not logarithmic."""

    low: float
    high: float
    logarithmic: bool

    def height(self, value: float) -> float:
        """Of ``value`` in a drawing, from its top. Zeros lie at the bottom."""
        if not self.logarithmic:
            share = value / self.high
        elif self.high > self.low:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = 0.5
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)


@dataclass(frozen=True)
class Number:
    """What a drawing shows of a spectrum."""

    name: str
    logarithmic: bool
    upper: Callable[[Spectrum], float]
    lower: Callable[[Spectrum], float]
    rounding: tuple[Rounding, Rounding]


NUMBERS = (
    Number("stable rank", True, lambda s: s.stable_rank, lambda s: s.stable_rank_lower, ("down", "up")),
    Number("Frobenius norm", False, lambda s: s.frobenius_norm, lambda s: s.frobenius_norm, ("nearest", "nearest")),
)


def sparklines(report: ScanResult) -> Html:
    """The cards; nothing for a model without layers."""
    groups = role_groups(report.rows)
    points = {
        number: {key: layer_points(rows, number.upper, number.lower) for key, rows in groups.items()}
        for number in NUMBERS
    }
    scales = {number: _scale(by_key.values(), logarithmic=number.logarithmic) for number, by_key in points.items()}
    styles = role_styles(row.matrix.role for row in report.rows)
    index = {role: i for i, role in enumerate(styles)}
    cards = []
    for (stack, role), rows in groups.items():
        drawn = (
            _drawing(f"{stack} {role}".strip(), number, points[number][stack, role], scales[number], styles[role].dash)
            for number in NUMBERS
        )
        cards.append(
            html(
                '<div class="profile role-{i}"><h4><span><span class="role role-{i}">{role}</span>{stack}</span> '
                "<small>{counted}</small></h4>{drawn}</div>",
                i=index[role],
                role=role,
                stack=html(" <small>{}</small>", stack) if stack else NOTHING,
                counted=_counted(rows),
                drawn=join("", drawn),
            )
        )
    if not cards:
        return NOTHING
    return html(
        '<h3 id="profiles">Each role over the layers</h3><p class="hint">All cards share their scales: '
        '{}. Dots mark the smallest and the largest.</p><div class="profiles">{}</div>',
        _words(scales),
        join("", cards),
    )


def _counted(rows: Sequence[LayerRow]) -> str:
    layers = len({row.matrix.layer for row in rows})
    experts = len({row.matrix.expert for row in rows})
    return plural(layers, "layer") + (f" × {count(experts)} experts" if experts > 1 else "")


def _scale(lines: Iterable[list[LayerPoint]], *, logarithmic: bool) -> Scale:
    ends = [end for points in lines for point in points for end in (point.low, point.high)]
    positive = [end for end in ends if math.isfinite(end) and end > 0]
    low, high = (min(positive), max(positive)) if positive else (1.0, 1.0)
    return Scale(low, high, logarithmic or high > LOG_FROM * low)


def _words(scales: dict[Number, Scale]) -> str:
    """What the scales are, for whom they are drawn."""
    logarithmic = [f"{number.name}s" for number, scale in scales.items() if scale.logarithmic]
    from_zero = [f"{number.name}s" for number, scale in scales.items() if not scale.logarithmic]
    return " and ".join(logarithmic) + " on a logarithmic scale" + "".join(f", {name} from zero" for name in from_zero)


def _drawing(name: str, number: Number, points: list[LayerPoint], scale: Scale, dash: str) -> Html:
    known = [point for point in points if math.isfinite(point.middle)]
    unknown = plural(len(points) - len(known), "layer") + " unknown" if len(known) < len(points) else ""
    if not known:
        return html('<p class="range">{}: no number is finite</p>', number.name)
    least, most = min(known, key=lambda point: point.middle), max(known, key=lambda point: point.middle)
    low, high = figure(least.middle, 3, number.rounding[0]), figure(most.middle, 3, number.rounding[1])
    said = f"{number.name[0].upper()}{number.name[1:]} of {name} by layer: from {low} at layer {least.layer} to {high} "
    said += f"at layer {most.layer}" + (f", {unknown}" if unknown else "")
    first, span = points[0].layer, points[-1].layer - points[0].layer

    def at(point: LayerPoint, value: float) -> Html:
        across = MARGIN + (WIDTH - 2 * MARGIN) * (point.layer - first) / span if span else WIDTH / 2
        return html("{:.4g} {:.4g}", across, scale.height(value))

    runs = [list(run) for finite, run in groupby(points, lambda point: math.isfinite(point.middle)) if finite]
    band = each(
        "M{}Z",
        (
            join("L", [*(at(d, d.high) for d in run), *(at(d, d.low) for d in reversed(run))])
            for run in runs
            if any(d.high > d.low for d in run)
        ),
    )
    line = each("M{}", (join("L", (at(d, d.middle) for d in run)) for run in runs if len(run) > 1))
    alone = (run[0] for run in runs if len(run) == 1)
    dots = each("M{}h0", (at(d, d.middle) for d in dict.fromkeys([least, most, *alone])))
    if dash in DASHES:
        stroke = html('<path class="line" d="{}" stroke-dasharray="{}"/>', line, DASHES[dash])
    else:
        stroke = html('<path class="line" d="{}"/>', line)
    return html(
        '<div class="drawn"><svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        'aria-label="{said}">{band}{stroke}<path class="dots" d="{dots}"/></svg>'
        '<p class="range">{name} <span><b>{low}</b>{high}</span>{unknown}</p></div>',
        WIDTH=WIDTH,
        HEIGHT=HEIGHT,
        said=said,
        band=html('<path class="band" d="{}"/>', band) if band else NOTHING,
        stroke=stroke if line else NOTHING,
        dots=dots,
        name=number.name,
        low=low,
        high=html(" – <b>{}</b>", high) if high != low else NOTHING,
        unknown=html(' <em class="unknown">{}</em>', unknown) if unknown else NOTHING,
    )
