"""The findings, grouped by rule: what was found, where, how grave it is, what to do; each place leads to its matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from weightaudit.records import SEVERITIES, Finding, ScanResult, Severity
from weightaudit.report.columns import number_text
from weightaudit.report.html.anchors import Places, anchor
from weightaudit.report.html.encoding import encoded
from weightaudit.report.markup import count, section, setting, shown
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


def grouped(report: ScanResult) -> list[Group]:
    """The report's findings by rule, most severe first, then in the order in which they are told."""
    places = Places(report.rows)
    groups: dict[tuple[str, Severity, str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.id, finding.severity, finding.title, finding.advice), []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: SEVERITIES.index(item[0][1]))
    return [Group(*key, tuple(found), tuple(map(places.of, found))) for key, found in ordered]


def findings_section(report: ScanResult, groups: list[Group]) -> str:
    """Nothing where there are none."""
    return section("findings", "Findings", *(_article(report, number, group) for number, group in enumerate(groups)))


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
        "groups": [{"id": group.id, "severity": group.severity, "title": group.title} for group in groups],
        "group": [number for number, _, _ in told],
        "row": [row for _, row, _ in told],
        "detail": encoded([detail for _, _, detail in told]),
    }


def _article(report: ScanResult, number: int, group: Group) -> str:
    thresholds = {finding.threshold for finding in group.findings}
    shared = thresholds.pop() if len(thresholds) == 1 else None
    limit = f" · threshold {setting(shared)}" if shared is not None else ""
    place = partial(_place, report, with_threshold=shared is None)
    listed = list(zip(group.findings, group.rows, strict=True))[: OPEN + FOLDED]
    items = [place(finding, rows) for finding, rows in listed]
    beyond = len(group.findings) - len(items)
    rest = items[OPEN:]
    them = "it" if len(set().union(*group.rows)) == 1 else "them"
    table = f'<a href="#rule-{number}">show {them} in the table</a>' if any(group.rows) else ""
    more = f"<p>{count(beyond)} further {'place is' if beyond == 1 else 'places are'} not listed here.</p>"
    fold = (
        f"<details><summary>and {count(len(group.findings) - OPEN)} more</summary>"
        f'<ul class="where">{"".join(rest)}</ul>{more if beyond else ""}</details>'
        if rest
        else ""
    )
    return (
        f'<article class="banner finding {SEVERITY_CSS[group.severity]}" id="finding-{number}" tabindex="-1">'
        f'<h3><span class="severity">{shown(group.severity)}</span> {shown(group.title)}</h3>'
        f'<p class="rule">{plural(len(group.findings), "place")} · rule <code>{shown(group.id)}</code>{limit}'
        + (f'<span class="way"> · {table}</span>' if table else "")
        + "</p>"
        + f'<ul class="where">{"".join(items[:OPEN])}</ul>{fold}'
        + (f'<p class="advice">{shown(group.advice, 1000)}</p>' if group.advice else "")
        + "</article>"
    )


def _place(report: ScanResult, finding: Finding, rows: tuple[int, ...], *, with_threshold: bool) -> str:
    words = finding.place.words(BETWEEN)
    where = shown(words or "the whole model")
    further = ""
    if len(rows) == 1:
        where = _link(rows[0], where)
    elif rows:
        links = [_link(row, shown(report.rows[row].matrix.place.words(BETWEEN))) for row in rows[:LISTED]]
        further = f" {', '.join(links)}" + _beyond(len(rows), "more matrix", "more matrices")
        where = where if words else "several places"
    elif finding.tensors:
        named = " ".join(f"<code>{shown(name)}</code>" for name in finding.tensors[:LISTED])
        further = f" {named}" + _beyond(len(finding.tensors), "more tensor", "more tensors")
    numbers = ["known to the baseline"] if finding.baseline_state == "unchanged" else []
    if finding.value is not None:
        numbers.append(f"value {number_text(finding.value, digits=4)}")
    if with_threshold and finding.threshold is not None:
        numbers.append(f"threshold {setting(finding.threshold)}")
    return (
        f"<li><b>{where}</b>"
        + (f" <span>{shown(finding.detail, 1000)}</span>" if finding.detail else "")
        + (f' <span class="value">· {", ".join(numbers)}</span>' if numbers else "")
        + f"{further}</li>"
    )


def _link(row: int, words: str) -> str:
    return f'<a href="{anchor(row)}">{words}</a>'


def _beyond(number: int, one: str, many: str) -> str:
    return f" and {plural(number - LISTED, one, many)}" if number > LISTED else ""
