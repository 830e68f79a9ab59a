"""What merging several models would do to each: all streamed together, matrix by matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.audit.base import effective_weights, scratch_for
from weightaudit.audit.config_check import check_config
from weightaudit.audit.groups import plan_groups
from weightaudit.audit.held import Held
from weightaudit.audit.matching import first_rows
from weightaudit.audit.opening import AnyModel, name_of
from weightaudit.audit.pieces import cut, cut_products
from weightaudit.audit.progress import Progress, check_progress, reporting
from weightaudit.audit.reading import read_groups
from weightaudit.audit.rules import make_policy
from weightaudit.audit.side_by_side import side_by_side
from weightaudit.config import NOT_OF_A_MERGE, AuditConfig, as_json
from weightaudit.logs import timed
from weightaudit.merging.asked import weights_asked
from weightaudit.merging.opening import Parties, opened_parties
from weightaudit.merging.rules import RULES, judge
from weightaudit.merging.summary import summarise
from weightaudit.records import EMBEDDING_ROLES, Meeting, MergeCheckResult, RoleMatrix
from weightaudit.spectral.interactions import interactions
from weightaudit.spectral.measurement import team_for
from weightaudit.spectral.threads import compute_threads, usable_threads
from weightaudit.version import versions_of

VERSIONED = ("numpy", "safetensors", "huggingface_hub")


def check_merge(
    models: Sequence[AnyModel],
    config: AuditConfig,
    *,
    base: AnyModel | None = None,
    merged: AnyModel | None = None,
    weights: Sequence[float] | None = None,
    progress: bool | Progress = False,
) -> MergeCheckResult:
    """Measure, of every matrix that one of ``models`` changed, what the others would do where its inputs lie.

    Each is a directory, a weight file, a Hub id that may carry a revision (``id@revision``), or an adapter; without a
    ``base`` their weights are added up as they are. ``merged`` is a merge that exists, judged instead of one by
    ``weights``, which are 1 each where none are given.

    Raises UsageError for options that make no sense and ModelError for a model that cannot be read, or is another.
    """
    check_config(config, rules=RULES)
    check_progress(progress)
    policy = make_policy(config.severity, config.ignore, RULES)
    judged = None if merged is None else name_of(merged)
    asked = weights_asked(len(models), weights, merged=merged is not None)
    with compute_threads(config.threads), opened_parties(models, config, base, merged) as parties:
        work = _Work(parties, config)
        with reporting(progress) as display:
            meetings = work.done(display)
        parties.check_unchanged()
        result = MergeCheckResult(
            base=parties.ground.identity if parties.has_base else None,
            models=parties.models,
            merged=parties.merge,
            family=parties.ground.map.family,
            meetings=meetings,
            summary=summarise(meetings, len(models), asked),
            options=_options(config, weights=asked, merged=judged),
            versions=versions_of(VERSIONED),
            notes=tuple(parties.notes),
            partial=parties.partial,
        )
    return judge(result, policy)


class _Work:
    """What is read and computed, in file order of the ground."""

    def __init__(self, parties: Parties, config: AuditConfig) -> None:
        self._parties, self._config = parties, config
        self._matrices = {matrix.key: matrix for matrix in parties.chosen}
        beside = {key: parties.read_for(matrix) for key, matrix in self._matrices.items()}
        self._groups = plan_groups([*self._matrices.values()], parties.ground.checkpoint.tensors, beside=beside)
        self._found: dict[str, Meeting | None] = {}
        self._left: dict[Held, int] = {}

    @timed("read, and put together the updates")
    def done(self, display: Progress) -> tuple[Meeting, ...]:
        """All matrices that a model changed, in report order."""
        parties, config = self._parties, self._config
        display.start(parties.models[0].name, sum(group.nbytes for group in self._groups))
        largest = max((group.buffer_bytes for group in self._groups), default=0)
        with team_for(largest) as team:
            reading = read_groups(parties.ground.checkpoint, self._groups, beside=parties.beside, memory=config.memory)
            with closing(reading) as coming:
                for held in side_by_side(team, coming, partial(self._tasks, display)):
                    self._left[held] -= 1
                    if not self._left[held]:
                        del self._left[held]
                        display.advance(held.group.nbytes)
        found = (self._found[key] for key in self._matrices)
        return tuple(meeting for meeting in found if meeting is not None)

    def _tasks(self, display: Progress, held: Held) -> Iterator[Callable[[], Held]]:
        matrices = held.group.matrices
        self._left[held] = held.uses = len(matrices)
        for matrix in matrices:
            display.tensor(", ".join(matrix.tensors))
            yield partial(self._meet, matrix, held)

    def _meet(self, matrix: RoleMatrix, held: Held) -> Held:
        with held:
            self._found[matrix.key] = self._meeting(matrix, held)
        return held

    def _meeting(self, matrix: RoleMatrix, held: Held) -> Meeting | None:
        """How the updates of ``matrix`` meet; None where no model changed it."""
        parties = self._parties
        rows, products = parties.rows(matrix), cut_products(matrix, held.own.products)
        own = [] if products else cut(matrix, held.own.arrays)
        ground = first_rows(own, rows)
        updates = [self._update(matrix, held, i, own, rows) for i in range(len(parties.others))]
        if parties.has_base:
            updates = [None if update is None or _same(ground, update) else update for update in updates]
        else:
            updates = [products or ground, *updates]
        if all(update is None for update in updates[: len(parties.models)]):
            return None
        table = matrix.role in EMBEDDING_ROLES
        return Meeting(
            matrix.place,
            matrix.tensors,
            (rows, matrix.shape[1]),
            interactions(
                ground if parties.has_base else None,
                updates,
                victims=len(parties.models),
                on_inputs=not table,
                seed=self._config.seed,
                name=matrix.key,
            ),
            table,
        )

    def _update(
        self, matrix: RoleMatrix, held: Held, i: int, ground: Sequence[Array], rows: int
    ) -> Sequence[Array] | Sequence[Product] | None:
        """What the i-th of the others has in the place of ``matrix``; None where it has nothing there."""
        own = self._parties.others[i].matrices.get(matrix.key)
        if own is None:
            return None
        factors = cut_products(own, held.beside[i].products)
        if not factors:
            return first_rows(cut(own, held.beside[i].arrays), rows)
        if any(product.magnitude is not None for product in factors):
            return [effective_weights(ground, factors, held.spare(scratch_for(matrix)))]
        return factors


def _same(ground: Sequence[Array], update: Sequence[Array | Product]) -> bool:
    """Whether a matrix is the base's, bit for bit."""
    if len(ground) != len(update):
        return False
    return all(
        not isinstance(other, Product) and own.dtype == other.dtype and _same_bits(own, other)
        for own, other in zip(ground, update, strict=True)
    )


def _same_bits(one: Array, other: Array) -> bool:
    bits = f"u{one.dtype.itemsize}"
    return np.array_equal(one.view(bits), other.view(bits))


def _options(config: AuditConfig, *, weights: Sequence[float], merged: str | None) -> dict[str, Any]:
    """The options that numbers and findings depend on, as JSON has them, and the threads that there were."""
    options = {
        **config.result_options(),
        "weights": tuple(weights),
        "merged": merged,
        "threads": usable_threads(),
    }
    return as_json({name: value for name, value in options.items() if name not in NOT_OF_A_MERGE})
