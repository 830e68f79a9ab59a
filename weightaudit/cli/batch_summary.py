"""How a batch ends on the terminal: the verdict of each model, worst first."""

from __future__ import annotations

from collections.abc import Sequence

from weightaudit.batches.verdicts import ModelVerdict
from weightaudit.cli.layout import Column, table
from weightaudit.cli.terminal import TerminalStyle
from weightaudit.text import listed, plural, printable

MOST_MODELS = 20
LONGEST_TITLE = 40
"""Columns of a model's name."""
LONGEST_REASON = 200
"""Characters of why a model failed; its log has all."""


def verdict_table(verdicts: Sequence[ModelVerdict], look: TerminalStyle) -> str:
    """The worst of ``verdicts``, which come so, a line each, and how many more there are; "" where there are none."""
    if not verdicts:
        return ""
    columns = (
        Column("verdict", coloured=True),
        Column("model", "name", longest=LONGEST_TITLE),
        Column("findings", right=True),
        Column("first finding", "text"),
    )
    shown = verdicts[:MOST_MODELS]
    lines = table(columns, [_cells(one) for one in shown], look)
    if len(verdicts) > len(shown):
        rest = verdicts[len(shown) :]
        kinds = dict.fromkeys(one.standing for one in rest)
        counts = listed(f"{sum(one.standing == kind for one in rest):,} {kind}" for kind in kinds)
        lines.append(f"and {plural(len(rest), 'more model')}: {counts}")
    return "\n".join(lines)


def _cells(one: ModelVerdict) -> tuple[str, str, str, str]:
    if one.standing == "failed":
        return one.standing, one.title, "", printable(one.reason, LONGEST_REASON)
    return one.standing, one.title, f"{sum(one.findings.values()):,}", one.first_finding()
