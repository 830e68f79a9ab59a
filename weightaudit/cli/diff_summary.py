"""The summary of a difference on the terminal: the verdict, what was done, to which models, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from weightaudit.cli.finding_lines import finding_lines
from weightaudit.cli.layout import Column, cut, table, wrapped
from weightaudit.cli.summary import LONGEST_ROLE, called
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.records import DiffResult
from weightaudit.text import plural

LONGEST_NAME = 48
"""Columns of a changed matrix's place, or of a vector's name."""
MOST_ROLES = 24
"""Lines of the table: towers and mixtures have more roles."""
IDENTITY = 8
"""Columns of what a model is to the others."""


def diff_text(report: DiffResult, look: TerminalStyle = TerminalStyle()) -> str:  # noqa: B008  # frozen
    """What a person wants to see first."""
    from weightaudit.report.diff.verdict import headline, story, verdict_line

    silent = replace(report, notes=())  # which are told before
    said = (verdict_line(report), headline(report), *story(silent))
    parts = [
        [line for sentence in said for line in wrapped(sentence, look)],
        list(_identities(report, look)),
        list(finding_lines(report.findings, look)),
        _roles(report, look),
        _largest(report, look),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _identities(report: DiffResult, look: TerminalStyle) -> Iterator[str]:
    beside = [("parent" if one.adapter is None else "adapter", one) for one in report.parents]
    room = look.width - IDENTITY
    for word, identity in (("base", report.base), ("derived", report.derived), *beside):
        yield f"{word:<{IDENTITY}}{cut(called(identity, room), room, look)}"


def _roles(report: DiffResult, look: TerminalStyle) -> list[str]:
    """A line a role, then one for the vectors."""
    from weightaudit.report.diff.verdict import by_role

    roles = by_role(report)
    columns = (
        Column("role", "name", longest=LONGEST_ROLE),
        Column("n", right=True),
        Column("relative size"),
        Column("what was done", "text"),
    )
    lines = [(role.name, f"{len(role.changes):,}", role.relative, role.kinds) for role in roles[:MOST_ROLES]]
    more = [f"and {plural(len(roles) - MOST_ROLES, 'more role')}; --csv has all"] if len(roles) > MOST_ROLES else []
    return [*table(columns, lines, look), *more] if lines else []


def _largest(report: DiffResult, look: TerminalStyle) -> list[str]:
    """The matrices and vectors that changed most."""
    from weightaudit.report.diff.verdict import change_name, kind_words, largest, relative_words

    columns = (
        Column("changed most", "name", longest=LONGEST_NAME),
        Column("relative size"),
        Column("what was done", "text"),
    )
    lines = [(change_name(one), relative_words(one.relative), kind_words(one)) for one in largest(report)]
    return table(columns, lines, look) if lines else []
