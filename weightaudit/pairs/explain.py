"""What a matrix has changed as a sum of what others have: the weights of a linear merge, the scale of an adapter.

Least squares in two passes: the first sums inner products, whose normal equations give weights; the second forms what
these leave, entry by entry, and mends them once. What is left is therefore known far below what rounding to the stored
numbers comes to, which a difference of inner products would not be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array, Product
from weightaudit.records import EntryChanges, Explained
from weightaudit.records.change import COARSE
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.statistics import is_safe
from weightaudit.spectral.threads import one_blas_thread

Numbers = NDArray[np.float64]
Parent = Sequence[Array] | Sequence[Product]

EXACT = 2.0
"""What an exact merge may leave, over what rounding comes to; of finer numbers, whose sums are rounded term by term, as
much again for each parent."""
SPREAD = 4.0
"""What few entries may leave above one times that, over the root of their number: 4.5 standard deviations."""
RESOLVED = 3.0
"""‖D‖_F² of a parent's change over what rounding comes to, below which half an ulp, the most that rounding swallows,
is more than most of its entries: where base and derived model have coarse numbers it has no weight that can be known.
"""


def explain(
    base: Sequence[Array],
    derived: Sequence[Array],
    parents: Sequence[Parent],
    facts: EntryChanges,
    *,
    base_too: bool = True,
) -> Explained:
    """Δ = W₁ − W₀ as the best sum of what ``parents`` change: W_P − W₀ of blocks, the product of an adapter's factors.

    ``base`` and ``derived`` are vertical blocks of W₀ and W₁, of which ``facts`` are known; the parents are as large.
    Where one of them is a matrix, W₀ is a further term if it may be (``base_too``), with the last weight: of an
    interpolation on a sphere it is not 0. A weight is NaN where the parent changes nothing, or nothing that survives
    rounding; all are where an entry of anything is not finite, and where its squares leave float64.
    """
    W0, W1 = block_matrix(list(base), "base"), block_matrix(list(derived), "derived matrix")
    terms = [one if _is_product(one) else block_matrix(list(one), "parent") for one in parents]
    dense = base_too and any(isinstance(term, BlockMatrix) for term in terms)
    with one_blas_thread, np.errstate(all="ignore"):
        gram = np.zeros((1 + len(terms) + dense,) * 2)
        for panel in _panels(W0, W1, terms, dense=dense):
            gram += panel @ panel.T
        squares = np.diagonal(gram)
        if not all(square == 0.0 or is_safe(square) for square in squares.tolist()):
            return Explained((math.nan,) * (len(squares) - 1), math.nan, math.nan, False)
        weights, left, slope = _solve(gram[1:, 1:], gram[0, 1:]), 0.0, np.zeros(len(squares) - 1)
        for panel in _panels(W0, W1, terms, dense=dense):
            rest = panel[0] - weights @ panel[1:]
            slope += panel[1:] @ rest
            left += float(rest @ rest)
        step = _solve(gram[1:, 1:], slope)
        left = max(0.0, left - float(step @ slope))
        weights = weights + step
    # The last summand is what float64 itself has left out of W₁ − W₀, of the terms and of their sum.
    floor = _floor(facts) + UNIT**2 * float(squares[0] + np.square(weights) @ squares[1:])
    rest_over = left / floor if floor else math.inf if left else 0.0
    coarse = facts.precision_derived in COARSE
    return Explained(
        weights=tuple(_known(weights, squares[1:], len(terms), facts)),
        rest=rest_over,
        unexplained=min(1.0, left / float(squares[0])) if squares[0] else 0.0,
        exact=rest_over <= max(EXACT, 1.0 + SPREAD / math.sqrt(facts.entries)) + (0 if coarse else len(terms)),
    )


def _is_product(parent: Parent) -> TypeGuard[Sequence[Product]]:
    return len(parent) > 0 and isinstance(parent[0], Product)


def _panels(
    W0: BlockMatrix, W1: BlockMatrix, terms: Sequence[BlockMatrix | Sequence[Product]], *, dense: bool
) -> Iterator[Numbers]:
    """Some rows at a time, (1 + terms, entries) in float64: Δ, then each term, W₀ last where one is ``dense``."""
    streams = [
        term.panels(True) if isinstance(term, BlockMatrix) else _formed(term, W0) for term in terms
    ]  # all are cut by W₀'s shape
    for before, after, *others in zip(W0.panels(True), W1.panels(True), *streams, strict=True):
        panel = np.empty((1 + len(terms) + dense, before.size))
        np.subtract(after, before, out=panel[0].reshape(before.shape))
        for own, other, term in zip(panel[1:], others, terms, strict=False):
            np.subtract(other, before if isinstance(term, BlockMatrix) else 0.0, out=own.reshape(before.shape))
        if dense:
            panel[-1] = before.reshape(-1)
        yield panel


def _formed(products: Sequence[Product], W0: BlockMatrix) -> Iterator[Numbers]:
    """The stack of ``products`` in the panels of ``W0``."""
    left = BlockMatrix(tuple(product.left for product in products))
    right = [product.right.astype(np.float64) * product.scale for product in products]
    top = 0
    for views in W0.views(True):
        end = top + sum(len(view) for view in views)
        panel = np.zeros((end - top, W0.cols))
        for product, start, its in zip(left.blocks, left.seams, right, strict=False):  # one more seam than blocks
            first, last = max(top, start), min(end, start + len(product))
            if first < last:
                panel[first - top : last - top] = product[first - start : last - start].astype(np.float64) @ its
        yield panel
        top = end


def _solve(gram: Numbers, wanted: Numbers) -> Numbers:
    """The weights of terms whose inner products are ``gram`` for what has the inner products ``wanted`` with them; the
    shortest where several fit: equal parents share."""
    sizes = np.sqrt(np.diagonal(gram))
    scales = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > 0.0)
    solved = np.linalg.lstsq(gram * np.outer(scales, scales), wanted * scales, rcond=1e-12)[0]
    weights: Numbers = solved * scales
    return weights


def _floor(facts: EntryChanges) -> float:
    """What rounding comes to: of the derived model's numbers, and of the base's where both are coarse."""
    both = facts.precision_derived in COARSE and facts.precision_base in COARSE
    return facts.floor + (facts.floor_base if both else 0.0)


def _known(weights: Numbers, squares: Numbers, parents: int, facts: EntryChanges) -> Iterator[float]:
    swallowed = RESOLVED * facts.floor if {facts.precision_base, facts.precision_derived} <= set(COARSE) else 0.0
    for number, (weight, square) in enumerate(zip(weights.tolist(), squares.tolist(), strict=True)):
        yield math.nan if number < parents and square <= swallowed else weight
