"""The templates of a family's rules, put in order by what names that fit them end in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar

from weightaudit.architecture.templates import endings_of


class Named(Protocol):
    """A rule, of which no more is asked here than its templates."""

    @property
    def names(self) -> tuple[str, ...]: ...


Rule = TypeVar("Rule", bound=Named)

TOLD_BY = 13
"""Characters at the end of a name by which most templates that it cannot fit are left out unasked."""


@dataclass(frozen=True)
class Way(Generic[Rule]):
    """One template of a rule; ``lasts`` are the last characters of its ``endings``, ``short`` those that have fewer."""

    template: str
    rule: Rule
    endings: tuple[str, ...]
    lasts: frozenset[str]
    short: tuple[str, ...]


class Ways(Generic[Rule]):
    """All ways that a family's rules know."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._all = [Way(name, rule, *_endings(name)) for rule in rules for name in rule.names]
        self._lasts = frozenset[str]().union(*(way.lasts for way in self._all))
        self._by_last: dict[str, list[Way[Rule]]] = {}  # of those alone: names of a file may be of any number

    def that_may_fit(self, name: str) -> list[Way[Rule]]:
        """Those that the last characters of ``name`` do not rule out, in the order of the rules."""
        last = name[-TOLD_BY:]
        last = last if last in self._lasts else ""
        if last not in self._by_last:
            self._by_last[last] = [
                way for way in self._all if (last in way.lasts or last.endswith(way.short) if last else way.short)
            ]
        return self._by_last[last]


@cache
def _endings(template: str) -> tuple[tuple[str, ...], frozenset[str], tuple[str, ...]]:
    """What a way has of its template."""
    endings = endings_of(template, TOLD_BY)
    lasts = frozenset(ending[-TOLD_BY:] for ending in endings if len(ending) >= TOLD_BY)
    return endings, lasts, tuple(ending for ending in endings if len(ending) < TOLD_BY)
