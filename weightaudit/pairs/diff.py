"""What a model changed of another: both streamed together, matrix by matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from weightaudit.audit.aggregates import overlapping_keys
from weightaudit.audit.base import scratch_for
from weightaudit.audit.config_check import check_config
from weightaudit.audit.groups import plan_groups
from weightaudit.audit.held import Held
from weightaudit.audit.on_the_way import with_others
from weightaudit.audit.opening import AnyModel, name_of
from weightaudit.audit.progress import Progress, check_progress, reporting
from weightaudit.audit.reading import read_groups
from weightaudit.audit.rules import make_policy
from weightaudit.audit.side_by_side import side_by_side
from weightaudit.checkpoint.codecs.low_rank import MAGNITUDE
from weightaudit.config import NOT_OF_A_DIFFERENCE, AuditConfig, as_json
from weightaudit.errors import UsageError
from weightaudit.logs import timed
from weightaudit.pairs.comparing import Comparer
from weightaudit.pairs.opening import Models, Pair, opened_models
from weightaudit.pairs.rules import RULES, judge
from weightaudit.pairs.summary import settle, summarise
from weightaudit.pairs.vectors import Vectors, match_vectors, vector_change
from weightaudit.records import Change, DiffResult, OneSided, Place
from weightaudit.spectral.measurement import team_for
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.threads import compute_threads, usable_threads
from weightaudit.text import printable
from weightaudit.version import versions_of

VERSIONED = ("numpy", "numba", "safetensors", "huggingface_hub")


def diff_models(
    base: AnyModel,
    derived: AnyModel,
    config: AuditConfig,
    *,
    parents: Sequence[AnyModel] = (),
    adapter: AnyModel | None = None,
    directions: bool = False,
    intruders: bool = False,
    progress: bool | Progress = False,
) -> DiffResult:
    """Measure how every matrix and vector of ``derived`` differs from that of ``base`` in its place, and what was done.

    Each model is a directory, a weight file, or a Hub id that may carry a revision (``id@revision``); ``derived`` may
    be an adapter. ``parents`` are models whose changes of the base may have been added up, ``adapter`` one that may
    have been merged. ``directions`` asks where the changes point, ``intruders`` which singular vectors are new.

    Raises UsageError for options that make no sense and ModelError for a model that cannot be read, or is another.
    """
    check_config(config, rules=RULES)
    check_progress(progress)
    policy = make_policy(config.severity, config.ignore, RULES)
    if adapter is not None and parents:
        raise UsageError("--adapter", "it is asked beside --parents", "Ask for one of the two")
    with (
        compute_threads(config.threads),
        opened_models(base, derived, config, parents, adapter) as models,
    ):
        work = _Work(models, config, directions=directions, intruders=intruders)
        with reporting(progress) as display:
            changes = work.done(display)
        models.check_unchanged()
        one_sided = (*_lone(models), *work.vectors.one_sided)
        result = DiffResult(
            base=models.base.identity,
            derived=models.derived.identity,
            family=models.map.family,
            changes=changes,
            one_sided=one_sided,
            summary=summarise(changes, one_sided),
            options=_options(config, parents, adapter, directions=directions, intruders=intruders),
            versions=versions_of(VERSIONED),
            parents=models.identities,
            notes=(*models.notes, *work.notes),
            partial=(*models.partial, *(("--memory",) if work.notes else ())),
        )
    return judge(result, policy)


class _Work:
    """What is read and compared, in file order of the derived model."""

    def __init__(self, models: Models, config: AuditConfig, *, directions: bool, intruders: bool) -> None:
        self._models, self._config = models, config
        self._asked = {"directions": directions, "intruders": intruders}
        self._pairs = {pair.matrix.key: pair for pair in models.pairs}
        beside = {key: models.read_for(pair, _scratch(models, pair)) for key, pair in self._pairs.items()}
        groups = plan_groups([pair.matrix for pair in models.pairs], models.tensors, beside=beside)
        self.vectors = Vectors()
        self.notes: list[str] = []
        if not models.partial:
            self.vectors = match_vectors(models)
            vectors = self.vectors.groups(len(models.beside))
            checkpoints = [models.derived, *(other for _, other in models.beside)]
            groups, too_large = with_others(groups, vectors, memory=config.memory, checkpoints=checkpoints)
            self.notes += [
                f"{printable(info.name)} takes {info.nbytes:,} bytes: not compared. A larger --memory may allow it."
                for info in too_large
            ]
        self._groups = groups
        self._found: dict[str, Change] = {}
        self._found_vectors: dict[str, Change] = {}  # apart, for a tensor may be called as a place is
        self._left: dict[Held, int] = {}

    @timed("read and compared")
    def done(self, display: Progress) -> tuple[Change, ...]:
        """All changes: matrices in report order, then vectors by name."""
        config, models = self._config, self._models
        display.start(models.derived.identity.name, sum(group.nbytes for group in self._groups))
        largest = max((group.buffer_bytes for group in self._groups), default=0)
        # On another device matrices are not measured side by side: its memory may be too small.
        with team_for(largest, config.device) as team:
            comparer = Comparer(config, team, **self._asked)
            reading = read_groups(models.derived, self._groups, beside=models.beside, memory=config.memory)
            with closing(reading) as coming:
                for held in side_by_side(team, coming, partial(self._tasks, comparer, team, display)):
                    self._left[held] -= 1
                    if not self._left[held]:
                        del self._left[held]
                        display.advance(held.group.nbytes)
        digests = comparer.digests
        places: dict[str, Place] = {}
        for pair in models.pairs:  # in one order, for there may be several of one digest
            if (digest := digests.base.get(pair.matrix.key)) is not None:
                places.setdefault(digest, pair.base.matrix.place)
        matrices = settle([self._found[pair.matrix.key] for pair in models.pairs], places, digests.derived)
        return (*matrices, *(change for _, change in sorted(self._found_vectors.items())))

    def _tasks(
        self, comparer: Comparer, team: ThreadTeam, display: Progress, held: Held
    ) -> Iterator[Callable[[], Held]]:
        matrices = held.group.matrices
        self._left[held] = held.uses = max(1, len(matrices))
        for matrix in matrices:
            display.tensor(", ".join(matrix.tensors))
            yield partial(self._compare, matrix.key, comparer, held)
        if not matrices:
            yield partial(self._compare_vector, team, held)

    def _compare(self, key: str, comparer: Comparer, held: Held) -> Held:
        with held:
            self._found[key] = comparer.change(self._pairs[key], held)
        return held

    def _compare_vector(self, team: ThreadTeam, held: Held) -> Held:
        with held:
            (info,) = held.group.tensors
            self._found_vectors[info.name] = vector_change(self.vectors.pairs[info.name], held, team)
        return held


def _scratch(models: Models, pair: Pair) -> int:
    """Bytes for weights that are made: those of an adapter that changes a whole matrix, of either kind."""
    changes = [[models.tensors[name] for name in pair.matrix.tensors]]
    if models.adapter is not None and pair.adapter is not None:
        changes.append([models.adapter.tensors[name] for name in pair.adapter.tensors])
    made = sum(any(info.factored and MAGNITUDE in dict(info.encoding.parts) for info in infos) for infos in changes)
    return made * scratch_for(pair.base.matrix)


def _lone(models: Models) -> Iterator[OneSided]:
    """Matrices that one side has alone, each weight once."""
    twice = overlapping_keys(models.base.map.matrices)
    for matrix in models.matched.only_here:
        yield OneSided(matrix.place, matrix.tensors, matrix.shape, "derived")
    for matrix in models.matched.only_there:
        if matrix.key in twice:
            continue
        yield OneSided(matrix.place, matrix.tensors, matrix.shape, "base")


def _options(
    config: AuditConfig, parents: Sequence[AnyModel], adapter: AnyModel | None, *, directions: bool, intruders: bool
) -> dict[str, Any]:
    """The options that numbers and findings depend on, as JSON has them, and the threads that there were."""
    options = {
        **config.result_options(),
        "parents": tuple(map(name_of, parents)),
        "adapter": None if adapter is None else name_of(adapter),
        "directions": directions,
        "intruders": intruders,
        "threads": usable_threads(),
    }
    return as_json({name: value for name, value in options.items() if name not in NOT_OF_A_DIFFERENCE})
