"""The compiled loops of codecs, for those that have them, and how they are called.

A loop fills what numpy fills, with the same bytes, in a quarter to two thirds of the time. It is compiled once and kept
(`weightaudit.compiled`), which takes as long as numpy takes for some hundred million numbers, so small tensors are left
to numpy, and so is everything where there is no numba.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.loop_abi import COUNTED, HALVES, PROTOTYPES, SCALED, TABLES, Kernel

if TYPE_CHECKING:
    from weightaudit.compiled.functions import Function

LEAST = 1 << 22
"""Numbers of a tensor from which on it is worth a compiled loop."""
SOURCES = [Path(__file__).with_name(name) for name in ("loops.py", "loop_abi.py")]
"""What the machine code, and how it is called, is written in."""

_ONE_AT_A_TIME = threading.Lock()
"""Threads that need a loop at the same time wait for the one that gets it."""


def fill_from_blocks(name: str, size: int, blocks: Array, out: Array) -> bool:
    """Fill ``out``, float32, from ``blocks`` (n, bytes) of ggml's type ``name``; whether numpy is not to do it.

    They are some of a tensor of ``size`` numbers. Both are contiguous, and ``out`` has as many numbers as the blocks.
    """
    function = _function(name) if name in HALVES and size >= LEAST else None
    if function is None or any((blocks[:, at + 1] & 0x7C == 0x7C).any() for at in HALVES[name]):  # infinity, or NaN
        return False
    function(blocks.ctypes.data, len(blocks), out.ctypes.data)
    return True


def fill_scaled(codes: Array, table: Array, scales: Array, sides: tuple[int, int], out: Array) -> bool:
    """Fill ``out`` (rows, n) with what each uint8 of ``codes`` is in ``table``, times the one of ``scales`` for its
    block of ``sides``; whether numpy is not to do it.

    ``scales`` are float32, one for each block, the last of which may be smaller. All are contiguous.
    """
    function = _function(SCALED) if out.size >= LEAST else None
    if function is None or not np.isfinite(scales).all():
        return False
    (rows, n), (height, width) = out.shape, sides
    groups = -(-n // width)
    if codes.size != out.size or scales.size != -(-rows // height) * groups or len(table) != 256:
        raise ValueError(f"{codes.size} codes and {scales.size} scales for {out.shape} numbers in blocks of {sides}")
    arrays = [_flat(one, dtype) for one, dtype in ((codes, np.uint8), (table, np.float32), (scales, np.float32))]
    addresses = [one.ctypes.data for one in arrays]
    function(*addresses, rows, n, height, width, groups, out.ctypes.data)
    return True


def counts_of(codes: Array) -> Array | None:
    """(256,) int64: how often each of the uint8 of ``codes`` is there; None where numpy is to count them."""
    function = _function(COUNTED) if codes.size >= LEAST else None
    if function is None:
        return None
    its, counts = _flat(codes, np.uint8), np.zeros((TABLES, 256), np.int64)
    function(its.ctypes.data, its.size, counts.ctypes.data)
    every: Array = counts.sum(axis=0)
    return every


def _flat(array: Array, dtype: Any) -> Array:
    return np.ascontiguousarray(array, dtype).reshape(-1)


def _function(loop: str) -> Function | None:
    with _ONE_AT_A_TIME:
        return _found(loop)


@cache
def _found(loop: str) -> Function | None:
    try:
        from weightaudit.compiled import functions, kernel_cache
    except ImportError:  # there is no llvmlite
        return None
    kept = kernel_cache.kernel_cache(SOURCES)
    found = functions.kept_or_compiled(Kernel(loop), kept, _called_at, _compiled, _tried)
    return None if isinstance(found, str) else found


def _compiled(kernel: Kernel) -> Any:
    from weightaudit.checkpoint.codecs import loops

    return loops.compiled(kernel)


def _called_at(kernel: Kernel, address: int) -> Function:
    called: Function = PROTOTYPES[kernel.loop](address)
    return called


def _tried(kernel: Kernel, function: Function) -> bytes:
    """What ``function`` writes for random bytes: numbers of all sizes."""
    draw = np.random.default_rng(0)
    stored = draw.integers(0, 256, 1 << 14, np.uint8)
    out = np.zeros(1 << 14, np.float32)
    if kernel.loop == SCALED:
        table, scales = draw.standard_normal(256).astype(np.float32), draw.standard_normal(12).astype(np.float32)
        function(stored.ctypes.data, table.ctypes.data, scales.ctypes.data, 21, 100, 8, 32, 4, out.ctypes.data)
    elif kernel.loop == COUNTED:
        function(stored.ctypes.data, 1001, out.ctypes.data)
    else:
        function(stored.ctypes.data, 40, out.ctypes.data)
    return out.tobytes()
