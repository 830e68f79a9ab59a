"""The same numbers as a numpy array and as a torch tensor, in the same memory.

The package computes with numpy, whose bfloat16 and float8 are those of ml_dtypes; torch is for GPUs and for what people
hand in and ask for, and is imported by nobody else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from weightaudit.dtypes import BY_NAME

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
"""A numpy array of any dtype, those of ml_dtypes included."""


CACHE_LINE = 64
"""Bytes from which memory is read at full width where it begins at a multiple of them."""


@dataclass(frozen=True)
class Product:
    """The matrix scale · left · right, held by its factors and never formed: left (out, r), right (r, in).

    One of several matrices of one shape where both have a further dimension, the first. ``magnitude`` (out,) are the
    norms that rows of the base's matrix and this are given together, as DoRA does; None where they are given none.
    """

    left: Array
    right: Array
    scale: float
    magnitude: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        return int(self.left.shape[-2]), int(self.right.shape[-1])

    @property
    def rank(self) -> int:
        """r, which no rank of the product exceeds."""
        return int(self.right.shape[-2])

    @property
    def untrained(self) -> bool:
        """Whether a factor is zero throughout, and the product with it."""
        return not (self.left.any() and self.right.any())


def aligned(nbytes: int) -> Array:
    """Fresh memory, uint8, that begins on a cache line; MemoryError where the machine has not so much."""
    memory = np.empty(nbytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + nbytes]


def on_cache_lines(nbytes: int) -> int:
    """``nbytes``, rounded up to whole cache lines."""
    return -(-nbytes // CACHE_LINE) * CACHE_LINE


def is_tensor(value: object) -> TypeGuard[torch.Tensor]:
    """Whether ``value`` is a torch tensor, without importing torch: where nobody has, nothing is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(tensor: torch.Tensor) -> Array:
    """The memory of ``tensor``, strided and on the CPU, as an array; KeyError for a dtype that `weightaudit.dtypes`
    does not list."""
    import torch

    stored, dtype = tensor.detach(), BY_NAME[str(tensor.dtype).removeprefix("torch.")].numpy
    if dtype.isbuiltin == 1:
        return stored.numpy()
    return stored.view(getattr(torch, f"uint{8 * dtype.itemsize}")).numpy().view(dtype)


def as_tensor(array: Array) -> torch.Tensor:
    """The memory of ``array``, whose strides are positive and multiples of its item size, as a tensor."""
    import torch

    stored = array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}")
    return torch.from_numpy(stored).view(BY_NAME[array.dtype.name].torch)
