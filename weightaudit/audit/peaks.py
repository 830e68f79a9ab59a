"""Where the largest entry of a matrix stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weightaudit.arrays import Array
from weightaudit.records import Peak, RoleMatrix

CHUNK = 1 << 15
"""Entries looked at at once: what is made of them stays in the nearest cache."""


def is_wanted(matrix: RoleMatrix) -> bool:
    """Whether a rule looks for it: of the second maps of MLPs, but of no expert's. Each of those sees some tokens only,
    and adds to what the others of its layer write."""
    return matrix.role == "M2" and matrix.layer is not None and matrix.expert is None


def peak_of(blocks: Sequence[Array]) -> Peak | None:
    """Of (rows, cols) blocks, one below the other, the first in memory of the entries of largest magnitude.

    None where nothing is larger than zero; a NaN hides what is beside it.
    """
    most, found, above = 0, None, 0
    for block in blocks:
        turned = block.strides[0] < block.strides[1]
        in_memory = _bits(block.T if turned else block)
        sign = in_memory.dtype.type(1 << (8 * in_memory.itemsize - 1))
        limit = _bits(np.array(np.inf, block.dtype))
        step = max(1, CHUNK // max(1, in_memory.shape[1]))
        for start in range(0, len(in_memory), step):
            sizes = in_memory[start : start + step] & ~sign  # without it they order as the numbers do
            size = int(sizes.max(initial=0))
            if most < size <= limit:
                most, found = size, (sizes, start, turned, above)
        above += len(block)
    if found is None:
        return None
    sizes, start, turned, above = found
    first, second = divmod(int(sizes.argmax()), sizes.shape[1])
    row, col = (second, start + first) if turned else (start + first, second)
    return Peak(above + row, col)


def _bits(numbers: Array) -> Array:
    """The integers that store them."""
    return numbers.view(f"u{numbers.dtype.itemsize}")
