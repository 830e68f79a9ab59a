"""``weightaudit rules [ID]``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from weightaudit.cli import options
from weightaudit.cli.terminal import say

if TYPE_CHECKING:
    from weightaudit.audit.rules.rule import Rule

WIDTH = 80
"""Columns of a text."""


def rules(
    id: Annotated[str | None, typer.Argument(help="A rule's id: show it in full.", show_default=False)] = None,
    debug: options.Debug = False,
) -> None:
    """List the rules that a scan checks, or show one: what it measures, against what, and what to do."""
    from weightaudit.audit.rules import RULES, check_ignored
    from weightaudit.parse import parse_ids

    if id is None:
        column = max((len(rule.id) for rule in RULES), default=0)
        for rule in RULES:
            say(f"{rule.id:<{column}}  {rule.severity:<7}  {rule.title}")
        return
    named = parse_ids(id)
    check_ignored(named)
    for rule in RULES:
        if rule.id in named:
            print("\n".join(_in_full(rule)))


def _in_full(rule: Rule) -> Iterator[str]:
    yield f"{rule.id} ({rule.severity}): {rule.title}"
    threshold = "" if rule.threshold is None else f"{rule.threshold:g}"
    said = {"measures": rule.measures, "threshold": threshold, "source": rule.source, "advice": rule.advice}
    for name, text in said.items():
        if text:
            yield from textwrap.wrap(text, WIDTH, initial_indent=f"{name:<9}  ", subsequent_indent=" " * 11)
