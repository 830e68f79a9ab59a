"""Changes of an adapter that are none, or that use less of their rank than they are stored with."""

from __future__ import annotations

from collections.abc import Iterator

from weightaudit.audit.rules.context import RuleContext
from weightaudit.audit.rules.rule import Match, Rule
from weightaudit.audit.rules.wording import listed, where
from weightaudit.records import DEAD_DIRECTION, LayerRow


def _changes(context: RuleContext) -> list[LayerRow]:
    return [row for row in context.weights if row.adapter is not None and not row.spectrum.nonfinite]


def _untrained(rule: Rule, context: RuleContext) -> Iterator[Match]:
    changes = _changes(context)
    untrained = [row for row in changes if row.adapter is not None and row.adapter.untrained]
    if untrained:
        which = "all" if len(untrained) == len(changes) else f"{len(untrained):,} of {len(changes):,}"
        yield rule.of_rows(
            untrained,
            f"A factor of {which} changes is zero throughout, so that the model is changed in nothing there: "
            f"{listed(where(row.matrix) for row in untrained)}.",
            value=float(len(untrained)),
        )


def _dead_directions(rule: Rule, context: RuleContext) -> Iterator[Match]:
    changes = _changes(context)
    counts = {row.matrix.key: row.adapter.dead_directions for row in changes if row.adapter}
    dead = {key: count for key, count in counts.items() if count}
    found = [row for row in changes if row.matrix.key in dead]
    if found:
        most = max(found, key=lambda row: dead[row.matrix.key])
        rank = most.adapter.rank if most.adapter else 0
        yield rule.of_rows(
            found,
            f"{len(found):,} of {len(changes):,} changes have directions that do nothing, most of them "
            f"{where(most.matrix)} with {dead[most.matrix.key]:,} at rank {rank:,}: "
            f"{listed(where(row.matrix) for row in found)}.",
            value=float(dead[most.matrix.key]),
        )


RULES = (
    Rule(
        id="untrained-adapter",
        title="An adapter that changes nothing where it should",
        severity="warning",
        measures="Whether one of the two factors of a change s·B·A is zero throughout.",
        threshold=0.0,
        source="Training starts from B = 0 (Hu et al. 2021), or from A = 0 of an embedding (PEFT): such a change was "
        "never trained, or its module gets no gradient.",
        advice="Look whether the adapter was saved before training, and whether its target modules are in use. Without "
        "these modules it is smaller and does the same.",
        check=_untrained,
        of_adapters=True,
    ),
    Rule(
        id="dead-directions",
        title="Changes of a lower rank than they are stored with",
        severity="info",
        measures=f"Of the min(r, rows, columns) singular values of a change s·B·A those below {DEAD_DIRECTION:g} times "
        "the largest.",
        threshold=0.0,
        source="A choice: what rounding of factors in float32 leaves of a direction that is not there.",
        advice="A smaller rank would do: the same change fits into factors of fewer columns and rows.",
        check=_dead_directions,
        suppressed_by=("untrained-adapter",),
        of_adapters=True,
    ),
)
