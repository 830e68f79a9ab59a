"""What a rule is: one thing to look for, what is measured, what it is held against, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from weightaudit.audit.findings.evidence import Evidence
from weightaudit.records import Finding, LayerRow, Severity

Check = Callable[["Rule", Evidence], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One rule.

    ``id`` is what --ignore takes: lower-case words joined by hyphens. ``measures`` says in a sentence what is measured,
    ``threshold`` is the number it is held against (None where there is no number), ``source`` says where that comes
    from, ``advice`` what to do. ``check`` gives the findings of this rule; it makes them by `finding` and `of_row`.
    """

    id: str
    title: str
    severity: Severity
    measures: str
    source: str
    advice: str
    check: Check
    threshold: float | None = None

    def finding(self, detail: str, *, value: float | None = None) -> Finding:
        """A finding of this rule about the whole model; `dataclasses.replace` gives it a place."""
        return Finding(
            id=self.id,
            severity=self.severity,
            title=self.title,
            value=value,
            threshold=self.threshold,
            advice=self.advice,
            detail=detail,
        )

    def of_row(self, row: LayerRow, detail: str, *, value: float | None = None) -> Finding:
        """A finding of this rule about one matrix."""
        matrix = row.matrix
        return replace(
            self.finding(detail, value=value),
            stack=matrix.stack,
            layer=matrix.layer,
            expert=matrix.expert,
            role=matrix.role,
            tensors=matrix.tensors,
        )
