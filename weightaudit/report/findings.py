"""The findings, grouped by rule: what was found, where, how grave it is, what to do; each place leads to its matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from weightaudit.records import SEVERITIES, Finding, Severity
from weightaudit.report.encoding import encoded
from weightaudit.report.markup import count, figure, plural, section, setting, shown
from weightaudit.report.places import Places, anchor, place_words

if TYPE_CHECKING:
    from weightaudit.report.scan_report import ScanReport

OPEN = 5
"""Places of a group that are open."""
FOLDED = 60
"""Further places in a group's fold. The table has what lies beyond, so that thousands do not bloat the page."""
TENSORS = 3
"""Tensor names of a finding without a row of its own."""

CSS = {"error": "bad", "warning": "warn", "info": "info"}
_NAMES = {"error": ("error", "errors"), "warning": ("warning", "warnings"), "info": ("remark", "remarks")}


@dataclass(frozen=True)
class Group:
    """The findings of one rule. ``rows`` says for each of ``findings`` which row it is about, None for none."""

    id: str
    severity: Severity
    title: str
    advice: str
    findings: tuple[Finding, ...]
    rows: tuple[int | None, ...]


def grouped(report: ScanReport) -> list[Group]:
    """The report's findings by rule, gravest first, then in the order in which they are told."""
    places = Places(report.rows)
    groups: dict[tuple[str, Severity, str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.id, finding.severity, finding.title, finding.advice), []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: SEVERITIES.index(item[0][1]))
    return [Group(*key, tuple(found), tuple(map(places.row, found))) for key, found in ordered]


def severity_words(severity: Severity, number: int) -> str:
    """Example:
    >>> severity_words("info", 2)
    '2 remarks'
    """
    return plural(number, *_NAMES[severity])


def findings_section(groups: list[Group]) -> str:
    """Nothing where there are none."""
    return section("findings", "Findings", *(_article(number, group) for number, group in enumerate(groups)))


def findings_payload(groups: list[Group]) -> dict[str, Any]:
    """What the table says of the findings on a matrix: lists with one item a finding that has a row."""
    told = [
        (number, row, finding.detail)
        for number, group in enumerate(groups)
        for finding, row in zip(group.findings, group.rows, strict=True)
        if row is not None
    ]
    return {
        "groups": [{"id": group.id, "severity": group.severity, "title": group.title} for group in groups],
        "group": [number for number, _, _ in told],
        "row": [row for _, row, _ in told],
        "detail": encoded([detail for _, _, detail in told]),
    }


def _article(number: int, group: Group) -> str:
    thresholds = {finding.threshold for finding in group.findings}
    shared = thresholds.pop() if len(thresholds) == 1 else None
    held = f" · held against {setting(shared)}" if shared is not None else ""
    place = partial(_place, with_threshold=shared is None)
    items = [place(finding, row) for finding, row in zip(group.findings, group.rows, strict=True)][: OPEN + FOLDED]
    beyond = len(group.findings) - len(items)
    rest = items[OPEN:]
    # Those in the fold are none that the table lacks: the filter shows every matrix of the group.
    table = f'<a href="#rule-{number}">all in the table</a>' if any(row is not None for row in group.rows) else ""
    more = f"<p>{count(beyond)} further {'place is' if beyond == 1 else 'places are'} not listed here.</p>"
    fold = (
        f"<details><summary>and {count(len(group.findings) - OPEN)} more</summary>"
        f'<ul class="where">{"".join(rest)}</ul>{more if beyond else ""}</details>'
        if rest
        else ""
    )
    return (
        f'<article class="banner finding {CSS[group.severity]}" id="finding-{number}" tabindex="-1">'
        f'<h3><span class="severity">{shown(group.severity)}</span> {shown(group.title)}</h3>'
        f'<p class="rule">{plural(len(group.findings), "place")} · rule <code>{shown(group.id)}</code>{held}'
        + (f" · {table}" if table else "")
        + "</p>"
        + f'<ul class="where">{"".join(items[:OPEN])}</ul>{fold}'
        + (f'<p class="advice">{shown(group.advice, 1000)}</p>' if group.advice else "")
        + "</article>"
    )


def _place(finding: Finding, row: int | None, *, with_threshold: bool) -> str:
    words = place_words(finding.stack, finding.layer, finding.expert, finding.role)
    where = shown(words or "the whole model")
    tensors = ""
    if row is not None:
        where = f'<a href="{anchor(row)}">{where}</a>'
    elif finding.tensors:
        named = " ".join(f"<code>{shown(name)}</code>" for name in finding.tensors[:TENSORS])
        beyond = len(finding.tensors) - TENSORS
        tensors = f" {named}" + (f" and {plural(beyond, 'more tensor')}" if beyond > 0 else "")
    numbers = []
    if finding.value is not None:
        numbers.append(f"value {figure(finding.value, 5)}")
    if with_threshold and finding.threshold is not None:
        numbers.append(f"threshold {setting(finding.threshold)}")
    return (
        f"<li>{where}"
        + (f" <span>{shown(finding.detail, 1000)}</span>" if finding.detail else "")
        + (f' <span class="value">{", ".join(numbers)}</span>' if numbers else "")
        + tensors
        + "</li>"
    )
