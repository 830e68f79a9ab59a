"""What an adapter changes, measured by its factors: ΔW = s·B·A is never formed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.records import DEAD_DIRECTION, AdapterFacts
from weightaudit.spectral import LowRank


def operator_of(products: Sequence[Product]) -> LowRank:
    """The vertical stack of ``products`` as one: block by block on the left, one below the other on the right.

    The scales are multiplied into the right factors, in float64, where they differ.
    """
    if len(products) == 1:
        return LowRank(products[0].left, products[0].right, products[0].scale)
    scales = {product.scale for product in products}
    shared = scales.pop() if len(scales) == 1 else 1.0
    right = [
        product.right.astype(np.float64) * (1.0 if shared == product.scale else product.scale) for product in products
    ]
    return LowRank(_block_diagonal([product.left for product in products]), np.concatenate(right), shared)


def facts_of(products: Sequence[Product], operator: LowRank) -> AdapterFacts:
    """What the factors of the vertical stack of ``products``, which is ``operator``, say of it."""
    rank = sum(product.rank for product in products)
    scales = {product.scale for product in products}
    scale = scales.pop() if len(scales) == 1 else math.nan
    most = min(rank, *operator.shape)
    untrained = all(product.untrained for product in products)
    values = operator.singular_values()
    largest = float(values.max(initial=0.0))
    if not math.isfinite(largest):
        return AdapterFacts(rank, scale, math.nan, 0, untrained)
    alive = int(np.count_nonzero(values >= DEAD_DIRECTION * largest)) if largest else 0
    return AdapterFacts(rank, scale, _effective_rank(values), most - alive, untrained)


def _effective_rank(values: Array) -> float:
    total = float(values.sum())
    if not total:
        return math.nan
    shares = values[values > 0.0] / total
    return float(np.exp(-np.dot(shares, np.log(shares))))


def _block_diagonal(blocks: Sequence[Array]) -> Array:
    rows, cols = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    whole = np.zeros((rows, cols))
    row = col = 0
    for block in blocks:
        whole[row : row + block.shape[0], col : col + block.shape[1]] = block
        row, col = row + block.shape[0], col + block.shape[1]
    return whole
