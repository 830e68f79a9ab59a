"""The model that another was made from: each matrix beside the one of the same place, and how far it is from that.

What of a base is read beside a group of matrices lies in the same memory as these, so that one bound holds for both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from weightaudit.architecture import map_model
from weightaudit.arrays import Array, Product, on_cache_lines
from weightaudit.audit.reading import Beside, Held, cut, pieces_of
from weightaudit.audit.rules.wording import listed, where
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.config import AuditConfig
from weightaudit.errors import MappingError, ModelError
from weightaudit.records import BaseFacts, ModelIdentity, ModelMap, RoleMatrix, Spectrum, TensorInfo
from weightaudit.spectral import Difference
from weightaudit.spectral.threads import one_blas_thread
from weightaudit.text import plural, printable

TILE = 64
"""Rows of effective weights that are made at once."""
MOST_NAMED = 8
"""Matrices named one by one in a note."""
VOCABULARY = ("EMBED", "HEAD")
"""Roles whose rows are tokens, of which a model may have been given more."""
HEADS = {"Q": "heads", "K": "kv_heads"}
"""Roles whose rows come by heads, and what the number of these is called."""
FREE_NAMES = ("gguf",)
"""Families that tell nothing of the architecture: the names of a GGUF file are the same in all."""


@dataclass(frozen=True)
class Counterpart:
    """The ``matrix`` of a base that another is compared with, the first ``rows`` of both; or that is ``changed`` by
    what an adapter has in its place.
    """

    matrix: RoleMatrix
    rows: int
    changed: bool = False


class Comparison:
    """Matrices of a model and those of a base that they are compared with: ``counterparts`` by key.

    ``notes`` say what is not compared.
    """

    def __init__(
        self, checkpoint: Checkpoint, counterparts: Mapping[str, Counterpart], notes: Sequence[str] = ()
    ) -> None:
        self.checkpoint, self.counterparts, self.notes = checkpoint, counterparts, tuple(notes)

    def beside(self) -> dict[str, Beside]:
        """What is read of the base for each matrix, by its key."""
        held = self.checkpoint.tensors
        return {
            key: Beside(tuple(pieces_of(one.matrix, held)), _scratch(one.matrix) if one.changed else 0)
            for key, one in self.counterparts.items()
        }

    def facts(
        self,
        matrix: RoleMatrix,
        blocks: Sequence[Array] | Sequence[Product],
        held: Held,
        spectrum: Spectrum,
        measured: Callable[[Any], Spectrum],
    ) -> BaseFacts | None:
        """How far ``matrix`` is from what is ``held`` of the base in its place; None where that is nothing.

        ``blocks`` are the matrix, and ``spectrum`` what was measured of it.
        """
        found = self.counterparts.get(matrix.key)
        if found is None:
            return None
        base = _first(cut(found.matrix, held.base), found.rows)
        products = [block for block in blocks if isinstance(block, Product)]
        if not products:
            own = _first([block for block in blocks if not isinstance(block, Product)], found.rows)
            return base_facts(measured(Difference(own, base)), measured(base))
        effective = effective_weights(base, products, held.spare(_scratch(found.matrix)))
        scaled = any(product.magnitude is not None for product in products)
        change = measured(Difference(effective, base)) if scaled else spectrum
        return base_facts(change, measured(base), measured(effective))


def effective_weights(base: Sequence[Array], products: Sequence[Product], into: Array) -> Array:
    """W + ΔW in float32, in the memory ``into``: the stack of ``base`` blocks and that of ``products`` as large.

    Where a product has magnitudes, which DoRA trains, its rows are those of W + ΔW scaled to these norms.
    """
    rows, cols = sum(map(len, base)), base[0].shape[1]
    made = into.view(np.float32)[: rows * cols].reshape(rows, cols)
    _stacked(base, made)
    top = 0
    with one_blas_thread, np.errstate(all="ignore"):
        for product in products:
            own = made[top : top + product.shape[0]]
            left = (product.left.astype(np.float64) * product.scale).astype(np.float32)
            right = product.right.astype(np.float32)
            for first in range(0, len(own), TILE):
                tile = own[first : first + TILE]
                tile += left[first : first + TILE] @ right
                if product.magnitude is not None:
                    norms = np.sqrt(np.einsum("ij,ij->i", tile, tile, dtype=np.float64))
                    wanted = product.magnitude[first : first + TILE].astype(np.float64)
                    tile *= (wanted / norms)[:, None].astype(np.float32)
            top += len(own)
    return made


def _stacked(blocks: Sequence[Array], into: Array) -> None:
    top = 0
    for block in blocks:
        into[top : top + len(block)] = block
        top += len(block)


def _scratch(matrix: RoleMatrix) -> int:
    """Bytes, on cache lines, in which the effective weights of ``matrix`` are made."""
    return on_cache_lines(4 * matrix.parameters)


def base_facts(difference: Spectrum, base: Spectrum, effective: Spectrum | None = None) -> BaseFacts:
    """The facts from what was measured of Q − W and of W."""
    if difference.frobenius_norm == 0.0 and not base.nonfinite:
        return BaseFacts(0.0, 0.0, 0.0, effective)
    if difference.nonfinite or not base.frobenius_norm > 0.0:
        return BaseFacts(math.nan, math.nan, math.nan, effective)
    return BaseFacts(
        difference.frobenius_norm / base.frobenius_norm,
        max(0.0, math.nextafter(_over(difference.spectral_norm, base.spectral_norm_upper), -math.inf)),
        math.nextafter(_over(difference.spectral_norm_upper, base.spectral_norm), math.inf),
        effective,
    )


def _over(norm: float, other: float) -> float:
    return norm / other if other > 0.0 else math.inf


class Base:
    """A model that another may have been made from: ``identity``, ``config`` and ``map`` are its own."""

    def __init__(self, checkpoint: Checkpoint, model_map: ModelMap) -> None:
        self._checkpoint, self.map = checkpoint, model_map

    @property
    def identity(self) -> ModelIdentity:
        return self._checkpoint.identity

    @property
    def config(self) -> dict[str, Any] | None:
        """Its config, by which names of PEFT's adapters are read; None where it has none, or has other names."""
        return None if self.map.guessed or self.map.family in FREE_NAMES else self._checkpoint.config

    def beside(
        self, matrices: Sequence[RoleMatrix], model_map: ModelMap, tensors: Mapping[str, TensorInfo], *, whole: bool
    ) -> Comparison:
        """``matrices`` of the model of ``model_map``, cut from ``tensors``, beside those of the same places.

        ``whole`` says that they are all that there should be. MappingError where none of its layers' matrices can be
        compared.
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
            elif (rows := _common_rows(matrix, other, exactly=changed)) is None:
                odd.append((matrix, other))
            else:
                found[matrix.key] = Counterpart(other, rows, changed)
                if matrix.shape != other.shape:
                    resized.append(
                        f"{_sizes(matrix, other)} in base {self._name}: the first {rows:,} rows are compared."
                    )
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
        if whole:
            here = {matrix.key for matrix in model_map.matrices}
            notes += self._of_others([matrix for matrix in self.map.matrices if matrix.key not in here])
        return Comparison(self._checkpoint, found, notes)

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
        self._checkpoint.check_unchanged()

    @property
    def _name(self) -> str:
        return printable(self.identity.name)

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
        layered = [matrix for matrix in matrices if matrix.layer is not None] or matrices
        of_layers = [pair for pair in odd if pair[0] in layered]
        compared = any(matrix.key in found for matrix in layered)
        if not layered or (compared and not (families and of_layers)):
            return
        lacking = next((where(matrix) for matrix in missing if matrix in layered), "")
        why = f"{_sizes(*of_layers[0])} there" if of_layers else f"it has no {lacking}"
        family = f", of family {families[1]} and not {families[0]}" if families else ""
        none = "" if compared else f"; of {plural(len(layered), 'matrix', 'matrices')} none can be compared"
        raise MappingError(
            f"base {printable(self.identity.location, limit=1000)}",
            f"it is another model{family}: {why}{none}",
            "Name the model that this one was made from",
        )

    def _families(self, model_map: ModelMap) -> list[str]:
        """The families of the model and of this, where both are known and they differ; else nothing."""
        told = [one.family for one in (model_map, self.map) if not one.guessed and one.family not in FREE_NAMES]
        return told if len(set(told)) > 1 else []

    def _of_families(self, families: Sequence[str]) -> Iterator[str]:
        if families:
            yield f"This model is of family {families[0]}, base {self._name} of family {families[1]}: all sizes agree."

    def _of_odd(self, odd: Iterable[tuple[RoleMatrix, RoleMatrix]]) -> Iterator[str]:
        if sizes := [f"{_sizes(*pair)} there" for pair in odd]:
            yield f"Not compared, for they have other sizes in base {self._name}: {_several(sizes)}."

    def _of_missing(self, missing: Sequence[RoleMatrix]) -> Iterator[str]:
        if not missing:
            return
        unread = Counter(entry.detail for entry in self.map.coverage if entry.status == "unmapped" and entry.scheme)
        why = "".join(f" {plural(number, 'tensor')} there cannot be read: {why}." for why, number in unread.items())
        yield f"Not compared, for base {self._name} does not have them: {_several(map(where, missing))}.{why}"

    def _of_others(self, others: Sequence[RoleMatrix]) -> Iterator[str]:
        own = [matrix for matrix in others if set(matrix.tensors) - self._tied]
        if own:
            yield f"Only base {self._name} has them: {_several(map(where, own))}."

    @cached_property
    def _tied(self) -> set[str]:
        return {tensor for tensor, _ in self.map.ties}


@contextmanager
def opened_base(config: AuditConfig) -> Iterator[Base | None]:
    """The base that ``config`` names, None where it names none. ModelError, which says that it is of the base."""
    if config.base is None:
        yield None
        return
    with _saying_so():
        checkpoint = open_checkpoint(
            config.base,
            token=config.token,
            offline=config.offline,
            download=config.download,
            max_wait=config.max_wait,
        )
    with checkpoint:
        if checkpoint.identity.adapter is not None:
            where_it_is = printable(checkpoint.identity.location, limit=1000)
            raise MappingError(
                f"base {where_it_is}",
                f"it is {checkpoint.identity.adapter.label} itself",
                "Name the model that it changes",
            )
        with _saying_so():
            base = Base(checkpoint, map_model(checkpoint.config, checkpoint.tensors))
        yield base


@contextmanager
def _saying_so() -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise type(error)(f"base {error.thing}", error.cause, error.hint) from error


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


def _first(blocks: Sequence[Array], rows: int) -> list[Array]:
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
