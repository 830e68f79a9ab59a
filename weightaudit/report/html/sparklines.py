"""Small multiples: one card a role, its stable rank and its Frobenius norm by layer as drawings that need no script.

All cards share one scale a number, so that roles can be compared at a glance: that of the charts by layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from weightaudit.records import LayerRow, ScanResult
from weightaudit.report.by_layer import LayerPoint, layer_points, no_number, role_groups
from weightaudit.report.html.anchors import anchors, layer_view
from weightaudit.report.html.card_drawing import CardNumber, CardSeries, Mark, card_drawing
from weightaudit.report.html.findings import Group, marked
from weightaudit.report.hypertext import NOTHING, Html, each, html, join
from weightaudit.report.markup import count, scale_choice
from weightaudit.report.scales import Scale, scale_of
from weightaudit.report.style import LINES, role_styles
from weightaudit.text import listed, plural

_FROBENIUS, _STABLE_RANK = LINES
NUMBERS = (CardNumber(_STABLE_RANK, ("down", "up")), CardNumber(_FROBENIUS, ("nearest", "nearest")))


def sparklines(report: ScanResult, groups: list[Group]) -> Html:
    """The cards; nothing for a model without layers."""
    by_role = role_groups(report.rows)
    if not by_role:
        return NOTHING
    layered = [row for rows in by_role.values() for row in rows]
    scales = {number: scale_of(layered, number.figure) for number in NUMBERS}
    styles = role_styles(row.matrix.role for row in report.rows)
    index = {role: i for i, role in enumerate(styles)}
    number_of = {id(row): i for i, row in enumerate(report.rows)}
    ways = anchors([row.matrix for row in report.rows])
    found = marked(groups)
    cards = []
    for (stack, role), rows in by_role.items():
        members: dict[int, list[int]] = {}
        for row in rows:
            members.setdefault(row.matrix.layer or 0, []).append(number_of[id(row)])
        course = CardSeries(
            f"{stack} {role}".strip(),
            {layer: mark for layer, some in members.items() if (mark := _mark(report, groups, found, some))},
            {
                layer: ways[some[0]] if len(some) == 1 else layer_view(report.rows[some[0]].matrix.place)
                for layer, some in members.items()
            },
            styles[role].dash,
        )
        drawn = (card_drawing(course, number, _points(rows, number), scales[number]) for number in NUMBERS)
        cards.append(
            html(
                '<div class="profile role-{i}" data-row="{row}"><h4><span><span class="role role-{i}">{role}</span>'
                "{stack}</span> <small>{counted}</small></h4>{drawn}</div>",
                i=index[role],
                row=number_of[id(rows[0])],
                role=role,
                stack=html(" <small>{}</small>", stack) if stack else NOTHING,
                counted=_counted(rows),
                drawn=join("", drawn),
            )
        )
    switches = (scale_choice(number.figure.id, number.figure.axis, scales[number].name) for number in NUMBERS)
    return html(
        '<div class="over-layers"><h3 id="profiles">Each role over the layers</h3><div class="switches">{}</div></div>'
        '<p class="hint">All cards share their scales: {}. Dots mark the smallest and the largest, rings a finding; '
        'a dashed line stands where a layer has no number. <span class="way">A click leads to the matrix.</span></p>'
        '<div class="profiles">{}</div>',
        join("", switches),
        _words(scales),
        join("", cards),
    )


def _points(rows: Sequence[LayerRow], number: CardNumber) -> list[LayerPoint]:
    figure = number.figure
    return layer_points(rows, attrgetter(figure.column), attrgetter(figure.lower or figure.column))


def _mark(
    report: ScanResult, groups: Sequence[Group], found: Mapping[int, list[int]], members: Sequence[int]
) -> Mark | None:
    """What a drawing marks of the rows ``members`` of one layer; None where nothing is amiss."""
    numbers = sorted({number for i in members for number in found.get(i, ())})
    unknown = listed(dict.fromkeys(filter(None, (no_number(report.rows[i].spectrum) for i in members))))
    if not numbers and not unknown:
        return None
    return Mark(groups[numbers[0]].severity if numbers else None, tuple(groups[n].title for n in numbers), unknown)


def _counted(rows: Sequence[LayerRow]) -> str:
    layers = len({row.matrix.layer for row in rows})
    experts = len({row.matrix.expert for row in rows})
    return plural(layers, "layer") + (f" × {count(experts)} experts" if experts > 1 else "")


def _words(scales: dict[CardNumber, Scale]) -> Html:
    """What the scales are, as the script changes them."""
    kinds = (("linear", "from zero"), ("log", "on a logarithmic scale"))
    return join(
        ", ",
        (
            html(
                '<span data-figure="{}">{}</span>',
                number.figure.id,
                each(
                    '<span class="scaled {}" data-scale="{}">{}s {}</span>',
                    (("" if kind == scale.name else "off", kind, number.figure.axis, words) for kind, words in kinds),
                ),
            )
            for number, scale in scales.items()
        ),
    )
