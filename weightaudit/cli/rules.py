"""``weightaudit rules [ID]``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from weightaudit.cli import options
from weightaudit.cli.terminal import say

if TYPE_CHECKING:
    from weightaudit.audit.rules.rule import AnyRule

WIDTH = 80
"""Columns of a text."""


def rules(
    id: Annotated[str | None, typer.Argument(help="A rule's id: show it in full.", show_default=False)] = None,
    debug: options.Debug = False,
) -> None:
    """List the rules of scans, differences and merges, or show one: what it measures, against what, and what to do."""
    from weightaudit.audit.rules import RULES, make_policy
    from weightaudit.merging.rules import RULES as OF_A_MERGE
    from weightaudit.pairs.rules import RULES as OF_A_DIFFERENCE
    from weightaudit.parse import parse_ids

    every: tuple[AnyRule, ...] = (*RULES, *OF_A_DIFFERENCE, *OF_A_MERGE)
    if id is None:
        column = max((len(rule.id) for rule in every), default=0)
        sections = (
            ("", RULES),
            ("Of a difference (weightaudit diff):", OF_A_DIFFERENCE),
            ("Of a merge (weightaudit merge-check):", OF_A_MERGE),
        )
        for section, own in sections:
            if section and own:
                say("")
                say(section)
            for one in own:
                say(f"{one.id:<{column}}  {one.severity:<7}  {one.title}")
        return
    named = parse_ids(id)
    make_policy((), named, every)
    for rule in every:
        if rule.id in named:
            print("\n".join(_in_full(rule)))


def _in_full(rule: AnyRule) -> Iterator[str]:
    yield f"{rule.id} ({rule.severity}): {rule.title}"
    threshold = "" if rule.threshold is None else f"{rule.threshold:g}"
    said = {"measures": rule.measures, "threshold": threshold, "source": rule.source, "advice": rule.advice}
    for name, text in said.items():
        if text:
            yield from textwrap.wrap(text, WIDTH, initial_indent=f"{name:<9}  ", subsequent_indent=" " * 11)
