"""The models that may be merged, opened, and which of their matrices stand beside one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from weightaudit.audit.aggregates import overlapping_keys
from weightaudit.audit.base import scratch_for
from weightaudit.audit.groups import Beside
from weightaudit.audit.matching import Reference, opened_reference
from weightaudit.audit.opening import AnyModel, adopt_names, map_of, open_named, saying_so
from weightaudit.audit.pieces import pieces_of
from weightaudit.audit.selection import select
from weightaudit.checkpoint import Checkpoint
from weightaudit.checkpoint.codecs.low_rank import MAGNITUDE
from weightaudit.config import AuditConfig
from weightaudit.errors import MappingError
from weightaudit.records import ModelIdentity, ModelMap, RoleMatrix, TensorInfo
from weightaudit.text import printable


@dataclass(frozen=True)
class Party:
    """A model that is read beside the ground, or a merge: ``matrices`` by the keys of those of the ground in whose
    places they stand, ``rows`` how many of them both have; ``notes`` say what is not compared.
    """

    called: str
    checkpoint: Checkpoint
    map: ModelMap
    tensors: dict[str, TensorInfo]
    matrices: dict[str, RoleMatrix] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass
class Parties:
    """What is merged: the ``ground`` is the base, or, where there is none, the first model, which the ``others``
    follow; the last is a merge where one is judged.
    """

    ground: Reference
    has_base: bool
    others: tuple[Party, ...]
    has_merge: bool
    config: AuditConfig

    @property
    def beside(self) -> list[tuple[str, Checkpoint]]:
        """What is read beside the ground, in order, and what errors call it."""
        return [(one.called, one.checkpoint) for one in self.others]

    @property
    def models(self) -> tuple[ModelIdentity, ...]:
        """Those that are merged."""
        named = [one.checkpoint.identity for one in self.others]
        if self.has_merge:
            del named[-1]
        return tuple(named) if self.has_base else (self.ground.identity, *named)

    @property
    def merge(self) -> ModelIdentity | None:
        """The merge that is judged."""
        return self.others[-1].checkpoint.identity if self.has_merge else None

    @property
    def partial(self) -> tuple[str, ...]:
        """Options that leave a part out."""
        asked = (("--roles", self.config.roles), ("--layers", self.config.layers))
        return tuple(name for name, value in asked if value is not None)

    @property
    def notes(self) -> Iterator[str]:
        """Sentences about the models, and about what is not compared of them."""
        yield from self.ground.checkpoint.notes
        for one in self.others:
            yield from one.checkpoint.notes
            yield from one.notes

    @cached_property
    def chosen(self) -> tuple[RoleMatrix, ...]:
        """Matrices of the ground that are looked at, each weight once, and that another has too; of an adapter all, for
        where another has nothing it changes nothing.
        """
        chosen = select(self.ground.map, self.config.roles, self.config.layers)
        twice = overlapping_keys(chosen)
        there = {key for one in self.others for key in one.matrices}
        if self.ground.identity.adapter is not None:
            there |= {matrix.key for matrix in chosen}
        return tuple(matrix for matrix in chosen if matrix.key in there and matrix.key not in twice)

    def rows(self, matrix: RoleMatrix) -> int:
        """How many of its rows all have."""
        return min((one.rows[matrix.key] for one in self.others if matrix.key in one.rows), default=matrix.shape[0])

    def read_for(self, matrix: RoleMatrix) -> Beside:
        """What is read beside a matrix of the ground, with room for what is made of it."""
        tensors: list[tuple[TensorInfo, ...]] = []
        made = 0
        for one in self.others:
            own = one.matrices.get(matrix.key)
            tensors.append(tuple(pieces_of(own, one.tensors)) if own is not None else ())
            if own is not None and any(_has_magnitudes(one.tensors[name]) for name in own.tensors):
                made += scratch_for(matrix)
        return Beside(tuple(tensors), made)

    def check_unchanged(self) -> None:
        """Raise CheckpointError where a file that was read is another one now."""
        self.ground.check_unchanged()
        for called, checkpoint in self.beside:
            with saying_so(called):
                checkpoint.check_unchanged()


def _has_magnitudes(info: TensorInfo) -> bool:
    return info.factored and MAGNITUDE in dict(info.encoding.parts)


@contextmanager
def opened_parties(
    models: Sequence[AnyModel], config: AuditConfig, base: AnyModel | None, merged: AnyModel | None
) -> Iterator[Parties]:
    """The models, each a path, a weight file, or a Hub id that may carry a revision: ``id@revision``.

    ModelError of what cannot be read or is no model of this kind, which says which it is.
    """
    with ExitStack() as opened:
        first, *rest = (base, *models) if base is not None else models
        ground = _ground(opened, first, "base" if base is not None else "model", config)
        named = [("model", model) for model in rest] + ([("merge", merged)] if merged is not None else [])
        others = tuple(_party(opened, kind, model, ground, config) for kind, model in named)
        yield Parties(ground, base is not None, others, merged is not None, config)


def _ground(opened: ExitStack, model: AnyModel, called: str, config: AuditConfig) -> Reference:
    """The base, or the first model, which may be an adapter: its changes need no base to be added to others."""
    if called == "base":
        return opened.enter_context(opened_reference(model, config, called=called))
    with saying_so(called):
        checkpoint = opened.enter_context(open_named(model, config))
        reference = Reference(checkpoint, map_of(checkpoint), called)
        for info in checkpoint.tensors.values():
            _check_alone(info, info.factored)
    return reference


def _check_alone(info: TensorInfo, without_base: bool) -> None:
    """MappingError for a change that says nothing without the base."""
    if without_base and (info.alone or _has_magnitudes(info)):
        why = info.alone or "its magnitudes (DoRA) are of the rows of base and change together"
        raise MappingError(printable(info.name), why, "Name the model that it changes with --base")


def _party(opened: ExitStack, called: str, model: AnyModel, ground: Reference, config: AuditConfig) -> Party:
    with saying_so(called):
        checkpoint = opened.enter_context(open_named(model, config))
        adopt_names(checkpoint, ground.checkpoint)
        model_map = map_of(checkpoint, ground.config)
    adapters = ground.identity.adapter is not None
    if adapters != (checkpoint.identity.adapter is not None) and adapters:
        where_it_is = printable(ground.identity.location, limit=1000)
        hint = "Name the model that it changes with --base"
        raise MappingError(f"model {where_it_is}", "it is an adapter, and others here are whole models", hint)
    tensors = ground.in_order(model_map, checkpoint.tensors)
    for info in tensors.values():
        _check_alone(info, adapters)
    twice = overlapping_keys(model_map.matrices)
    by_key = {matrix.key: matrix for matrix in model_map.matrices if matrix.key not in twice}
    with saying_so(called):
        matched = ground.match([*by_key.values()], model_map, tensors, whole=checkpoint.identity.adapter is None)
    found = matched.counterparts
    return Party(
        called,
        checkpoint,
        model_map,
        tensors,
        {one.matrix.key: by_key[key] for key, one in found.items()},
        {one.matrix.key: one.rows for one in found.values()},
        matched.notes,
    )
