"""What the page of a series says."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

from weightaudit.records import Finding, Series, SeriesRow, told_together
from weightaudit.report.columns import number_text
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, link, shown
from weightaudit.report.markup import definitions, details, figure, navigation, section, table
from weightaudit.report.series.heat import heat_map, legend
from weightaudit.report.series.lines import NUMBERS, Number, chart, labelled, points_of
from weightaudit.report.series.scales import axis_of_steps, axis_of_values
from weightaudit.report.style import role_styles
from weightaudit.text import plural
from weightaudit.version import __version__

Role = tuple[str, str]
MOST_SKIPPED = 100
"""Skipped measurements that are listed; the CSV has all."""
OPEN_ROLES = 12
"""Roles that are drawn at once; those of a model with more are folded."""
RANGE = (
    "The line is the median over the layers, the band goes from the least to the largest; each chart has its own, "
    "logarithmic scale."
)


def body(series: Series, beside: Sequence[str]) -> Html:
    """Everything between the page's body tags; ``beside`` are files that lie beside the page."""
    label = labelled(series.labels)
    groups = role_groups(series)
    numbers = [_number_section(series, groups, number, label) for number in NUMBERS]
    links = [("found", "Findings"), *((number.column, number.name) for number in NUMBERS)]
    links += [("heat", "Layers by steps"), ("numbers", "First and last"), ("reading", "How to read it")]
    return join(
        "\n",
        filter(
            None,
            (
                html(
                    '<header><p class="eyebrow">weightaudit · over the steps of training</p><h1>{}</h1>{}{}</header>',
                    series.name,
                    definitions("facts", _facts(series, label, beside)),
                    navigation(links),
                ),
                html("<main>"),
                _findings(series, label),
                *numbers,
                _heat(series, groups, label),
                _numbers(series, groups, label),
                _skipped(series, label),
                _reading(series),
                html("</main><footer>Made by weightaudit {}. This page runs no script.</footer>", __version__),
            ),
        ),
    )


def role_groups(series: Series) -> dict[Role, list[SeriesRow]]:
    """Matrices by (stack, role), in the order that a report has them; those outside the layers come last."""
    groups: dict[Role, list[SeriesRow]] = defaultdict(list)
    for row in sorted(series.matrices, key=lambda row: (row.place.layer is None, row.place.order)):
        groups[row.place.stack, row.place.role].append(row)
    order = list(role_styles(role for _, role in groups))
    first = {key: at for at, key in enumerate(groups)}
    return dict(sorted(groups.items(), key=lambda one: (one[0][0], order.index(one[0][1]), first[one[0]])))


def _facts(series: Series, label: Callable[[int], str], beside: Sequence[str]) -> list[tuple[str, str]]:
    steps, told = series.steps, series.told
    each_step = {(row.place.key, row.due) for row in series.matrices}
    facts = [
        ("Measured", f"{plural(len(steps), 'time')}, from step {label(steps[0])} to {label(steps[-1])}"),
        ("Matrices", plural(len({key for key, _ in each_step}), "matrix", "matrices")),
    ]
    if "training_seconds" in told and "measuring_seconds" in told:
        share = told["measuring_seconds"] / told["training_seconds"] if told["training_seconds"] else 0.0
        bound = f"; the budget was {100 * told['budget']:.3g} %" if "budget" in told else "; there was no budget"
        spent, trained = (number_text(told[name], digits=3) for name in ("measuring_seconds", "training_seconds"))
        words = f"{spent} s in {trained} s of training: {100 * share:.3g} %"
        facts.append(("Cost", words + bound))
    return [*facts, ("Files", join(", ", (link(name, name) for name in beside)))]


def _findings(series: Series, label: Callable[[int], str]) -> Html:
    notes = each('<p class="hint">{}</p>', (shown(note, 1000) for note in series.notes))
    if not series.findings:
        return section("found", "Findings", html("<p>The rules for series found nothing.</p>"), notes)
    found = told_together(zip(series.found_at, series.findings, strict=True))
    items = [_finding(step, one, label) for step, one in found]
    return section("found", "Findings", *items, notes)


def _finding(step: int, found: Finding, label: Callable[[int], str]) -> Html:
    return html(
        '<aside class="banner finding {}"><h3><span class="severity">{}</span> Step {}: {}{}</h3><p>{}</p>'
        '<p class="rule">{}</p><p class="advice">{}</p></aside>',
        "bad" if found.severity == "error" else "warn",
        found.severity,
        label(step),
        found.title,
        html(" ({})", found.place.words()) if found.place.words() else NOTHING,
        shown(found.detail, 1000),
        f"rule {found.id}",
        shown(found.advice, 1000),
    )


def _number_section(
    series: Series, groups: dict[Role, list[SeriesRow]], number: Number, label: Callable[[int], str]
) -> Html:
    steps, index = series.steps, _index(groups)
    axis = axis_of_steps(steps)
    cards = []
    for (stack, role), rows in groups.items():
        marks = [
            step
            for step, found in zip(series.found_at, series.findings, strict=True)
            if not found.role or (found.stack, found.role) == (stack, role)
        ]
        within = [step for step in marks if steps[0] <= step <= steps[-1]]
        drawn = chart(f"{stack} {role}".strip(), number, points_of(rows, number, steps), axis, within, label)
        cards.append(_card(stack, role, index[role], rows, drawn))
    first, rest = cards[:OPEN_ROLES], cards[OPEN_ROLES:]
    return section(
        number.column,
        number.name,
        html('<p class="hint">{} {}</p><div class="over">{}</div>', number.said, RANGE, join("", first)),
        details(f"{len(rest)} more roles", html('<div class="over">{}</div>', join("", rest))) if rest else NOTHING,
    )


def _index(groups: dict[Role, list[SeriesRow]]) -> dict[str, int]:
    return {role: at for at, role in enumerate(role_styles(role for _, role in groups))}


def _card(stack: str, role: str, index: int, rows: Sequence[SeriesRow], drawn: Html) -> Html:
    layers = len({row.place.layer for row in rows if row.place.layer is not None})
    return html(
        '<div class="step-card role-{}"><h3><span class="role role-{}">{}</span>{} <small>{}</small></h3>{}</div>',
        index,
        index,
        role,
        html(" <small>{}</small>", stack) if stack else NOTHING,
        plural(layers, "layer") if layers else "outside the layers",
        drawn,
    )


def _heat(series: Series, groups: dict[Role, list[SeriesRow]], label: Callable[[int], str]) -> Html:
    layered = {key: [row for row in rows if row.place.layer is not None] for key, rows in groups.items()}
    ranks = [row.stable_rank for rows in layered.values() for row in rows if math.isfinite(row.stable_rank)]
    if not ranks:
        return NOTHING
    scale, index = axis_of_values(ranks), _index(groups)
    maps = [
        _card(stack, role, index[role], rows, heat_map(f"{stack} {role}".strip(), rows, series.steps, scale, label))
        for (stack, role), rows in layered.items()
        if rows
    ]
    return section(
        "heat",
        "Stable rank, layers by steps",
        html(
            '<p class="hint">A line is a layer, a column a measurement, from left to right; all maps share one '
            "logarithmic scale. Red: not finite, or all zero.</p>{}"
            '<div class="over">{}</div>',
            legend(scale),
            join("", maps),
        ),
    )


def _numbers(series: Series, groups: dict[Role, list[SeriesRow]], label: Callable[[int], str]) -> Html:
    lines = []
    for (stack, role), rows in groups.items():
        for number in NUMBERS:
            known = [point for point in points_of(rows, number, series.steps) if math.isfinite(point.middle)]
            if not known:
                continue
            least = min(known, key=lambda point: point.middle)
            most = max(known, key=lambda point: point.middle)
            lines.append(
                [
                    *(f"{stack} {role}".strip(), number.name, figure(known[0].middle, 4), figure(known[-1].middle, 4)),
                    *(figure(least.middle, 4), label(least.step), figure(most.middle, 4), label(most.step)),
                ]
            )
    heads = ["Role", "Number", "First", "Last", "Least", "at step", "Largest", "at step"]
    said = html('<p class="hint">Medians over the layers.</p>')
    return section("numbers", "First and last", said, table("First and last", heads, lines, numeric=range(2, 8)))


def _skipped(series: Series, label: Callable[[int], str]) -> Html:
    lines = [[label(row.step), shown(row.note, 1000)] for row in series.rows if row.kind == "skipped"]
    if not lines:
        return NOTHING
    more = html("<p>The CSV has the other {}.</p>", len(lines) - MOST_SKIPPED) if len(lines) > MOST_SKIPPED else NOTHING
    return section(
        "skipped",
        "Measurements that were skipped",
        details(plural(len(lines), "measurement"), table("Skipped", ["Step", "Why"], lines[:MOST_SKIPPED]), more),
    )


def _reading(series: Series) -> Html:
    spread = [row.step - row.due for row in series.matrices]
    longest = max(spread, default=0)
    said = (
        f" A measurement was spread over up to {plural(longest, 'step')} (a median of {median(spread):g}), so that "
        "its matrices are of different steps; it stands at the step at which it was due."
        if longest
        else ""
    )
    return section(
        "reading",
        "How to read it",
        html(
            "<p>Stable ranks fall in training: a random matrix has about a quarter of its side, a trained one far "
            "less, and most of the fall comes early. What is no part of that is told as a finding: a role that acts "
            "in nearly one direction, a sudden fall, weights that grow beyond measure, and weights that are NaN or "
            "infinite.{}</p>",
            said,
        ),
    )
