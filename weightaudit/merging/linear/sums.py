"""The arithmetic of a linear merge: W₀ + Σ wᵢ(Wᵢ − W₀), or Σ wᵢWᵢ without a base, in float64 and in the models' order.

It is rounded as torch rounds: to float32, and from there to 16 bits where that is what is written; to float64 not at
all. So it is torch's own sum of ``.double()`` tensors, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.dtypes import BY_NAME

PIECE = 1 << 20
"""Entries that are added up at once."""
ARITHMETIC = {
    True: "W0 + sum_i w_i (W_i - W0), in float64, in this order; rounded to float32, then to the stored dtype",
    False: "sum_i w_i W_i, in float64, in this order; rounded to float32, then to the stored dtype",
}
"""With a base or without, as the merge's file says it."""


def merged_pieces(
    base: Array | None, models: Sequence[Array | Product | None], weights: Sequence[float], dtype: str
) -> Iterator[Array]:
    """The merged tensor in pieces of rows, in order. None stands for a model that has the base's; a product is as the
    tensor is stored.
    """
    shape = base.shape if base is not None else _shape(models[0])
    rows = shape[0] if shape else 1
    width = int(np.prod(shape[1:], dtype=np.int64)) if shape else 1
    step = max(1, PIECE // max(1, width))
    flat_base = None if base is None else base.reshape(rows, width)
    for top in range(0, rows, step):
        its = slice(top, min(top + step, rows))
        with np.errstate(all="ignore"):
            yield _rounded(_summed(flat_base, models, weights, its, width), dtype)


def _summed(
    base: Array | None, models: Sequence[Array | Product | None], weights: Sequence[float], its: slice, width: int
) -> Array:
    before = None if base is None else base[its].astype(np.float64)
    total = None if before is None else before.copy()
    for model, weight in zip(models, weights, strict=True):
        if model is None:
            continue
        term = weight * _change(model, before, its, width)
        total = term if total is None else total + term
    assert total is not None
    return total


def _change(model: Array | Product, before: Array | None, its: slice, width: int) -> Array:
    if isinstance(model, Product):
        return (model.left[its].astype(np.float64) * model.scale) @ model.right.astype(np.float64)
    own: Array = model.reshape(-1, width)[its].astype(np.float64)
    return own if before is None else own - before


def _rounded(total: Array, dtype: str) -> Array:
    if dtype == "float64":
        return total
    single = total.astype(np.float32)
    return single if dtype == "float32" else single.astype(BY_NAME[dtype].numpy)


def _shape(model: Array | Product | None) -> tuple[int, ...]:
    assert model is not None
    return model.shape
