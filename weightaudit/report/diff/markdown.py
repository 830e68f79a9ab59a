"""A difference as Markdown of GitHub's flavour: what was done, the findings, a table of the roles and one of the
largest changes. Names are made neutral as those of a scan are.
"""

from __future__ import annotations

from typing import BinaryIO

from weightaudit.records import DiffResult
from weightaudit.report.diff.verdict import (
    by_role,
    change_name,
    headline,
    kind_words,
    largest,
    relative_words,
    story,
    verdict_line,
)
from weightaudit.report.markdown import MARK, maker, model_words, neutral, rules_told, table
from weightaudit.text import plural

MOST_ROLES = 200


def write_markdown(result: DiffResult, file: BinaryIO) -> None:
    """UTF-8, ended by a newline."""
    file.write((markdown(result) + "\n").encode("utf-8", "backslashreplace"))


def markdown(result: DiffResult) -> str:
    """The whole difference, as text."""
    parts = [
        MARK,
        f"## What {model_words(result.derived)} changed of {model_words(result.base)}",
        f"**{neutral(headline(result))}**",
        "\n".join(f"- {neutral(text)}" for text in (verdict_line(result), *story(result))),
        *rules_told(result.findings),
        _roles(result),
        _largest(result),
        f"{plural(len(result.changes), 'matrix or vector', 'matrices and vectors')} compared by "
        f"{maker(result.versions)}.",
    ]
    return "\n\n".join(part for part in parts if part)


def _roles(result: DiffResult) -> str:
    roles = by_role(result)[:MOST_ROLES]
    lines = [(neutral(one.name), f"{len(one.changes):,}", one.relative, neutral(one.kinds)) for one in roles]
    return table(("role", "n", "relative size", "what was done"), lines, numeric=(1,)) if lines else ""


def _largest(result: DiffResult) -> str:
    lines = [
        (neutral(change_name(one)), relative_words(one.relative), neutral(kind_words(one))) for one in largest(result)
    ]
    return table(("largest changes", "relative size", "what was done"), lines) if lines else ""
