"""A result at a glance: a line for a prompt, and a card for a notebook, which needs neither style sheet nor script."""

from __future__ import annotations

import math
from collections.abc import Iterator

from weightaudit.records import DiffResult, Finding, MergeCheckResult, Reported, ScanResult
from weightaudit.report.by_layer import medians_by_layer, role_groups
from weightaudit.report.columns import number_text
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, shown
from weightaudit.report.merge.trust import TRUST
from weightaudit.report.style import INK, role_styles
from weightaudit.report.verdict import located, severities, verdict_words
from weightaudit.text import listed, plural, printable

MOST_FINDINGS = 8
"""Findings in a card."""
WIDTH, HEIGHT, MARGIN = 160.0, 28.0, 3.0
"""Of a profile, in pixels."""
MAX_SENTENCE_CHARS = 300
"""Characters of a sentence."""
MAX_PROFILE_CHARS = 100_000
_SEVERITY = {"error": INK["light"]["bad"], "warning": "#b26a00", "info": "#6b7480"}


def line(result: Reported) -> str:
    """What it is of, how much of it there is, and its verdict: ``gpt2: 148 matrices, 1 warning``.

    Names are printable, and nothing is longer than a line.
    """
    found = severities(result.findings)
    verdict = listed(found) if found else result.verdict
    return f"{title(result)}: {_size(result)}, {verdict}"


def title(result: Reported) -> str:
    """The models that it is of."""
    if isinstance(result, ScanResult):
        return printable(result.identity.name, 100)
    if isinstance(result, DiffResult):
        return f"{printable(result.base.name, 60)} → {printable(result.derived.name, 60)}"
    return " + ".join(printable(name, 40) for name in result.names)


def _size(result: Reported) -> str:
    if isinstance(result, ScanResult):
        partial = f" (partial: {listed(result.partial)})" if result.partial else ""
        return f"{plural(len(result.rows), 'matrix', 'matrices')}{partial}"
    if isinstance(result, DiffResult):
        kinds = (f"{number} {kind}" for kind, number in result.summary.kinds.items())
        return f"{plural(result.summary.matrices, 'matrix', 'matrices')} ({listed(kinds, 4)})"
    return f"{plural(len(result.meetings), 'matrix', 'matrices')} that they changed"


def card(result: Reported) -> str:
    """The verdict, the most severe findings with what to do, and what else a glance should show, as HTML."""
    partial = listed(result.partial) if result.partial else ""
    verdict = verdict_words(result.verdict, result.findings, result.rules, partial)
    more = len(result.findings) - MOST_FINDINGS
    return html(
        '<div style="font:13px/1.45 system-ui,sans-serif;max-width:900px">'
        '<div style="font-size:15px;font-weight:600">{}</div><div>{} · {}</div>{}{}{}</div>',
        title(result),
        _size(result),
        shown(verdict, MAX_SENTENCE_CHARS),
        join("", map(_finding, result.findings[:MOST_FINDINGS])),
        html("<div>and {} more: findings_frame has all.</div>", more) if more > 0 else NOTHING,
        _profiles(result) if isinstance(result, ScanResult) else _standings(result),
    )


def _finding(finding: Finding) -> Html:
    return html(
        '<div style="margin-top:6px;padding-left:8px;border-left:3px solid {}"><b>{}</b> {}'
        '<div style="opacity:.75">{}</div></div>',
        _SEVERITY[finding.severity],
        finding.severity,
        shown(located(finding), MAX_SENTENCE_CHARS),
        shown(finding.advice, MAX_SENTENCE_CHARS),
    )


def _profiles(result: ScanResult) -> Html:
    """The stable rank of each role over the layers, on one logarithmic scale."""
    lines = {
        key: medians_by_layer(
            (row.matrix.layer or 0, row.spectrum.stable_rank) for row in rows if row.spectrum.stable_rank > 0
        )
        for key, rows in role_groups(result.rows).items()
    }
    lines = {key: points for key, points in lines.items() if points}
    if not lines:
        return NOTHING
    ends = [value for points in lines.values() for value in points.values()]
    low, high = math.log(min(ends)), math.log(max(ends))
    last = max(max(points) for points in lines.values())
    styles = role_styles(role for _, role in lines)

    def drawn() -> Iterator[Html]:
        for (stack, role), points in lines.items():
            places = [
                f"{MARGIN + (WIDTH - 2 * MARGIN) * layer / (last or 1):.1f},"
                f"{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (math.log(value) - low) / ((high - low) or 1.0):.1f}"
                for layer, value in points.items()
            ]
            least, most = (number_text(value, digits=3) for value in (min(points.values()), max(points.values())))
            yield html(
                '<div style="display:inline-block;margin:8px 14px 0 0"><div>{} <span style="opacity:.75">{}</span>'
                "</div>"
                '<svg width="{:g}" height="{:g}" role="img" aria-label="stable rank of {} by layer, {} to {}">'
                '<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/></svg></div>',
                f"{stack} {role}".strip(),
                least if least == most else f"{least} – {most}",
                WIDTH,
                HEIGHT,
                role,
                least,
                most,
                shown(" ".join(places), MAX_PROFILE_CHARS),
                styles[role].light,
            )

    return html('<div style="margin-top:8px;opacity:.75">Stable rank by layer</div>{}', join("", drawn()))


def _standings(result: DiffResult | MergeCheckResult) -> Html:
    if isinstance(result, DiffResult):
        kinds = ((kind, number) for kind, number in result.summary.kinds.items())
        return html('<table style="margin-top:8px">{}</table>', each("<tr><td>{}</td><td>{}</td></tr>", kinds))
    rows = (
        (name, *(number_text(value, digits=3) for value in (one.retention, one.contamination, one.disturbance)))
        for name, one in zip(result.names, result.summary.standings, strict=False)
    )
    return html(
        '<table style="margin-top:8px"><tr><th></th><th>ρ</th><th>κ</th><th>D</th></tr>{}</table>'
        '<div style="opacity:.75">{}</div>',
        each("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        shown(TRUST, 4 * MAX_SENTENCE_CHARS),
    )
