"""The line at the top that says what the rules found: never more than they looked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from weightaudit.records import SEVERITIES, ScanResult, Verdict
from weightaudit.report.html.findings import Group
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, shown
from weightaudit.report.markup import count, details
from weightaudit.report.page_constants import BETWEEN, SEVERITY_CSS
from weightaudit.report.verdict import partial_words, qualifications, severity_count
from weightaudit.text import listed, plural

LEADING = 4
"""Groups named in the line, where more than one is left."""

_CSS = {"errors": "bad", "warnings": "warn", "clean": "fine", "unchecked": "unchecked"}


def verdict_line(report: ScanResult, groups: list[Group]) -> Html:
    """The verdict in words, the rules that were checked, and the way to the most severe findings."""
    return verdict_block(report.verdict, _words(report), groups, _qualified(report), report.rules)


def verdict_block(verdict: Verdict, words: str, groups: list[Group], said: Html, rules: Sequence[str]) -> Html:
    """The same for any result, with what else is ``said`` of it."""
    named = groups if len(groups) <= LEADING + 1 else groups[:LEADING]
    leading = each(
        '<li class="{}"><a href="#finding-{}">{}</a> <span>{}</span></li>',
        ((SEVERITY_CSS[group.severity], i, group.title, _where(group)) for i, group in enumerate(named)),
    )
    further = len(groups) - len(named)
    more = html('<li><a href="#findings">and {} more rules</a></li>', further) if further else NOTHING
    return html(
        '<div class="verdict {}" role="group" aria-label="Verdict"><p><strong>{}</strong></p>{}{}{}</div>',
        _CSS[verdict],
        shown(words, 1000),
        html('<ul class="leading">{}{}</ul>', leading, more) if groups else NOTHING,
        said,
        _checked(rules),
    )


def _words(report: ScanResult) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    told = [severity_count(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    found = listed(told)
    if report.verdict == "unchecked":
        return "No rules were checked" + (f"; {found} came with the scan" if found else "")
    if report.verdict == "clean":
        return f"No error and no warning{f', {found}' if found else ''}"
    return found


def _qualified(report: ScanResult) -> Html:
    """What is to be known of the verdict."""
    said = [f"Partial: {partial_words(report)}."] if report.partial else []
    return each("<p>{}</p>", (shown(text, 1000) for text in [*said, *qualifications(report)]))


def _where(group: Group) -> str:
    """The place of a group's only finding, or of how many matrices it is, or how many findings there are."""
    if len(group.findings) > 1:
        return f"{count(len(group.findings))} places"
    (one,), (rows,) = group.findings, group.rows
    if len(rows) > 1:
        return plural(len(rows), "matrix", "matrices")
    return one.place.words(BETWEEN) or (listed(one.tensors, 1) if rows else "")  # a vector has no place


def _checked(checked: Sequence[str]) -> Html:
    """What was checked, and what that does not say."""
    if not checked:
        return html("<p>The weights were measured, not judged: what is odd about them is for the reader to see.</p>")
    rules = join(", ", (html("<code>{}</code>", rule) for rule in checked))
    return html(
        "{}<p>The rules know certain signs of damage, and no others: they do not say how well the model works.</p>",
        details(f"{plural(len(checked), 'rule')} checked", html("<p>{}.</p>", rules)),
    )
