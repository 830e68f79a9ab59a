"""The compiled kernels, for whoever uses them: the loops of kernels.py for each dtype, or two.

They are kept from one process to the next, and one that finds them imports no numba (`weightaudit.compiled`).
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightaudit.compiled.functions import Function, kept_or_compiled
from weightaudit.compiled.kernel_cache import kernel_cache
from weightaudit.spectral.float_bits import FLOAT_BITS, FloatBits
from weightaudit.spectral.kernel_abi import ACROSS, ALONG, NO_OTHER, PROTOTYPES, TOLD, WIDTH, Kernel, Loop, counted

SOURCES = [Path(__file__).with_name(name) for name in ("kernels.py", "kernel_abi.py", "float_bits.py")]
"""What the machine code, and how it is called, is written in."""
TRIED = (21, 67, 70)
"""Rows, columns and stride of the matrix that a kernel is tried on: every loop has its main part and its rest."""

_ONE_AT_A_TIME = threading.Lock()
"""Threads that need a kernel at the same time wait for the one that gets it."""


def function(loop: Loop, *dtypes: str) -> Function:
    """The kernel of that loop for that dtype, or those two; ImportError says why it cannot be had."""
    found = _function(Kernel(loop, dtypes))
    if isinstance(found, str):
        raise ImportError(found)
    return found


def available(loop: Loop, *dtypes: str) -> bool:
    """Whether `function` has that kernel."""
    return not isinstance(_function(Kernel(loop, dtypes)), str)


def _function(kernel: Kernel) -> Function | str:
    with _ONE_AT_A_TIME:
        return _found(kernel)


@cache
def _found(kernel: Kernel) -> Function | str:
    return kept_or_compiled(kernel, kernel_cache(SOURCES), _called_at, _compiled, _tried)


def _compiled(kernel: Kernel) -> Any:
    from weightaudit.spectral import kernels

    return kernels.compiled(kernel)


def _called_at(kernel: Kernel, address: int) -> Function:
    called: Function = PROTOTYPES[kernel.loop](address)
    return called


def _tried(kernel: Kernel, function: Function) -> bytes:
    """All that ``function`` writes for small matrices: magnitudes from 2⁻⁸ to 2, zeros, the smallest number, and where
    they are counted also the largest and infinity."""
    rows, n, stride = TRIED
    draw = np.random.default_rng(0)
    stored = [_numbers(draw, FLOAT_BITS[dtype], rows * stride) for dtype in kernel.dtypes]
    written: list[NDArray[Any]]
    arguments: tuple[float, ...] = ()
    if kernel.loop == "gram_rows":
        X, written = draw.standard_normal((WIDTH, n)), [np.zeros((WIDTH, n))]
        addresses, arguments = [X.ctypes.data, written[0].ctypes.data], (0.5,)
    elif kernel.loop == "row_statistics":
        own, told = FLOAT_BITS[kernel.dtypes[0]], FLOAT_BITS[counted(kernel.dtypes)]
        stored[0][::13], stored[0][::17] = own.limit, own.infinity
        written = [np.zeros(rows), np.zeros(rows), np.zeros(n), np.zeros(5, np.int64)]
        *addresses, counts = (array.ctypes.data for array in written)
        arguments = (told.magnitude, told.normal, told.limit, counts)
    else:
        written = [np.zeros((rows, ALONG)), np.zeros((ACROSS, n)), np.zeros(n, np.int32), np.zeros(TOLD, np.int64)]
        addresses, arguments = [array.ctypes.data for array in written], (2.0**-6, 2.0**-7, 1.0)
    matrices: list[Any] = [item for one in stored for item in (one.ctypes.data, stride)]
    function(*(matrices if len(stored) > 1 else [*matrices, *NO_OTHER]), rows, n, *addresses, *arguments)
    return b"".join(array.tobytes() for array in written)


def _numbers(draw: np.random.Generator, kind: FloatBits, size: int) -> NDArray[Any]:
    """The bits of ``size`` numbers of that kind."""
    one = kind.infinity // kind.normal // 2 * kind.normal
    bits = draw.integers(one - 8 * kind.normal, one + kind.normal, size, dtype=np.dtype(kind.unsigned))
    bits[::7], bits[::11] = 0, 1
    return bits
