"""What callers give as a matrix, checked: torch tensors, numpy arrays, blocks of either."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from weightaudit.arrays import Array, is_tensor
from weightaudit.errors import UsageError
from weightaudit.spectral.block_matrix import BlockMatrix, merged
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.tensors import Panel, dense, dtype_name, moved


def block_matrix(value: Any, name: str = "matrix") -> BlockMatrix:
    """``value`` as blocks, neighbours in memory merged, nothing copied: (rows, cols) torch tensor or numpy array of one
    of the dtypes in `FLOAT_BITS`, or a sequence of such with one column count and dtype. Tensors of the CPU become
    arrays of the same memory. UsageError, which calls it ``name``, for others.
    """
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    given = list(value) if many else [value]
    if not given:
        raise UsageError(name, "an empty sequence of blocks", "Give at least one 2-D tensor")
    of = "" if name == "matrix" else f" of {name}"
    blocks = [_block(one, f"block {i}{of}" if many else name) for i, one in enumerate(given)]
    for i, block in enumerate(blocks):
        if block.shape[1] != blocks[0].shape[1] or dtype_name(block) != dtype_name(blocks[0]):
            raise UsageError(
                f"block {i}{of}",
                f"{tuple(block.shape)} {given[i].dtype} cannot be stacked under "
                f"{tuple(blocks[0].shape)} {given[0].dtype}",
                "Blocks need one column count and one dtype",
            )
    return BlockMatrix(merged(blocks))


def device_of_blocks(value: Any) -> str:
    """Which device computes where a matrix as `block_matrix` takes it lies: that of CUDA tensors, else "cpu"."""
    first = value[0] if isinstance(value, Sequence) and value else value
    return str(first.device) if is_tensor(first) and first.device.type == "cuda" else "cpu"


def _block(value: Any, what: str) -> Panel:
    if is_tensor(value):
        value = dense(value, what)
        if dtype_name(value) not in FLOAT_BITS:
            hint = "Convert it to float64, float32, float16 or bfloat16 first"
            raise UsageError(what, f"its dtype is {value.dtype}", hint)
        block = moved(value, "cpu") if value.device.type == "cpu" else value
    elif isinstance(value, np.ndarray):
        block = _readable(value, what)
    else:
        raise UsageError(what, f"a {type(value).__name__} is no matrix", "Give a torch tensor or a numpy array")
    if block.ndim != 2:
        raise UsageError(what, f"its shape is {tuple(block.shape)}", "A matrix has two dimensions")
    return block


def _readable(array: Array, what: str) -> Array:
    """``array``, or a copy where no kernel reads it as it lies."""
    if array.dtype != ml_dtypes.bfloat16 and (array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8)):
        raise UsageError(what, f"its dtype is {array.dtype}", "Convert it to float64, float32 or float16 first")
    # numpy imports its masked arrays where they are first named; without them there is none.
    if "numpy.ma" in sys.modules and isinstance(array, np.ma.MaskedArray):
        raise UsageError(what, "a masked array has no values under its mask", "Fill it first: matrix.filled(0)")
    array = np.asarray(array)
    size = array.dtype.itemsize
    native = array.dtype.isnative and array.flags.aligned
    if not native or any(stride < 0 or stride % size for stride in array.strides):
        return array.astype(array.dtype.newbyteorder("="), order="K")
    return array
