"""Matrices stored twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weightaudit.audit.rules.context import TOKEN_ROLES, RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import MAX_NAMED, listed, where
from weightaudit.records import LayerRow
from weightaudit.text import shortened


def _duplicate(rule: Rule, context: RuleContext) -> Iterator[Match]:
    """One finding for each set of places that repeat one another: a layer copied whole is one, not one a role."""
    equal: dict[str, list[LayerRow]] = defaultdict(list)
    for row in context.measured:
        if row.digest and row.matrix.role not in TOKEN_ROLES:
            equal[row.digest].append(row)
    together: dict[object, list[list[LayerRow]]] = defaultdict(list)
    for rows in equal.values():
        if len({row.matrix.parts for row in rows}) < 2:
            continue  # alone, or one stored tensor in several roles
        same_role = len({row.matrix.role for row in rows}) == 1
        together[tuple(row.matrix.place.module for row in rows) if same_role else rows[0].digest].append(rows)
    for groups in together.values():
        rows = [row for group in groups for row in group]
        copies = [len(group) for group in groups]
        names = listed(
            " = ".join(shortened((where(row.matrix) for row in group), MAX_NAMED, spare=1)) for group in groups
        )
        extra = sum(row.matrix.parameters for group in groups for row in group[1:])
        yield rule.of_rows(
            rows, f"{names}: equal entry by entry; {extra:,} parameters repeat others.", value=float(max(copies))
        )


RULES = (
    Rule(
        id="duplicate",
        title="The same matrix in several places",
        severity="warning",
        measures="Matrices of equal shape, dtype and entries, by a digest of all their bytes; tables of tokens or "
        "positions are left out, and what the architecture shares is one matrix anyway.",
        threshold=1.0,
        source="Two trained matrices are never equal by chance; a copy that is trained further soon differs.",
        advice="Look for a merge or upcycling that copied layers or experts; if it was meant, train on before release.",
        check=_duplicate,
        suppressed_by=("rank-collapse", "near-rank-one"),
    ),
)
