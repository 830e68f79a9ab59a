"""The findings, grouped by rule: what was found, where, how grave it is, what to do; each place leads to its matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from weightaudit.records import SEVERITIES, Finding, Reported, Severity
from weightaudit.report.columns import number_text
from weightaudit.report.html.anchors import Placed, Places, anchors, placed, row_name, view
from weightaudit.report.html.encoding import encoded
from weightaudit.report.hypertext import NOTHING, Html, html, join, link, shown
from weightaudit.report.markup import count, details, section, setting
from weightaudit.report.page_constants import BETWEEN, SEVERITY_CSS
from weightaudit.text import plural

OPEN = 5
"""Places of a group that are open."""
FOLDED = 60
"""Further places in a group's fold. The table has what lies beyond, so that thousands do not bloat the page."""
MARKS = 100_000
"""Marks of findings on rows of the table, most severe first; a hundred findings may be about each of very many rows."""
LISTED = 4
"""Matrices, or tensors, named one by one of a finding about several."""


@dataclass(frozen=True)
class Group:
    """The findings of one rule. ``rows`` says for each of ``findings`` which rows of the report it is about."""

    id: str
    severity: Severity
    title: str
    advice: str
    findings: tuple[Finding, ...]
    rows: tuple[tuple[int, ...], ...]


def grouped(report: Reported) -> list[Group]:
    """The report's findings by rule, most severe first, then in the order in which they are told."""
    places = Places(placed(report))
    groups: dict[tuple[str, Severity, str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.id, finding.severity, finding.title, finding.advice), []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: SEVERITIES.index(item[0][1]))
    return [Group(*key, tuple(found), tuple(map(places.of, found))) for key, found in ordered]


def findings_section(report: Reported, groups: list[Group]) -> Html:
    """Nothing where there are none."""
    rows = placed(report)
    ways = anchors(rows)
    articles = (_article(rows, ways, number, group, rule) for number, (group, rule) in enumerate(_named(groups)))
    return section("findings", "Findings", *articles)


def marked(groups: Sequence[Group]) -> dict[int, list[int]]:
    """Row of the report → the groups, by number, that have a finding on it, the most severe first."""
    found: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        for row in dict.fromkeys(row for rows in group.rows for row in rows):
            found.setdefault(row, []).append(number)
    return found


def _named(groups: Sequence[Group]) -> list[tuple[Group, str]]:
    """Each group with what an address calls it: its rule, and its number where several are of that rule."""
    often = Counter(group.id for group in groups)
    return [(group, group.id if often[group.id] == 1 else f"{group.id}-{i}") for i, group in enumerate(groups)]


def findings_payload(groups: list[Group]) -> dict[str, Any]:
    """What the table says of the findings on a matrix: at most `MARKS` items, one for every row of a finding."""
    every = (
        (number, row, finding.detail)
        for number, group in enumerate(groups)
        for finding, rows in zip(group.findings, group.rows, strict=True)
        for row in rows
    )
    told = list(islice(every, MARKS))
    return {
        "groups": [{"id": rule, "severity": group.severity, "title": group.title} for group, rule in _named(groups)],
        "group": [number for number, _, _ in told],
        "row": [row for _, row, _ in told],
        "detail": encoded([detail for _, _, detail in told]),
    }


def _article(every: Sequence[Placed], ways: Sequence[str], number: int, group: Group, rule: str) -> Html:
    thresholds = {finding.threshold for finding in group.findings}
    shared = thresholds.pop() if len(thresholds) == 1 else None
    limit = f" · threshold {setting(shared)}" if shared is not None else ""
    place = partial(_place, every, ways, with_threshold=shared is None)
    listed = list(zip(group.findings, group.rows, strict=True))[: OPEN + FOLDED]
    items = [html("<li>{}</li>", place(finding, rows)) for finding, rows in listed]
    them = "it" if len(set().union(*group.rows)) == 1 else "them"
    return html(
        '<article class="banner finding {css}" id="finding-{number}" tabindex="-1">'
        '<h3><span class="severity">{severity}</span> {title}</h3>'
        '<p class="rule">{places} · rule <code>{rule}</code>{limit}{way}</p>'
        '<ul class="where">{open}</ul>{fold}{advice}</article>',
        css=SEVERITY_CSS[group.severity],
        number=number,
        severity=group.severity,
        title=group.title,
        places=plural(len(group.findings), "place"),
        rule=group.id,
        limit=limit,
        way=html('<span class="way"> · {}</span>', link(view(rule=rule), f"show {them} in the table"))
        if any(group.rows)
        else NOTHING,
        open=join("", items[:OPEN]),
        fold=_fold(items[OPEN:], len(group.findings) - OPEN),
        advice=html('<p class="advice">{}</p>', shown(group.advice, 1000)) if group.advice else NOTHING,
    )


def _fold(items: list[Html], places: int) -> Html:
    """The further ``places`` of a group, of which ``items`` are listed."""
    if not items:
        return NOTHING
    beyond = places - len(items)
    more = f"{count(beyond)} further {'place is' if beyond == 1 else 'places are'} not listed here."
    return details(
        f"and {count(places)} more",
        html('<ul class="where">{}</ul>', join("", items)),
        html("<p>{}</p>", more) if beyond else NOTHING,
    )


def _place(
    every: Sequence[Placed], ways: Sequence[str], finding: Finding, rows: tuple[int, ...], *, with_threshold: bool
) -> Html:
    words = finding.place.words(BETWEEN)
    where: str = words or "the whole model"
    further = NOTHING
    if len(rows) == 1:
        where = link(ways[rows[0]], words or row_name(every[rows[0]], BETWEEN))  # a vector has a name and no place
    elif rows:
        links = join(", ", (link(ways[row], row_name(every[row], BETWEEN)) for row in rows[:LISTED]))
        further = html(" {}{}", links, _beyond(len(rows), "more matrix", "more matrices"))
        where = where if words else "several places"
    elif finding.tensors:
        named = join(" ", (html("<code>{}</code>", name) for name in finding.tensors[:LISTED]))
        further = html(" {}{}", named, _beyond(len(finding.tensors), "more tensor", "more tensors"))
    numbers = ["known to the baseline"] if finding.baseline_state == "unchanged" else []
    if finding.value is not None:
        numbers.append(f"value {number_text(finding.value, digits=4)}")
    if with_threshold and finding.threshold is not None:
        numbers.append(f"threshold {setting(finding.threshold)}")
    return html(
        "<b>{}</b>{}{}{}",
        where,
        html(" <span>{}</span>", shown(finding.detail, 1000)) if finding.detail else NOTHING,
        html(' <span class="value">· {}</span>', ", ".join(numbers)) if numbers else NOTHING,
        further,
    )


def _beyond(number: int, one: str, many: str) -> str:
    return f" and {plural(number - LISTED, one, many)}" if number > LISTED else ""
