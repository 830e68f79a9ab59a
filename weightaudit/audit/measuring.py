"""Everything that a scan sees of the numbers: matrices measured, others looked at, side by side on the scan's threads.

Each matrix is measured by one thread; where threads would be idle they take part in the passes over a large one.
Numbers depend neither on how many threads there are nor on what is measured beside a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from weightaudit.audit import products
from weightaudit.audit.base import Comparison
from weightaudit.audit.digests import Digests
from weightaudit.audit.groups import ReadGroup
from weightaudit.audit.heads import HeadWork
from weightaudit.audit.held import Held
from weightaudit.audit.others import facts_of
from weightaudit.audit.peaks import is_wanted, peak_of
from weightaudit.audit.pieces import cut, cut_products
from weightaudit.audit.progress import Progress
from weightaudit.audit.reading import read_groups
from weightaudit.audit.side_by_side import side_by_side
from weightaudit.audit.tables import Tables
from weightaudit.audit.ties import Ties
from weightaudit.audit.workspace import ROOM, Workspace, bytes_beside
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig
from weightaudit.logs import timed
from weightaudit.records import CodeFacts, LayerRow, Peak, RoleMatrix, TableFacts, TensorFacts, TensorInfo
from weightaudit.spectral import measure
from weightaudit.spectral.measurement import choose_algorithm, team_for
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.uploads import Ahead, Uploads, uploads_to


@dataclass(frozen=True)
class Measured:
    """What was seen: rows, peaks and tables by the key of the matrix, facts of others, and of their codes where they
    are quantised, by the name of the tensor; the heads."""

    rows: dict[str, LayerRow] = field(default_factory=dict)
    peaks: dict[str, Peak] = field(default_factory=dict)
    tables: dict[str, TableFacts] = field(default_factory=dict)
    others: dict[str, TensorFacts] = field(default_factory=dict)
    codes: dict[str, CodeFacts] = field(default_factory=dict)
    heads: HeadWork = field(default_factory=HeadWork)


@timed("read and measured")
def measure_groups(
    checkpoint: Checkpoint,
    groups: Sequence[ReadGroup],
    ties: Ties,
    overlapping: Collection[str],
    tables: Tables,
    config: AuditConfig,
    display: Progress,
    comparison: Comparison | None = None,
) -> Measured:
    """Read ``groups``, measure their matrices, but for those that turn out to repeat others, and look at what is none.

    The digests of matrices whose keys are ``overlapping`` are not shown. ``comparison`` has what they are compared
    with, if anything.
    """
    largest = max((group.buffer_bytes for group in groups), default=0)
    # On another device matrices are not measured side by side: its memory may be too small, and one keeps it busy.
    # The next one is brought there meanwhile.
    with uploads_to(config.device) as uploads, team_for(largest, config.device) as team:
        work = _Work(groups, ties, overlapping, tables, config, team, display, comparison, uploads)
        beside = [("base", comparison.checkpoint)] if comparison else []
        reading = read_groups(checkpoint, groups, beside=beside, memory=config.memory, look=work.look, codes=work.codes)
        with closing(reading) as coming:
            for held in side_by_side(team, coming, work.tasks_of):
                work.done(held)
    return work.seen


class _Work:
    """What is done with each group that has been read."""

    def __init__(
        self,
        groups: Iterable[ReadGroup],
        ties: Ties,
        overlapping: Collection[str],
        tables: Tables,
        config: AuditConfig,
        team: ThreadTeam,
        display: Progress,
        comparison: Comparison | None,
        uploads: Uploads | None,
    ) -> None:
        self.seen = Measured()
        self._ties, self._overlapping, self._tables, self._config = ties, overlapping, tables, config
        self._team, self._display, self._comparison, self._uploads = team, display, comparison, uploads
        self._digests = Digests(
            (matrix for group in groups for matrix in group.matrices if self._needs_digest(matrix)),
            later={copy for copy, _ in ties.open},
        )
        self._codes: dict[str, CodeFacts] = {}
        self._workspace = Workspace(config.memory or ROOM)
        self._under_way = 0
        self._left: dict[Held, int] = {}

    def look(self, held: Held) -> None:
        """Take digests in the thread that reads, unless another has nothing better to do."""
        if self._under_way >= self._team.size:
            self._digests.take(held.group, held.own.arrays)

    def codes(self, info: TensorInfo, facts: CodeFacts) -> None:
        """Keep what the codes of a tensor, or of one of the matrices that it stacks, are."""
        self._codes[info.name] = facts

    def tasks_of(self, held: Held) -> Iterator[Callable[[], Held]]:
        """What there is to do with a group, each told as it is handed out."""
        self._ties.compare(held.own.arrays)
        matrices = self._ties.without_copies(held.group.matrices)
        more = [partial(self._of_heads, task, held) for task in self._head_tasks(held)]
        if held.group.looked_at:
            more.append(partial(self._look_at, held))
        self._left[held] = held.uses = max(1, len(matrices) + len(more))
        for matrix in matrices:
            self._under_way += 1
            self._display.tensor(", ".join(matrix.tensors))
            yield partial(self._measure, matrix, held, self._sent_ahead(matrix, held))
        for task in more:
            self._under_way += 1
            yield task
        if not matrices and not more:
            self._under_way += 1
            yield partial(self._look_at, held)

    def done(self, held: Held) -> None:
        """One of the group's tasks is done."""
        self._under_way -= 1
        self._left[held] -= 1
        if not self._left[held]:
            del self._left[held]
            self._display.advance(held.group.nbytes)

    def _look_at(self, held: Held) -> Held:
        """At the numbers of what has no matrix; of copies of others nothing is left to be seen."""
        with held:
            if not held.group.matrices or held.group.looked_at:
                for name, tensor in held.own.arrays.items():  # of a product no entry is read
                    if held.group.matrices and name not in held.group.looked_at:
                        continue
                    self.seen.others[name] = facts_of(tensor)
                    if name in self._codes:
                        self.seen.codes[name] = self._codes[name]
        return held

    def _head_tasks(self, held: Held) -> Iterator[Callable[[], None]]:
        attentions, stored = held.group.attentions, held.own.arrays
        return self.seen.heads.tasks(attentions, stored, self._config, self._team, self._workspace)

    @staticmethod
    def _of_heads(task: Callable[[], None], held: Held) -> Held:
        with held:
            task()
        return held

    def _sent_ahead(self, matrix: RoleMatrix, held: Held) -> Ahead | None:
        """The matrix on its way to the device, where there is one; a product's factors are small."""
        if self._uploads is None or cut_products(matrix, held.own.products):
            return None
        return self._uploads.begin(cut(matrix, held.own.arrays))

    def _measure(self, matrix: RoleMatrix, held: Held, ahead: Ahead | None) -> Held:
        config = self._config
        with held:
            factors = cut_products(matrix, held.own.products)
            blocks = [] if factors else cut(matrix, held.own.arrays)
            operator = products.operator_of(factors) if factors else None
            digest = self._digests.of(matrix, operator or blocks)
            measured = partial(
                measure,
                tol=config.tol,
                delta=config.delta,
                method=config.method,
                seed=config.seed,
                name=matrix.key,
                device=config.device,
                team=self._team,
            )
            # A product of thin factors takes next to nothing.
            beside_it = bytes_beside(matrix) if blocks and config.spectrum == "full" else 0
            with self._workspace.lent(beside_it):
                there = blocks if ahead is None else ahead.take()
                spectrum = measured(operator or there, spectrum=config.spectrum, digest=digest)
                del there
            beside = None
            if self._comparison is not None:
                beside = self._comparison.facts(matrix, factors or blocks, held, spectrum, measured)
            adapter = None if operator is None else products.facts_of(factors, operator)
            if blocks and is_wanted(matrix) and (peak := peak_of(blocks)) is not None:
                self.seen.peaks[matrix.key] = peak
            if blocks and (facts := self._tables.facts(matrix, blocks)) is not None:
                self.seen.tables[matrix.key] = facts
            del blocks, factors, operator
        shown = digest if digest and matrix.key not in self._overlapping else ""
        self.seen.rows[matrix.key] = LayerRow(
            matrix,
            spectrum,
            shown,
            codes=self._codes_of(matrix),
            bits_per_weight=_bits_per_weight(matrix, held.group.tensors),
            adapter=adapter,
            base=beside,
        )
        return held

    def _codes_of(self, matrix: RoleMatrix) -> CodeFacts | None:
        """What the codes of the one tensor that it is cut from are."""
        part, *others = matrix.parts
        if any(other.tensor != part.tensor for other in others):
            return None
        return self._codes.get(part.tensor) or self._codes.get(f"{part.tensor}[{part.index}]")

    def _needs_digest(self, matrix: RoleMatrix) -> bool:
        """Those that are shown, and those that anything is drawn for."""
        if matrix.key not in self._overlapping or self._config.spectrum == "full":
            return True
        return choose_algorithm(self._config.method, *matrix.shape, self._config.tol) == "krylov"


def _bits_per_weight(matrix: RoleMatrix, tensors: Iterable[TensorInfo]) -> float:
    """Stored bits for each element of those of the ``tensors`` that it is cut from; NaN where none is quantised."""
    names = {name for part in matrix.parts for name in (part.tensor, f"{part.tensor}[{part.index}]")}
    own = [info for info in tensors if info.name in names]
    elements = sum(info.parameters for info in own)
    if not elements or not any(info.quantised for info in own):
        return math.nan
    return 8 * sum(info.stored_nbytes for info in own) / elements
