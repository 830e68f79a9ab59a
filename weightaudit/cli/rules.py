"""``weightaudit rules [ID]``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightaudit.cli import completion, options
from weightaudit.cli.formats import TEXT, show_data
from weightaudit.cli.terminal import say

if TYPE_CHECKING:
    from weightaudit.audit.rules.rule import AnyRule

WIDTH = 80
"""Columns of a text."""


def rules(
    id: Annotated[
        str | None,
        typer.Argument(help="A rule's id: show it in full.", show_default=False, autocompletion=completion.rules),
    ] = None,
    *,
    format: options.Listing = TEXT,
    debug: options.Debug = False,
) -> None:
    """List the rules of scans, differences and merges, or show one: what it measures, against what, and what to do."""
    from weightaudit.audit.rules import RULES, make_policy
    from weightaudit.merging.rules import RULES as OF_A_MERGE
    from weightaudit.pairs.rules import RULES as OF_A_DIFFERENCE
    from weightaudit.parse import parse_ids

    every: tuple[AnyRule, ...] = (*RULES, *OF_A_DIFFERENCE, *OF_A_MERGE)
    named = tuple(rule.id for rule in every) if id is None else parse_ids(id)
    make_policy((), named, every)
    if format != TEXT:
        kinds = (("scan", RULES), ("diff", OF_A_DIFFERENCE), ("merge-check", OF_A_MERGE))
        show_data({"rules": [_data(one, of) for of, own in kinds for one in own if one.id in named]})
        return
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
    for rule in every:
        if rule.id in named:
            print("\n".join(_in_full(rule)))


def _data(rule: AnyRule, of: str) -> dict[str, Any]:
    """All that a rule says of itself, and which command's it is."""
    said = ("id", "severity", "title", "measures", "threshold", "source", "advice", "suppressed_by")
    return {"of": of, **{name: getattr(rule, name) for name in said}}


def _in_full(rule: AnyRule) -> Iterator[str]:
    yield f"{rule.id} ({rule.severity}): {rule.title}"
    threshold = "" if rule.threshold is None else f"{rule.threshold:g}"
    said = {"measures": rule.measures, "threshold": threshold, "source": rule.source, "advice": rule.advice}
    for name, text in said.items():
        if text:
            yield from textwrap.wrap(text, WIDTH, initial_indent=f"{name:<9}  ", subsequent_indent=" " * 11)
