"""Which findings an option is about: ``untrained``, ``untrained:POOLER``, ``outlier-norm:layer 3 M1``.

A selector is a rule's id, then perhaps a colon and where: a place in the words in which findings tell it (stack,
``layer 3``, ``expert 7``, role; each at most once, apart by blanks or slashes), or ``tensor=`` and a pattern of names.
What is not said may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

from weightaudit.audit.rules.rule import TENSORS, AnyRule
from weightaudit.errors import UsageError
from weightaudit.parse import parse_layers
from weightaudit.records import EMBEDDING_ROLES, LAYER_ROLES, OTHER, SEVERITIES, STACKS, Finding, Severity
from weightaudit.text import did_you_mean, printable

OFF: Literal["off"] = "off"
"""Instead of a severity: as if it were ignored."""
LEVELS = (*SEVERITIES, OFF)
_TENSOR = "tensor="
_NUMBERED = ("layer", "expert")
_COMMON = (*EMBEDDING_ROLES, *LAYER_ROLES, "HEAD", OTHER)
"""Roles that are known as such before a family is read: to read all of them takes as long as many a scan."""


@dataclass(frozen=True)
class Selector:
    """The findings of the rule ``id`` at a place: "" and () are any; ``tensors`` is a pattern that each must match."""

    id: str
    stack: str = ""
    layers: tuple[int, ...] = ()
    experts: tuple[int, ...] = ()
    role: str = ""
    tensors: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether it is the whole rule."""
        return self == Selector(self.id)

    def takes(self, finding: Finding) -> bool:
        """Whether it is about ``finding``; never where the finding is about more than what is selected.

        One that names as many tensors as a finding may is about others too, perhaps, so that no pattern takes it.
        """
        if finding.id != self.id:
            return False
        if self.tensors:
            names = finding.tensors
            return 0 < len(names) < TENSORS and all(fnmatchcase(name, self.tensors) for name in names)
        return (
            self.stack in ("", finding.stack)
            and (not self.layers or finding.layer in self.layers)
            and (not self.experts or finding.expert in self.experts)
            and self.role in ("", finding.role)
        )


def parse_selector(text: str, rules: Sequence[AnyRule]) -> Selector:
    """UsageError for an id that no rule has, a role that no model has, and for what is no place."""
    id, colon, where = text.partition(":")
    known = [rule.id for rule in rules]
    if id not in known:
        raise UsageError(
            f"rule '{printable(id)}'",
            "there is no such rule here",
            did_you_mean(id, known) + "`weightaudit rules` lists those of scan and those of diff",
        )
    if not colon:
        return Selector(id)
    if where.startswith(_TENSOR):
        pattern = where.removeprefix(_TENSOR)
        if not pattern:
            raise UsageError(f"'{printable(text)}'", "it names no tensor", _example(id))
        return Selector(id, tensors=pattern)
    return _at_place(id, text, re.split(r"[\s/=]+", where.strip()))


def _example(id: str) -> str:
    return f"Write it as findings do, for example {id}:POOLER, {id}:decoder layer 3 M1 or {id}:tensor=*.v"


def _at_place(id: str, text: str, words: list[str]) -> Selector:
    said: dict[str, str] = {}
    left = iter(words)
    for word in left:
        lower = word.lower()
        if lower in _NUMBERED:
            kind, value = lower, next(left, "")
        elif lower in STACKS and lower:
            kind, value = "stack", lower
        else:
            kind, value = "role", word.upper()
        if kind in said or not value:
            wrong = f"it names a {kind} twice" if kind in said else f"it names no {kind} after the {lower or 'colon'}"
            raise UsageError(f"'{printable(text)}'", wrong, _example(id))
        said[kind] = value
    role = said.get("role", "")
    if role and role not in _COMMON and role not in known_roles():
        raise UsageError(
            f"'{printable(text)}'",
            f"no model has a role '{printable(role)}'",
            did_you_mean(role, known_roles()) + _example(id),
        )
    numbers = [parse_layers(said[kind]) or () if kind in said else () for kind in _NUMBERED]
    return Selector(id, said.get("stack", ""), numbers[0], numbers[1], role)


@cache
def known_roles() -> tuple[str, ...]:
    """Every role that a family has, or that is guessed from names."""
    from weightaudit.architecture import families

    roles = {role for family in families() for role in family.roles}
    return tuple(sorted({*_COMMON, *roles}))


@dataclass(frozen=True)
class Policy:
    """How findings are judged: what is ``off`` and which severity others get, each with the option as it was written;
    the last that takes a finding wins.
    """

    chosen: tuple[tuple[str, Selector, Severity | Literal["off"]], ...] = ()

    def verdict(self, finding: Finding) -> tuple[Severity | Literal["off"], str]:
        """Its severity, or "off", and the option that says so; "" where none does."""
        for text, selector, level in reversed(self.chosen):
            if selector.takes(finding):
                return level, text
        return finding.severity, ""

    @property
    def unchecked(self) -> frozenset[str]:
        """Ids of rules that are off everywhere."""
        last = {selector.id: level for _, selector, level in self.chosen if selector.everywhere}
        return frozenset(id for id, level in last.items() if level == OFF)


def make_policy(severity: Iterable[str], ignore: Iterable[str], rules: Sequence[AnyRule]) -> Policy:
    """The policy of both options. What is ignored is so whatever severity it has. UsageError."""
    return Policy((*_with_levels(severity, rules), *((text, parse_selector(text, rules), OFF) for text in ignore)))


def _with_levels(
    severity: Iterable[str], rules: Sequence[AnyRule]
) -> Iterator[tuple[str, Selector, Severity | Literal["off"]]]:
    for text in severity:
        selector, equals, level = text.rpartition("=")
        if not equals or level not in LEVELS:
            raise UsageError(
                f"severity '{printable(text)}'",
                f"'{printable(level)}' is none of {', '.join(LEVELS)}" if equals else "it names no severity",
                did_you_mean(level, LEVELS) + f"Write for example {rules[0].id}=error or {rules[-1].id}=off",
            )
        yield text, parse_selector(selector, rules), level
