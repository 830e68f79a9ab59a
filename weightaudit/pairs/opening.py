"""The models that a comparison is of, opened, and which of their matrices stand beside one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

from weightaudit.audit.aggregates import overlapping_keys
from weightaudit.audit.groups import Beside
from weightaudit.audit.matching import MOST_NAMED, Counterpart, Matched, Reference, opened_reference
from weightaudit.audit.opening import AnyModel, adopt_names, map_of, open_named, saying_so
from weightaudit.audit.pieces import pieces_of
from weightaudit.audit.rules.wording import listed, where
from weightaudit.audit.selection import select
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig
from weightaudit.errors import MappingError, UsageError
from weightaudit.records import ModelIdentity, ModelMap, RoleMatrix, TensorInfo
from weightaudit.text import printable


@dataclass(frozen=True)
class Adapter:
    """An adapter that may have been merged: its matrices by the keys of those of the base that they change; ``notes``
    say which these are not.
    """

    checkpoint: Checkpoint
    map: ModelMap
    matrices: dict[str, RoleMatrix]
    tensors: dict[str, TensorInfo]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """``matrix`` of the derived model beside that of the base, and what may explain the difference: matrices of
    ``parents``, None of one that has none there, and the one that an ``adapter`` has.
    """

    matrix: RoleMatrix
    base: Counterpart
    parents: tuple[Counterpart | None, ...] = ()
    adapter: RoleMatrix | None = None


@dataclass
class Models:
    """``base`` and ``derived`` with its ``map``; ``parents`` of a merge, and an ``adapter`` that may be in it."""

    base: Reference
    derived: Checkpoint
    map: ModelMap
    config: AuditConfig
    parents: tuple[Reference, ...] = ()
    adapter: Adapter | None = None

    @property
    def beside(self) -> list[tuple[str, Checkpoint]]:
        """What is read beside the derived model, in order, and what errors call it."""
        adapter = [("adapter", self.adapter.checkpoint)] if self.adapter is not None else []
        parents = (("parent", parent.checkpoint) for parent in self.parents)
        return [("base", self.base.checkpoint), *parents, *adapter]

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """Those of what may explain the difference."""
        return tuple(checkpoint.identity for _, checkpoint in self.beside[1:])

    @cached_property
    def tensors(self) -> dict[str, TensorInfo]:
        """Those of the derived model, by name."""
        return self.base.in_order(self.map, self.derived.tensors)

    @property
    def is_adapter(self) -> bool:
        """Whether the derived model is an adapter to the base."""
        return self.derived.identity.adapter is not None

    @property
    def partial(self) -> tuple[str, ...]:
        """Options that leave a part out."""
        asked = (("--roles", self.config.roles), ("--layers", self.config.layers))
        return tuple(name for name, value in asked if value is not None)

    @property
    def whole(self) -> bool:
        """Whether the derived model should have all that the base has."""
        return not self.partial and not self.is_adapter

    @cached_property
    def chosen(self) -> tuple[RoleMatrix, ...]:
        """The matrices that are compared, each weight once."""
        chosen = select(self.map, self.config.roles, self.config.layers)
        twice = overlapping_keys(chosen)
        return tuple(matrix for matrix in chosen if matrix.key not in twice)

    @cached_property
    def matched(self) -> Matched:
        """The derived model's matrices beside the base's."""
        return self.base.match(self.chosen, self.map, self.tensors, whole=self.whole)

    @cached_property
    def _of_parents(self) -> list[Matched]:
        """The derived model's matrices that are compared beside those of each parent, as many rows of them."""
        found = self.matched.counterparts
        chosen = [matrix for matrix in self.chosen if matrix.key in found]
        rows = {key: one.rows for key, one in found.items()}
        return [parent.match(chosen, self.map, self.tensors, whole=False, rows=rows) for parent in self.parents]

    @property
    def notes(self) -> Iterator[str]:
        """Sentences about the models, and about what is not compared of them."""
        yield from self.derived.notes
        yield from self.matched.notes
        for of_parent in self._of_parents:
            yield from of_parent.notes
        if self.adapter is not None:
            yield from self.adapter.notes
            compared = {pair.base.matrix.key for pair in self.pairs}
            rest = [where(matrix) for key, matrix in self.adapter.matrices.items() if key not in compared]
            if rest:
                name = printable(self.adapter.checkpoint.identity.name)
                yield f"Not compared, though adapter {name} changes them: {listed(rest, MOST_NAMED)}."

    @cached_property
    def pairs(self) -> list[Pair]:
        """Matrices with a partner, in report order."""
        found = self.matched.counterparts
        chosen = [matrix for matrix in self.chosen if matrix.key in found]
        changed = self.adapter.matrices if self.adapter is not None else {}
        return [
            Pair(
                matrix,
                found[matrix.key],
                tuple(of_parent.counterparts.get(matrix.key) for of_parent in self._of_parents),
                changed.get(found[matrix.key].matrix.key),
            )
            for matrix in chosen
        ]

    def read_for(self, pair: Pair, scratch: int) -> Beside:
        """What is read beside the matrix of a ``pair``, with ``scratch`` bytes to compute in."""
        tensors = [pieces_of(pair.base.matrix, self.base.checkpoint.tensors)]
        for parent, found in zip(self.parents, pair.parents, strict=True):
            tensors.append(pieces_of(found.matrix, parent.checkpoint.tensors) if found is not None else [])
        if self.adapter is not None:
            tensors.append(pieces_of(pair.adapter, self.adapter.tensors) if pair.adapter is not None else [])
        return Beside(tuple(map(tuple, tensors)), scratch)

    def check_unchanged(self) -> None:
        """Raise CheckpointError where a file that was read is another one now."""
        self.derived.check_unchanged()
        for called, checkpoint in self.beside:
            with saying_so(called):
                checkpoint.check_unchanged()


@contextmanager
def opened_models(
    base: AnyModel, derived: AnyModel, config: AuditConfig, parents: Sequence[AnyModel], adapter: AnyModel | None
) -> Iterator[Models]:
    """The models, each a path, a weight file, or a Hub id that may carry a revision: ``id@revision``.

    ModelError of what cannot be read or is no model of this kind, which says which it is.
    """
    with ExitStack() as opened:

        def reference(model: AnyModel, called: str) -> Reference:
            return opened.enter_context(opened_reference(model, config, called=called))

        own = reference(base, "base")
        other = opened.enter_context(open_named(derived, config))
        adopt_names(other, own.checkpoint)
        models = Models(
            own,
            other,
            map_of(other, own.config),
            config,
            tuple(reference(parent, "parent") for parent in parents),
            _adapter(opened, adapter, own, config) if adapter is not None else None,
        )
        yield models


def _adapter(opened: ExitStack, name: AnyModel, base: Reference, config: AuditConfig) -> Adapter:
    with saying_so("adapter"):
        checkpoint = opened.enter_context(open_named(name, config))
        if checkpoint.identity.adapter is None:
            where_it_is = printable(checkpoint.identity.location, limit=1000)
            raise UsageError(f"adapter {where_it_is}", "it is a whole model", "Name it with --parents")
        adopt_names(checkpoint, base.checkpoint)
        model_map = map_of(checkpoint, base.config)
    tensors = base.in_order(model_map, checkpoint.tensors)
    twice = overlapping_keys(model_map.matrices)
    by_key = {matrix.key: matrix for matrix in model_map.matrices if matrix.key not in twice}
    try:
        matched = base.match([*by_key.values()], model_map, tensors, whole=False)
    except MappingError as error:
        where_it_is = printable(checkpoint.identity.location, limit=1000)
        cause = f"it does not fit {error.thing}, for {error.cause}"
        raise MappingError(f"adapter {where_it_is}", cause, "Name an adapter that was made for this base") from error
    matrices = {found.matrix.key: by_key[key] for key, found in matched.counterparts.items()}
    named = f"Adapter {printable(checkpoint.identity.name)}"
    notes = [f"{named}: {note}" for note in matched.notes]
    there = {name for matrix in base.map.matrices for name in matrix.tensors}
    if odd := [entry.tensor for entry in model_map.coverage if entry.status == "unmapped" and entry.tensor in there]:
        notes.append(f"{named}: not compared, for they have other sizes in {base.called}: {listed(odd, MOST_NAMED)}.")
    return Adapter(checkpoint, model_map, matrices, tensors, tuple(notes))
