"""The model that another was made from: how far each matrix is from the one in its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from weightaudit.arrays import Array, Product, on_cache_lines
from weightaudit.audit.groups import Beside
from weightaudit.audit.held import Held
from weightaudit.audit.matching import Matched, Reference, first_rows, opened_reference
from weightaudit.audit.pieces import cut, pieces_of
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig
from weightaudit.records import BaseFacts, RoleMatrix, Spectrum
from weightaudit.spectral import Difference
from weightaudit.spectral.threads import one_blas_thread

TILE = 64
"""Rows of effective weights that are made at once."""


class Comparison:
    """Matrices of a model and those of a base that they are compared with, as they are ``matched``.

    What of the base is read beside a group of matrices lies in the same memory as these, so that one bound holds for
    both.
    """

    def __init__(self, checkpoint: Checkpoint, matched: Matched) -> None:
        self.checkpoint, self.counterparts, self.notes = checkpoint, matched.counterparts, matched.notes

    def beside(self) -> dict[str, Beside]:
        """What is read of the base for each matrix, by its key."""
        held = self.checkpoint.tensors
        return {
            key: Beside((tuple(pieces_of(one.matrix, held)),), scratch_for(one.matrix) if one.changed else 0)
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
        base = first_rows(cut(found.matrix, held.beside[0].arrays), found.rows)
        products = [block for block in blocks if isinstance(block, Product)]
        if not products:
            own = first_rows([block for block in blocks if not isinstance(block, Product)], found.rows)
            return base_facts(measured(Difference(own, base)), measured(base))
        effective = effective_weights(base, products, held.spare(scratch_for(found.matrix)))
        scaled = any(product.magnitude is not None for product in products)
        change = measured(Difference(effective, base)) if scaled else spectrum
        return base_facts(change, measured(base), measured(effective))


def effective_weights(base: Sequence[Array], products: Sequence[Product], into: Array) -> Array:
    """W + ΔW, rounded to float32, in the memory ``into``: of the stack of ``base`` blocks and that of ``products``.

    Where a product has magnitudes, which DoRA trains, its rows are those of W + ΔW scaled to these norms.
    """
    rows, cols = sum(map(len, base)), base[0].shape[1]
    made = into.view(np.float32)[: rows * cols].reshape(rows, cols)
    _stacked(base, made)
    top = 0
    with one_blas_thread, np.errstate(all="ignore"):
        for product in products:
            own = made[top : top + product.shape[0]]
            left, right = product.left.astype(np.float64) * product.scale, product.right.astype(np.float64)
            for first in range(0, len(own), TILE):
                its = slice(first, first + TILE)
                tile = own[its].astype(np.float64)
                tile += left[its] @ right
                if product.magnitude is not None:
                    norms = np.sqrt(np.einsum("ij,ij->i", tile, tile))
                    tile *= (product.magnitude[its].astype(np.float64) / norms)[:, None]
                own[its] = tile
            top += len(own)
    return made


def _stacked(blocks: Sequence[Array], into: Array) -> None:
    top = 0
    for block in blocks:
        into[top : top + len(block)] = block
        top += len(block)


def scratch_for(matrix: RoleMatrix) -> int:
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


@contextmanager
def opened_base(config: AuditConfig) -> Iterator[Reference | None]:
    """The base that ``config`` names, None where it names none. ModelError, which says that it is of the base."""
    if config.base is None:
        yield None
        return
    with opened_reference(config.base, config, called="base", revisions=False) as base:
        yield base
