"""The summary of a merge check on the terminal: which model suffers, what to try first, what that is worth."""

from __future__ import annotations

from collections.abc import Iterator

from weightaudit.cli.diff_summary import IDENTITY
from weightaudit.cli.finding_lines import finding_lines
from weightaudit.cli.layout import Column, cut, table, wrapped
from weightaudit.cli.summary import called
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.records import MergeCheckResult

LONGEST_NAME = 40
"""Columns of a model's name, or of a place."""


def merge_check_text(report: MergeCheckResult, look: TerminalStyle = TerminalStyle()) -> str:  # noqa: B008  # frozen
    """What a person wants to see first."""
    from dataclasses import replace

    from weightaudit.report.merge.trust import TRUST
    from weightaudit.report.merge.words import headline, story, verdict_line

    silent = replace(report, notes=())  # which are told before
    said = (verdict_line(report), headline(report), *story(silent))
    parts = [
        [line for sentence in said for line in wrapped(sentence, look)],
        wrapped(TRUST, look),
        list(_identities(report, look)),
        list(finding_lines(report.findings, look)),
        _models(report, look),
        _meeting_most(report, look),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _identities(report: MergeCheckResult, look: TerminalStyle) -> Iterator[str]:
    named = [("model", one) for one in report.models]
    if report.base is not None:
        named.insert(0, ("base", report.base))
    if report.merged is not None:
        named.append(("merge", report.merged))
    room = look.width - IDENTITY
    for word, identity in named:
        yield f"{word:<{IDENTITY}}{cut(called(identity, room), room, look)}"


def _models(report: MergeCheckResult, look: TerminalStyle) -> list[str]:
    from weightaudit.report.merge.words import standing_cells

    columns = (
        Column("model", "name", longest=LONGEST_NAME),
        *map(Column, ("D", "retention", "contamination", "lift", "D, first layer")),
    )
    lines = [
        (name, *standing_cells(standing)) for name, standing in zip(report.names, report.summary.standings, strict=True)
    ]
    return table(columns, lines, look)


def _meeting_most(report: MergeCheckResult, look: TerminalStyle) -> list[str]:
    from weightaudit.report.merge.words import figure, meeting_most

    columns = (
        Column("updates meet most", "name", longest=LONGEST_NAME),
        Column("contamination"),
        Column("on the inputs of", "name", longest=LONGEST_NAME),
    )
    lines = [
        (line.meeting.place.words(), figure(line.effect.contamination), report.names[line.victim])
        for line in meeting_most(report)[:5]
    ]
    return table(columns, lines, look) if lines else []
