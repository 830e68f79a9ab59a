"""The arithmetic of a linear merge: W₀ + Σ wᵢ(Wᵢ − W₀), or Σ wᵢWᵢ without a base, in float64 and in the models' order.

It is rounded as torch rounds: to float32, and from there to 16 bits where that is what is written; to float64 not at
all. So it is torch's own sum of ``.double()`` tensors, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import ml_dtypes
import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.dtypes import BY_NAME

_Place = tuple[slice, slice]

PIECE = 1 << 20
"""Entries that are added up at once."""
ARITHMETIC = {
    True: "W0 + sum_i w_i (W_i - W0), in float64, in this order; rounded to float32, then to the stored dtype",
    False: "sum_i w_i W_i, in float64, in this order; rounded to float32, then to the stored dtype",
}
"""With a base or without, as the merge's file says it."""


def merged_pieces(
    base: Array | None, models: Sequence[Array | Product | None], weights: Sequence[float], dtype: str
) -> Iterator[tuple[Array, int]]:
    """The merged tensor in pieces, in the order of its entries, each with how many finite sums ``dtype`` cannot hold.

    None stands for a model that has the base's; a product is as the tensor is stored.
    """
    shape = base.shape if base is not None else _shape(models[0])
    rows, width = math.prod(shape[:-1]), shape[-1] if shape else 1
    if not rows * width:
        return
    before = None if base is None else base.reshape(rows, width)
    terms = [model if isinstance(model, Product | None) else model.reshape(rows, width) for model in models]
    for place in _places(rows, width):
        with np.errstate(all="ignore"):
            total = _summed(before, terms, weights, place)
            rounded = _rounded(total, dtype)
            yield rounded, _overflown(total, rounded)


def _places(rows: int, width: int) -> Iterator[_Place]:
    """Pieces of `PIECE` entries at most: of several rows, or of one."""
    step, across = max(1, PIECE // width), min(width, PIECE)
    for top in range(0, rows, step):
        for left in range(0, width, across):
            yield slice(top, min(top + step, rows)), slice(left, min(left + across, width))


def _summed(
    base: Array | None, models: Sequence[Array | Product | None], weights: Sequence[float], place: _Place
) -> Array:
    before = None if base is None else base[place].astype(np.float64)
    total = before
    for model, weight in zip(models, weights, strict=True):
        if model is None:
            continue
        term = weight * _change(model, before, place)
        total = term if total is None else total + term
    assert total is not None
    return total


def _change(model: Array | Product, before: Array | None, place: _Place) -> Array:
    if isinstance(model, Product):
        rows, cols = place
        return (model.left[rows].astype(np.float64) * model.scale) @ model.right[:, cols].astype(np.float64)
    own: Array = model[place].astype(np.float64)
    return own if before is None else own - before


def _rounded(total: Array, dtype: str) -> Array:
    if dtype == "float64":
        return total
    single = total.astype(np.float32)
    return single if dtype == "float32" else single.astype(BY_NAME[dtype].numpy)


def _overflown(total: Array, rounded: Array) -> int:
    if rounded.dtype == np.float64:
        return 0
    large = np.abs(total) > float(ml_dtypes.finfo(rounded.dtype).max)  # type: ignore[no-untyped-call]
    if not large.any():
        return 0
    return int(np.count_nonzero(np.isfinite(total[large]) & ~np.isfinite(rounded[large].astype(np.float64))))


def _shape(model: Array | Product | None) -> tuple[int, ...]:
    assert model is not None
    return model.shape
