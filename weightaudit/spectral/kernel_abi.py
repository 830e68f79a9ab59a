"""The kernels as functions of C: which there are, and what each is called with. Addresses and whole numbers, nothing of
numba's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

WIDTH = 4
"""Columns that `gram_rows` multiplies at once; also the rows it holds, so that 16 sums stay in registers. Measured per
element of a float32 matrix beyond the caches, one thread of a Zen 5: 0.17, 0.21, 0.33 and 0.50 ns at 1, 2, 4 and 8
columns; passes needed fall slower than that from 4 to 8, and from 4 to 2 they rise as fast."""

VIEW = {"float64": "float64", "float32": "float32", "bfloat16": "uint16", "float16": "int16"}
"""What the kernels take a dtype as."""

Loop = Literal["gram_rows", "row_statistics", "row_changes"]

ALONG, ACROSS, TOLD = 7, 5, 4
"""Sums for each row and for each column, and counts, that `row_changes` writes."""

_ADDRESS, _WHOLE, _NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_WEIGHTS = (_ADDRESS, _WHOLE, _ADDRESS, _WHOLE, _WHOLE, _WHOLE)
"""flat and stride of a matrix, those of another (or `NO_OTHER`), and the rows and n of both."""
NO_OTHER = (None, 0)

PROTOTYPES: dict[str, Any] = {
    # weights, X, Y, scale
    "gram_rows": ctypes.CFUNCTYPE(None, *_WEIGHTS, _ADDRESS, _ADDRESS, _NUMBER),
    # weights, row_sq, row_fourth, col_sq, magnitude, normal, limit, and the five counts, as int64
    "row_statistics": ctypes.CFUNCTYPE(None, *_WEIGHTS, *[_ADDRESS] * 3, *[_WHOLE] * 3, _ADDRESS),
    # weights, along, across, touched, told, least, derived_least, ulp
    "row_changes": ctypes.CFUNCTYPE(None, *_WEIGHTS, *[_ADDRESS] * 4, *[_NUMBER] * 3),
}


def counted(dtypes: Sequence[str]) -> str:
    """The dtype of the entries that `row_statistics` counts: differences are of float64."""
    return dtypes[0] if len(dtypes) == 1 else "float64"


class Kernel(NamedTuple):
    """The loop ``loop`` over weights of dtype ``dtypes[0]``, or over those of two matrices of these dtypes."""

    loop: Loop
    dtypes: tuple[str, ...]

    @property
    def stored(self) -> list[np.dtype[Any]]:
        """The types that it takes weights as."""
        return [np.dtype(VIEW[dtype]) for dtype in self.dtypes]
