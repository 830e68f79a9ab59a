"""The summary of a merge check on the terminal: which model suffers, what to try first, what that is worth."""

from __future__ import annotations

from collections.abc import Iterator

from weightaudit.cli.diff_summary import MOST_LINES, told_table
from weightaudit.cli.summary import LONGEST_ROLE, WIDTH, called, cut, finding_lines, wrapped
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.records import MergeCheckResult

LONGEST_NAME = 24
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
        [cut(line, WIDTH, look) for line in _identities(report)],
        list(finding_lines(report.findings, look, MOST_LINES)),
        _models(report, look),
        _meeting_most(report, look),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _identities(report: MergeCheckResult) -> Iterator[str]:
    named = [("model", one) for one in report.models]
    if report.base is not None:
        named.insert(0, ("base", report.base))
    if report.merged is not None:
        named.append(("merge", report.merged))
    for word, identity in named:
        yield f"{word:<8}{called(identity, WIDTH - 8)}"


def _models(report: MergeCheckResult, look: TerminalStyle) -> list[str]:
    from weightaudit.report.merge.words import standing_cells

    lines = [
        (cut(name, LONGEST_NAME, look), *map(look.text, standing_cells(standing)))
        for name, standing in zip(report.names, report.summary.standings, strict=True)
    ]
    return told_table([("model", "D", "retention", "contamination", "lift", "D, first layer"), *lines], look)


def _meeting_most(report: MergeCheckResult, look: TerminalStyle) -> list[str]:
    from weightaudit.report.merge.words import figure, meeting_most

    lines = [
        (
            cut(line.meeting.place.words(), LONGEST_NAME, look),
            look.text(figure(line.effect.contamination)),
            cut(report.names[line.victim], LONGEST_ROLE, look),
        )
        for line in meeting_most(report)[:5]
    ]
    return told_table([("updates meet most", "contamination", "on the inputs of"), *lines], look) if lines else []
