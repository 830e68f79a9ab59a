"""Which matrix of one model stands where another's does: by place, whatever the names and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from weightaudit.architecture import map_model, serves, types_of
from weightaudit.arrays import Array
from weightaudit.audit.opening import AnyModel, open_model, open_named, saying_so
from weightaudit.audit.rules.wording import listed, where
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig
from weightaudit.errors import MappingError
from weightaudit.records import ModelIdentity, ModelMap, RoleMatrix, TensorInfo
from weightaudit.text import plural, printable

MOST_NAMED = 8
"""Matrices named one by one in a note."""
VOCABULARY = ("EMBED", "HEAD")
"""Roles whose rows are tokens, of which a model may have been given more."""
HEADS = {"Q": "heads", "K": "kv_heads"}
"""Roles whose rows come by heads, and what the number of these is called."""
FREE_NAMES = ("gguf",)
"""Families that tell nothing of the architecture: the names of a GGUF file are the same in all."""
ADVICE = {
    "model": (
        "Name models that were made from the same one",
        "Name the model that it changes with --base",
    ),
    "merge": ("Name a merge of these models", "Name a merge of these models, a whole one"),
    "base": (
        "Name the model that this one was made from",
        "Name the model that it changes; `weightaudit diff BASE DERIVED --adapter ADAPTER` says whether it was merged",
    ),
    "parent": ("Name a model that was made from the same base", "Ask for it with --adapter"),
}
"""What to do where another model does not fit, and where it is an adapter, by what it is called."""


@dataclass(frozen=True)
class Counterpart:
    """The ``matrix`` of a base that another is compared with, the first ``rows`` of both; or that is ``changed`` by
    what an adapter has in its place.
    """

    matrix: RoleMatrix
    rows: int
    changed: bool = False


@dataclass(frozen=True)
class Matched:
    """The matrices of a model beside those of another: ``counterparts`` by key; ``only_here`` and ``only_there`` have
    none. ``notes`` say what is not compared.
    """

    counterparts: Mapping[str, Counterpart] = field(default_factory=dict)
    only_here: tuple[RoleMatrix, ...] = ()
    only_there: tuple[RoleMatrix, ...] = ()
    notes: tuple[str, ...] = ()


class Reference:
    """A model that others are compared with, of a ``kind`` that sentences name: "base", "parent". ``checkpoint``,
    ``identity``, ``config`` and ``map`` are its own.
    """

    def __init__(self, checkpoint: Checkpoint, model_map: ModelMap, kind: str = "base") -> None:
        self.checkpoint, self.map, self._kind = checkpoint, model_map, kind

    @property
    def identity(self) -> ModelIdentity:
        return self.checkpoint.identity

    @property
    def config(self) -> dict[str, Any] | None:
        """Its config, by which names of PEFT's adapters are read; None where it has none, or has other names."""
        return None if self.map.guessed or self.map.family in FREE_NAMES else self.checkpoint.config

    def match(
        self,
        matrices: Sequence[RoleMatrix],
        model_map: ModelMap,
        tensors: Mapping[str, TensorInfo],
        *,
        whole: bool,
        rows: Mapping[str, int] | None = None,
    ) -> Matched:
        """``matrices`` of the model of ``model_map``, cut from ``tensors``, beside those of the same places.

        ``whole`` says that they are all that there should be, ``rows`` how many are wanted of each by its key, None as
        many as both have. MappingError where none of its layers' matrices can be compared.
        """
        known, called = self._by_key(), {matrix.tensors: matrix for matrix in self.map.matrices if matrix.is_whole}
        found: dict[str, Counterpart] = {}
        missing: list[RoleMatrix] = []
        odd: list[tuple[RoleMatrix, RoleMatrix]] = []
        resized: list[str] = []
        alone: dict[str, list[RoleMatrix]] = {}
        for matrix in matrices:
            changed = any(tensors[name].factored for name in matrix.tensors)
            # A change that has no role is called as what it changes.
            other = known.get(matrix.key) or (called.get(matrix.tensors) if changed else None)
            if why := next((tensors[name].alone for name in matrix.tensors if tensors[name].alone), ""):
                alone.setdefault(why, []).append(matrix)
            elif other is None:
                missing.append(matrix)
            elif (common := _common_rows(matrix, other, exactly=changed)) is None or (
                rows is not None and common < rows[matrix.key]
            ):
                odd.append((matrix, other))
            else:
                found[matrix.key] = Counterpart(other, common, changed)
                if matrix.shape != other.shape and rows is None:
                    resized.append(f"{_sizes(matrix, other)} in {self.called}: the first {common:,} rows are compared.")
        families = self._families(model_map)
        shut_out = {matrix.key for own in alone.values() for matrix in own}
        self._check_alike([matrix for matrix in matrices if matrix.key not in shut_out], found, odd, missing, families)
        notes = [
            *self._of_families(families),
            *resized,
            *self._of_odd(odd),
            *self._of_missing(missing),
            *(f"Not compared, for {why}: {_several(map(where, own))}." for why, own in alone.items()),
        ]
        others: list[RoleMatrix] = []
        if whole:
            here = {matrix.key for matrix in model_map.matrices}
            others = [matrix for matrix in self.map.matrices if matrix.key not in here]
            others = [matrix for matrix in others if set(matrix.tensors) - self._tied]
            notes += self._of_others(others)
        lone = [*missing, *(matrix for matrix, _ in odd), *(matrix for own in alone.values() for matrix in own)]
        return Matched(found, tuple(lone), (*others, *(other for _, other in odd)), tuple(notes))

    def in_order(self, model_map: ModelMap, tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
        """``tensors`` of the model of ``model_map``, changes of whose Q and K are stored head by head and do not say
        of how many: with the number that this has.
        """
        ordered = dict(tensors)
        for matrix in model_map.matrices:
            info = tensors[matrix.tensors[0]]
            heads = self.map.dimensions.get(HEADS.get(matrix.role, ""), 0)
            if info.unordered and heads > 0 and not info.shape[0] % (2 * heads):
                ordered[info.name] = info.with_parameters(heads=heads, alone="")
        return ordered

    def check_unchanged(self) -> None:
        """Raise CheckpointError where a file that was read is another one now."""
        with saying_so(self._kind):
            self.checkpoint.check_unchanged()

    @property
    def called(self) -> str:
        """What it is in sentences: "base org/model"."""
        return f"{self._kind} {printable(self.identity.name)}"

    def _by_key(self) -> dict[str, RoleMatrix]:
        """Its matrices; where it has no output head of its own, the embedding that it is tied to is it."""
        known = {matrix.key: matrix for matrix in self.map.matrices}
        for matrix in self.map.matrices:
            if self.map.tied and matrix.role == "EMBED" and matrix.layer is None:
                known.setdefault(replace(matrix, role="HEAD").key, matrix)
        return known

    def _check_alike(
        self,
        matrices: Sequence[RoleMatrix],
        found: Mapping[str, Counterpart],
        odd: Sequence[tuple[RoleMatrix, RoleMatrix]],
        missing: Sequence[RoleMatrix],
        families: Sequence[str],
    ) -> None:
        layered = {matrix.key: matrix for matrix in matrices if matrix.layer is not None}
        layered = layered or {matrix.key: matrix for matrix in matrices}
        of_layers = [pair for pair in odd if pair[0].key in layered]
        compared = not layered.keys().isdisjoint(found)
        if not layered or (compared and not (families and of_layers)):
            return
        lacking = next((where(matrix) for matrix in missing if matrix.key in layered), "")
        why = f"{_sizes(*of_layers[0])} there" if of_layers else f"it has no {lacking}"
        family = f", of family {families[1]} and not {families[0]}" if families else ""
        none = "" if compared else f"; of {plural(len(layered), 'matrix', 'matrices')} none can be compared"
        raise MappingError(
            f"{self._kind} {printable(self.identity.location, limit=1000)}",
            f"it is another model{family}: {why}{none}",
            ADVICE[self._kind][0],
        )

    def _families(self, model_map: ModelMap) -> list[str]:
        """The families of the model and of this, where both are known and they differ; else nothing."""
        told = [one.family for one in (model_map, self.map) if not one.guessed and one.family not in FREE_NAMES]
        return told if len(set(told)) > 1 else []

    def _of_families(self, families: Sequence[str]) -> Iterator[str]:
        if families:
            yield f"This model is of family {families[0]}, {self.called} of family {families[1]}: all sizes agree."

    def _of_odd(self, odd: Iterable[tuple[RoleMatrix, RoleMatrix]]) -> Iterator[str]:
        if sizes := [f"{_sizes(*pair)} there" for pair in odd]:
            yield f"Not compared, for they have other sizes in {self.called}: {_several(sizes)}."

    def _of_missing(self, missing: Sequence[RoleMatrix]) -> Iterator[str]:
        if not missing:
            return
        unread = Counter(entry.detail for entry in self.map.coverage if entry.status == "unmapped" and entry.scheme)
        why = "".join(f" {plural(number, 'tensor')} there cannot be read: {why}." for why, number in unread.items())
        yield f"Not compared, for {self.called} does not have them: {_several(map(where, missing))}.{why}"

    def _of_others(self, others: Sequence[RoleMatrix]) -> Iterator[str]:
        if others:
            yield f"Only {self.called} has them: {_several(map(where, others))}."

    @cached_property
    def _tied(self) -> set[str]:
        return {tensor for tensor, _ in self.map.ties}


@contextmanager
def opened_reference(
    model: AnyModel, config: AuditConfig, *, called: str, revisions: bool = True
) -> Iterator[Reference]:
    """``model``, opened as ``config`` says where it may come from, and where it may carry one at the revision in its
    name, ``id@revision``, unless ``revisions`` is off. ModelError, which says what it is ``called``; for an
    adapter too, which changes a model and is none.
    """
    with saying_so(called):
        checkpoint = open_named(model, config) if revisions else open_model(model, None, config)
    with checkpoint:
        if checkpoint.identity.adapter is not None:
            where_it_is = printable(checkpoint.identity.location, limit=1000)
            raise MappingError(
                f"{called} {where_it_is}",
                f"it is {checkpoint.identity.adapter.label} itself",
                ADVICE[called][1],
            )
        with saying_so(called):
            reference = Reference(checkpoint, _map_of(checkpoint, config), called)
        yield reference


def _map_of(checkpoint: Checkpoint, config: AuditConfig) -> ModelMap:
    """Its map, by the spec that is asked for where that is for such models too."""
    said, spec = checkpoint.config, config.spec
    if spec is not None and not serves(spec, *types_of(said)):
        spec = None
    return map_model(said, checkpoint.tensors, everything=config.all, spec=spec)


def _common_rows(matrix: RoleMatrix, other: RoleMatrix, *, exactly: bool) -> int | None:
    """How many rows of both are compared: all, or of a table of tokens, where not ``exactly`` so, those that both have;
    None for none.
    """
    if matrix.shape == other.shape:
        return matrix.shape[0]
    if exactly:
        return None
    alike = matrix.layer is None and matrix.shape[1] == other.shape[1]
    return min(matrix.shape[0], other.shape[0]) if alike and matrix.role in VOCABULARY else None


def first_rows(blocks: Sequence[Array], rows: int) -> list[Array]:
    """The first ``rows`` of the stack of ``blocks``."""
    kept: list[Array] = []
    left = rows
    for block in blocks:
        if left > 0:
            kept.append(block[:left])
            left -= len(block)
    return kept


def _sizes(matrix: RoleMatrix, other: RoleMatrix) -> str:
    here, there = (" × ".join(f"{size:,}" for size in one.shape) for one in (matrix, other))
    return f"{where(matrix)} is {here} here and {there}"


def _several(names: Iterable[str]) -> str:
    return listed(names, MOST_NAMED)
