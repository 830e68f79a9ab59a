"""The heads of a model: which are measured, what is read together for them, and the work, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from weightaudit.architecture.attention_plan import AttentionPlan
from weightaudit.architecture.heads import plan_heads
from weightaudit.arrays import Array
from weightaudit.audit.groups import ReadGroup, groups_in_file_order, in_file
from weightaudit.audit.head_distances import comparison_bytes, nearest_heads
from weightaudit.audit.head_numbers import HeadGroup
from weightaudit.audit.workspace import Workspace
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError
from weightaudit.records import HeadRow, Heads, ModelMap, RoleMatrix, SkippedAttention, TensorInfo
from weightaudit.spectral.team import ThreadTeam


@dataclass(frozen=True)
class HeadPlans:
    """What a scan measures of heads: the attentions of what was chosen, and those whose heads are not known."""

    plans: tuple[AttentionPlan, ...] = ()
    skipped: tuple[SkippedAttention, ...] = ()


def chosen_heads(checkpoint: Checkpoint, model_map: ModelMap, chosen: Sequence[RoleMatrix]) -> HeadPlans:
    """The heads of the ``chosen`` matrices; UsageError for an adapter, which has none."""
    if checkpoint.identity.adapter is not None:
        raise UsageError(
            "heads", "these are an adapter's changes, not a model's weights", "Merge it first, or scan its base"
        )
    keys = {matrix.key for matrix in chosen}
    readable = (name for name, info in checkpoint.tensors.items() if not info.why_unread)
    plans, skipped = plan_heads(checkpoint.config, model_map, readable)
    kept = []
    for plan in plans:
        matrices = {part: matrix for part, matrix in plan.matrices.items() if matrix.key in keys}
        if matrices.keys() & {"Q", "K", "V", "O"}:
            kept.append(plan.of(matrices))
    places = {(matrix.stack, matrix.layer) for matrix in chosen}
    return HeadPlans(tuple(kept), tuple(one for one in skipped if (one.stack, one.layer) in places))


def pairs_of(plans: Sequence[AttentionPlan]) -> Iterator[tuple[str, str]]:
    """Tensors that must be read together for the heads of an attention."""
    for plan in plans:
        first, *others = dict.fromkeys(name for matrix in plan.matrices.values() for name in matrix.tensors)
        yield from ((first, other) for other in others)


def with_heads(
    groups: Sequence[ReadGroup],
    plans: Sequence[AttentionPlan],
    tensors: Mapping[str, TensorInfo],
    looked_at: Collection[str],
) -> list[ReadGroup]:
    """The groups, those with the matrices of ``plans`` with the norms and biases of these too, of which those
    ``looked_at`` need no group of their own.
    """
    group_of = {matrix.key: i for i, group in enumerate(groups) for matrix in group.matrices}
    own: dict[int, list[AttentionPlan]] = {}
    for plan in plans:
        own.setdefault(group_of[next(iter(plan.matrices.values())).key], []).append(plan)
    found = list(groups)
    for i, those in own.items():
        there = {info.name for info in groups[i].tensors}
        names = dict.fromkeys(name for plan in those for name in plan.vectors if name not in there)
        read = (*groups[i].tensors, *(tensors[name] for name in names))
        found[i] = replace(
            groups[i],
            tensors=tuple(sorted(read, key=in_file)),
            attentions=tuple(those),
            looked_at=tuple(name for name in names if name in looked_at),
        )
    return groups_in_file_order(found)


@dataclass
class HeadWork:
    """The heads of a scan while they are measured, side by side."""

    rows: dict[tuple[str, int], HeadRow] = field(default_factory=dict)
    distances: dict[str, list[tuple[int | None, float]]] = field(default_factory=dict)

    def tasks(
        self,
        plans: Sequence[AttentionPlan],
        stored: Mapping[str, Array],
        config: AuditConfig,
        team: ThreadTeam,
        workspace: Workspace,
    ) -> Iterator[Callable[[], None]]:
        """One for each head of keys and values and all that read it, and one that compares the heads; their copies in
        float64 lie in the ``workspace``."""
        for plan in plans:
            for kv_head in range(plan.attention.kv_heads):
                yield partial(self._measure, HeadGroup(plan, kv_head, stored, config, team), workspace)
            yield partial(self._compare, plan, stored, workspace)

    def result(self, planned: HeadPlans) -> Heads:
        """All of them, in report order."""
        plans = sorted(planned.plans, key=lambda plan: (plan.place.order, plan.attention.attention != "self"))
        rows = []
        for plan in plans:
            near = self.distances.get(plan.key, [])
            for head in range(plan.attention.heads):
                row = self.rows.get((plan.key, head))
                if row is not None:
                    nearest, distance = near[head] if head < len(near) else (None, math.nan)
                    rows.append(replace(row, nearest=nearest, distance=distance))
        measured = {plan.key for plan in plans if (plan.key, 0) in self.rows}
        attentions = tuple(plan.attention for plan in plans if plan.key in measured)
        return Heads(attentions, tuple(rows), planned.skipped)

    def _measure(self, group: HeadGroup, workspace: Workspace) -> None:
        with workspace.lent(group.bytes_beside), np.errstate(all="ignore"):
            for row in group.rows():
                self.rows[group.plan.key, row.head] = row

    def _compare(self, plan: AttentionPlan, stored: Mapping[str, Array], workspace: Workspace) -> None:
        with workspace.lent(comparison_bytes(plan)), np.errstate(all="ignore"):
            self.distances[plan.key] = nearest_heads(plan, stored)
