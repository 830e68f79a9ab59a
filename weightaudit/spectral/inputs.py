"""What callers give as a matrix, checked: torch tensors, numpy arrays, blocks of either."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch

from weightaudit.arrays import as_tensor
from weightaudit.errors import UsageError
from weightaudit.spectral.block_matrix import BlockMatrix, merged

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def block_matrix(value: Any, name: str = "matrix") -> BlockMatrix:
    """``value`` as blocks, neighbours in memory merged, nothing copied: (rows, cols) torch tensor or numpy array of one
    of `FLOATS`, or a sequence of such with one column count and dtype. UsageError, which calls it ``name``, for others.
    """
    many = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    given = list(value) if many else [value]
    if not given:
        raise UsageError(name, "an empty sequence of blocks", "Give at least one 2-D tensor")
    of = "" if name == "matrix" else f" of {name}"
    blocks = [_tensor(one, f"block {i}{of}" if many else name) for i, one in enumerate(given)]
    for i, block in enumerate(blocks):
        if block.shape[1] != blocks[0].shape[1] or block.dtype != blocks[0].dtype:
            raise UsageError(
                f"block {i}{of}",
                f"{tuple(block.shape)} {block.dtype} cannot be stacked under "
                f"{tuple(blocks[0].shape)} {blocks[0].dtype}",
                "Blocks need one column count and one dtype",
            )
    return BlockMatrix(merged(blocks))


def _tensor(value: Any, what: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        tensor = value.detach().resolve_neg()
    elif isinstance(value, np.ndarray):
        tensor = _from_numpy(value, what)
    else:
        raise UsageError(what, f"a {type(value).__name__} is no matrix", "Give a torch tensor or a numpy array")
    if tensor.is_meta:
        raise UsageError(what, "a meta tensor has no entries", "Load the weights first")
    if tensor.layout != torch.strided:
        raise UsageError(what, f"its layout is {tensor.layout}", "Make it dense first: matrix.to_dense()")
    if tensor.dtype not in FLOATS:
        raise UsageError(
            what, f"its dtype is {tensor.dtype}", "Convert it to float64, float32, float16 or bfloat16 first"
        )
    if tensor.ndim != 2:
        raise UsageError(what, f"its shape is {tuple(tensor.shape)}", "A matrix has two dimensions")
    return tensor


def _from_numpy(array: np.ndarray[Any, Any], what: str) -> torch.Tensor:
    if array.dtype != ml_dtypes.bfloat16 and (array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8)):
        raise UsageError(what, f"its dtype is {array.dtype}", "Convert it to float64, float32 or float16 first")
    if isinstance(array, np.ma.MaskedArray):
        raise UsageError(what, "a masked array has no values under its mask", "Fill it first: matrix.filled(0)")
    size = array.dtype.itemsize
    # torch knows neither foreign byte order nor strides that are negative or no multiples of the size.
    if not array.dtype.isnative or any(stride < 0 or stride % size for stride in array.strides):
        array = array.astype(array.dtype.newbyteorder("="), order="K")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and is not written
        return as_tensor(array)
