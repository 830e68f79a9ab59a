"""The summary of a difference on the terminal: the verdict, what was done, to which models, and what was found."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from weightaudit.cli.summary import LONGEST_ROLE, WIDTH, aligned, called, cut, finding_lines, wrapped
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.records import DiffResult
from weightaudit.text import plural, printable

LONGEST_NAME = 34
"""Columns of a changed matrix's place, or of a vector's name."""
MOST_ROLES = 24
"""Lines of the table: towers and mixtures have more roles."""
MOST_LINES = 8
"""Lines of one finding: there are few of a difference, and each is about many matrices."""


def diff_text(report: DiffResult, look: TerminalStyle = TerminalStyle()) -> str:  # noqa: B008  # frozen
    """What a person wants to see first."""
    from weightaudit.report.diff.verdict import headline, story, verdict_line

    silent = replace(report, notes=())  # which are told before
    said = (verdict_line(report), headline(report), *story(silent))
    parts = [
        [line for sentence in said for line in wrapped(sentence, look)],
        [cut(line, WIDTH, look) for line in _identities(report)],
        list(finding_lines(report.findings, look, MOST_LINES)),
        _roles(report, look),
        _largest(report, look),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _identities(report: DiffResult) -> Iterator[str]:
    beside = [("parent" if one.adapter is None else "adapter", one) for one in report.parents]
    for word, identity in (("base", report.base), ("derived", report.derived), *beside):
        yield f"{word:<8}{called(identity, WIDTH - 8)}"


def _roles(report: DiffResult, look: TerminalStyle) -> list[str]:
    """A line a role, then one for the vectors."""
    from weightaudit.report.diff.verdict import by_role

    roles = by_role(report)
    lines = [
        (cut(role.name, LONGEST_ROLE, look), f"{len(role.changes):,}", look.text(role.relative), role.kinds)
        for role in roles[:MOST_ROLES]
    ]
    more = [f"and {plural(len(roles) - MOST_ROLES, 'more role')}; --csv has all"] if len(roles) > MOST_ROLES else []
    return [*told_table([("role", "n", "relative size", "what was done"), *lines], look), *more] if lines else []


def _largest(report: DiffResult, look: TerminalStyle) -> list[str]:
    """The matrices and vectors that changed most."""
    from weightaudit.report.diff.verdict import change_name, kind_words, largest, relative_words

    lines = [
        (cut(change_name(one), LONGEST_NAME, look), look.text(relative_words(one.relative)), kind_words(one))
        for one in largest(report)
    ]
    return told_table([("changed most", "relative size", "what was done"), *lines], look) if lines else []


def told_table(lines: Sequence[Sequence[str]], look: TerminalStyle) -> list[str]:
    """Aligned; what the last column has no room for goes on below it."""
    told = []
    for head, line in zip(aligned([line[:-1] for line in lines]), lines, strict=True):
        first, *others = textwrap.wrap(look.text(printable(line[-1], 1000)), WIDTH - len(head) - 2) or [""]
        told += [f"{head}  {first}".rstrip(), *(" " * (len(head) + 2) + other for other in others)]
    return told
