"""The kernels as functions of C: which there are, and what each is called with. Addresses and whole numbers, nothing of
numba's.
"""

from __future__ import annotations

import ctypes
from typing import Any, Literal, NamedTuple

import numpy as np

from weightaudit.spectral.float_bits import FLOAT_BITS

WIDTH = 4
"""Columns that `gram_rows` multiplies at once; also the rows it holds, so that 16 sums stay in registers. Measured per
element of a float32 matrix beyond the caches, one thread of a Zen 5: 0.17, 0.21, 0.33 and 0.50 ns at 1, 2, 4 and 8
columns; passes needed fall slower than that from 4 to 8, and from 4 to 2 they rise as fast."""

VIEW = {"float64": "float64", "float32": "float32", "bfloat16": "uint16", "float16": "int16"}
"""What the kernels take a dtype as."""

Loop = Literal["gram_rows", "row_statistics"]

_ADDRESS, _WHOLE, _NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
PROTOTYPES: dict[str, Any] = {
    # flat, stride, rows, n, X, Y, scale
    "gram_rows": ctypes.CFUNCTYPE(None, _ADDRESS, *[_WHOLE] * 3, _ADDRESS, _ADDRESS, _NUMBER),
    # flat, stride, rows, n, row_sq, row_fourth, col_sq, magnitude, normal, limit, and the five counts, as int64
    "row_statistics": ctypes.CFUNCTYPE(None, _ADDRESS, *[_WHOLE] * 3, *[_ADDRESS] * 3, *[_WHOLE] * 3, _ADDRESS),
}


class Kernel(NamedTuple):
    """The loop ``loop`` over weights of dtype ``dtype``."""

    loop: Loop
    dtype: str

    @property
    def stored(self) -> np.dtype[Any]:
        """The type that it takes weights as."""
        return np.dtype(VIEW[self.dtype])

    @property
    def unsigned(self) -> np.dtype[Any]:
        """The type that it takes their bits as."""
        return np.dtype(f"uint{FLOAT_BITS[self.dtype].bits}")
