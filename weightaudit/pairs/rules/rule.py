"""What a rule of a difference is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from weightaudit.audit.rules.rule import AnyRule
from weightaudit.records import Change, DiffResult, Finding

Check = Callable[["DiffRule", DiffResult], Iterable[Finding]]


@dataclass(frozen=True)
class DiffRule(AnyRule):
    """One rule of a difference. ``check`` gives what it finds; where a rule that it is ``suppressed_by`` found
    something, that has told the cause and this is not asked.
    """

    check: Check

    def of(self, changes: Iterable[Change], detail: str, *, value: float | None = None) -> Finding:
        """A finding about ``changes``: its place is what they have in common."""
        changes = list(changes)
        names = (name for change in changes for name in change.tensors)
        return self.finding(detail, value=value, places=[change.place for change in changes], tensors=names)
