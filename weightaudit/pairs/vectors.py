"""Norms, biases and all else without a role: which stand beside one another, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from weightaudit.arrays import Array
from weightaudit.audit.groups import ReadGroup
from weightaudit.audit.held import Held, Stored
from weightaudit.audit.others import to_be_looked_at
from weightaudit.checkpoint import Checkpoint
from weightaudit.pairs.explain import explain
from weightaudit.pairs.kinds import kind_of_vector
from weightaudit.pairs.names import in_words_of_base, plain_names
from weightaudit.pairs.opening import Models
from weightaudit.records import Change, ModelMap, OneSided, Place, RoleMatrix, TensorInfo
from weightaudit.spectral import ThreadTeam, digest
from weightaudit.spectral.entry_changes import entry_changes
from weightaudit.spectral.float_bits import FLOAT_BITS

_Tensors = dict[str, TensorInfo]


@dataclass(frozen=True)
class Vector:
    """A tensor without a role of the ``derived`` model and that of the ``base``, and what may explain the difference:
    those of ``parents``, None of one that has none, and the one that an ``adapter`` has.
    """

    derived: TensorInfo
    base: TensorInfo
    parents: tuple[TensorInfo | None, ...] = ()
    adapter: TensorInfo | None = None

    @property
    def beside(self) -> list[tuple[TensorInfo, ...]]:
        """What is read beside it of each of the other models."""
        return [(self.base,), *(() if info is None else (info,) for info in (*self.parents, self.adapter))]


@dataclass(frozen=True)
class Vectors:
    """Tensors without a role: ``pairs`` by the name of the derived model's, and those that one side has alone."""

    pairs: dict[str, Vector] = field(default_factory=dict)
    one_sided: tuple[OneSided, ...] = ()

    def groups(self, models: int) -> Iterator[ReadGroup]:
        """What is read for each, together, of so many other models."""
        return (ReadGroup((one.derived,), (), tuple(one.beside[:models])) for one in self.pairs.values())


def match_vectors(models: Models) -> Vectors:
    """Those of one name, and of one size but for the first dimension, in both models.

    A name is taken without what a wrapper of the model has added to it, and as the base has it (`in_words_of_base`).
    """
    there = _by_name(models.base.checkpoint, models.base.map)

    def named(checkpoint: Checkpoint, model_map: ModelMap, pairs: Iterable[tuple[RoleMatrix, RoleMatrix]]) -> _Tensors:
        own = _by_name(checkpoint, model_map)
        names = in_words_of_base([name for name in own if name not in there], model_map, models.base.map, pairs)
        renamed = {names.get(name, name): info for name, info in own.items()}
        return renamed if len(renamed) == len(own) else own

    here = named(models.derived, models.map, ((pair.matrix, pair.base.matrix) for pair in models.pairs))
    of_parents = [
        named(
            parent.checkpoint,
            parent.map,
            ((found.matrix, pair.base.matrix) for pair in models.pairs if (found := pair.parents[number]) is not None),
        )
        for number, parent in enumerate(models.parents)
    ]
    of_adapter: _Tensors = {}
    if models.adapter is not None:
        changed = ((pair.adapter, pair.base.matrix) for pair in models.pairs if pair.adapter is not None)
        of_adapter = named(models.adapter.checkpoint, models.adapter.map, changed)
    pairs: dict[str, Vector] = {}
    for name, info in here.items():
        if name in there and _comparable(info, there[name]):
            base = there[name]
            parents = tuple(_fitting(of_parent.get(name), info, base) for of_parent in of_parents)
            pairs[name] = Vector(info, base, parents, _fitting(of_adapter.get(name), info, base))
    sides: list[tuple[Literal["base", "derived"], _Tensors]] = [("derived", here)]
    if models.whole:
        sides.append(("base", there))
    lone = [
        OneSided(Place(), (info.name,), info.shape, side)
        for side, tensors in sides
        for name, info in tensors.items()
        if name not in pairs
    ]
    return Vectors({one.derived.name: one for one in pairs.values()}, tuple(lone))


def _by_name(checkpoint: Checkpoint, model_map: ModelMap) -> _Tensors:
    """By the names that a loader expects; buffers, which are no parameters, are left out."""
    plain = plain_names(model_map)
    return {
        plain.get(info.name, info.name): info
        for entry, info in to_be_looked_at(model_map, checkpoint.tensors)
        if not entry.buffer and not info.factored
    }


def _comparable(info: TensorInfo, other: TensorInfo) -> bool:
    return info.shape == other.shape or (len(info.shape) == len(other.shape) > 0 and info.shape[1:] == other.shape[1:])


def _fitting(info: TensorInfo | None, derived: TensorInfo, base: TensorInfo) -> TensorInfo | None:
    """``info`` where it has all of what is compared of the two."""
    if info is None or not _comparable(info, base):
        return None
    common = _common(derived.shape, base.shape)
    return info if _common(info.shape, base.shape) >= common else None


def _common(shape: Sequence[int], other: Sequence[int]) -> int:
    """Rows that both have."""
    return min(shape[0], other[0]) if shape else 1


def vector_change(vector: Vector, held: Held, team: ThreadTeam) -> Change:
    """What became of the ``vector`` that ``held`` has been read for."""
    after, before = held.own.arrays[vector.derived.name], held.beside[0].arrays[vector.base.name]
    common = _common(after.shape, before.shape)
    as_complex = "c" in (after.dtype.kind, before.dtype.kind)
    infos = [*vector.parents, *([vector.adapter] if vector.adapter is not None else [])]
    others = [
        stored.arrays[info.name]
        for info, stored in zip(infos, _of_others(vector, held), strict=True)
        if info is not None
    ]
    W0, W1, *parents = (
        _as_row(tensor[:common] if tensor.ndim else tensor, as_complex=as_complex)
        for tensor in (before, after, *others)
    )
    facts = entry_changes(W0, W1, team=team)
    same = W0.dtype == W1.dtype and digest([W0]) == digest([W1])
    return Change(
        place=Place(),
        tensors=(vector.derived.name,),
        tensors_base=(vector.base.name,),
        shape=after.shape,
        shape_base=before.shape,
        dtype=after.dtype.name,
        dtype_base=before.dtype.name,
        kind="unchanged" if same else kind_of_vector(W0[0], W1[0], facts).kind,
        entries=facts,
        relative=facts.relative,
        recipe=explain([W0], [W1], [[one] for one in parents], facts, base_too=vector.adapter is None)
        if infos and len(parents) == len(infos)
        else None,
    )


def _of_others(vector: Vector, held: Held) -> Sequence[Stored]:
    """What has been read of the parents, or of the adapter where that has one."""
    return held.beside[1:] if vector.adapter is not None else held.beside[1 : 1 + len(vector.parents)]


def _as_row(tensor: Array, *, as_complex: bool) -> Array:
    """All entries in one row, of a dtype that is compared: integers and floats of 8 bits as floats that hold them, real
    and imaginary parts side by side where one of the two is ``as_complex``.
    """
    row = tensor.reshape(1, -1)
    if as_complex:
        row = np.ascontiguousarray(row.astype(np.complex128) if row.dtype.kind != "c" else row)
        row = row.view(row.real.dtype)
    if row.dtype.name in FLOAT_BITS:
        return row
    return row.astype(np.float32 if row.dtype.itemsize == 1 else np.float64)
