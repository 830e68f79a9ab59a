"""What a rule is: one thing to look for, what is measured, the threshold, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from weightaudit.audit.rules.causes import Weight
from weightaudit.audit.rules.context import RuleContext, Subject
from weightaudit.audit.rules.needs import Need, every_matrix
from weightaudit.records import Discrepancy, Finding, LayerRow, Place, Severity

TENSORS = 50
"""Tensors named in one finding; where it is of more, its detail has the number."""


@dataclass(frozen=True)
class AnyRule:
    """What every rule says of itself, of one model or of two.

    ``id`` is what --ignore takes: lower-case words joined by hyphens. ``measures`` says in a sentence what is
    measured, ``threshold`` is the number from which on it is a finding (None where there is none), ``source`` says
    where that comes from, ``advice`` what to do. ``suppressed_by`` names rules that say more of the same; they come
    before it.
    """

    id: str
    title: str
    severity: Severity
    measures: str
    source: str
    advice: str
    threshold: float | None = field(default=None, kw_only=True)
    suppressed_by: tuple[str, ...] = field(default=(), kw_only=True)

    def finding(
        self, detail: str, *, value: float | None = None, places: Sequence[Place] = (), tensors: Iterable[str] = ()
    ) -> Finding:
        """A finding whose place is what ``places`` have in common; about the whole model where there are none."""
        finding = Finding(
            id=self.id,
            severity=self.severity,
            title=self.title,
            value=value,
            threshold=self.threshold,
            advice=self.advice,
            detail=detail,
            tensors=tuple(dict.fromkeys(tensors))[:TENSORS],
        )
        if not places:
            return finding
        first = places[0]

        def shared(name: str) -> bool:
            return all(getattr(place, name) == getattr(first, name) for place in places)

        return replace(
            finding,
            stack=first.stack if shared("stack") else "",
            layer=first.layer if shared("stack") and shared("layer") else None,
            expert=first.expert if shared("layer") and shared("expert") else None,
            role=first.role if shared("role") else "",
        )


@dataclass(frozen=True)
class Match:
    """One thing that a rule found, and all that it is about: rules that yield to this one do not look at that again."""

    finding: Finding
    subjects: frozenset[Subject] = frozenset()


Check = Callable[["Rule", RuleContext], Iterable[Match]]


@dataclass(frozen=True)
class Rule(AnyRule):
    """One rule of a scan.

    ``check`` gives what this rule finds, in report order; it makes it by `of_row`, `of_rows`, `of_weights`,
    `of_discrepancy` and `of_model`.

    What one of the rules that it is ``suppressed_by`` has found fault with, a matrix or a tensor, is neither shown to
    this rule nor compared with. ``needs`` are what it needs in order to judge: where something of it is not there, the
    rule says so. ``of_adapters``: it judges what an adapter changes too; ``of_heads``: it is of heads of attention, and
    no rule of a scan that did not measure these.
    """

    check: Check
    needs: tuple[Need, ...] = (every_matrix,)
    of_adapters: bool = False
    of_heads: bool = False

    def of_model(self, detail: str, *, value: float | None = None, about: Iterable[LayerRow] = ()) -> Match:
        """A finding about the whole model, or of several matrices (``about``) that share no place."""
        return Match(self.finding(detail, value=value), frozenset(("matrix", row.matrix.key) for row in about))

    def of_row(self, row: LayerRow, detail: str, *, value: float | None = None) -> Match:
        """A finding about one matrix."""
        matrix = row.matrix
        return self._at(
            self.of_model(detail, value=value, about=[row]),
            stack=matrix.stack,
            layer=matrix.layer,
            expert=matrix.expert,
            role=matrix.role,
            tensors=matrix.tensors,
        )

    def of_rows(self, rows: Iterable[LayerRow], detail: str, *, value: float | None = None) -> Match:
        """A finding about several matrices together: its place is what they have in common."""
        rows = list(rows)
        places, tensors = [row.matrix.place for row in rows], (name for row in rows for name in row.matrix.tensors)
        finding = self.finding(detail, value=value, places=places, tensors=tensors)
        return replace(self.of_model(detail, about=rows), finding=finding)

    def of_weights(self, weights: Iterable[Weight], detail: str, *, value: float | None = None) -> Match:
        """A finding about weights, with a role or without: its place is what they have in common."""
        weights = list(weights)
        places, tensors = [one.place for one in weights], (name for one in weights for name in one.tensors)
        finding = self.finding(detail, value=value, places=places, tensors=tensors)
        return Match(finding, frozenset(one.subject for one in weights))

    def of_discrepancy(self, one: Discrepancy) -> Match:
        """A finding about where config and checkpoint contradict each other."""
        match = self._at(
            self.of_model(one.says),
            stack=one.stack,
            layer=one.layers[0] if len(one.layers) == 1 else None,
            expert=one.expert,
            role=one.role,
            tensors=one.tensors[:TENSORS],
        )
        return replace(match, subjects=frozenset(("tensor", name) for name in one.tensors))

    @staticmethod
    def _at(match: Match, **place: object) -> Match:
        return replace(match, finding=replace(match.finding, **place))  # type: ignore[arg-type]  # Finding's own fields
