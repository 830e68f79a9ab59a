"""The loops over the weights, compiled by numba on first use and cached on disk. Rows come in as stored numbers.

A stored matrix is a flat C array and (offset, stride, rows, n): row i is ``flat[offset + i·stride :][:n]``. float32 and
float64 come as they are, bfloat16 as uint16, float16 as int16; numbers are widened to float64 in registers. Sums may be
reordered (`reassoc`), as the error bounds of rounding.py allow for any order; NaN and infinity keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

FASTMATH = {"reassoc", "contract", "nsz"}
WIDTH = 4
"""Columns that `gram_rows` multiplies at once; also the rows it holds, so that 16 sums stay in registers. Measured per
element of a float32 matrix beyond the caches, one thread of a Zen 5: 0.17, 0.21, 0.33 and 0.50 ns at 1, 2, 4 and 8
columns; passes needed fall slower than that from 4 to 8, and from 4 to 2 they rise as fast."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` jitted; compiled again in every process where there is no folder to cache it in."""
    options = {"nogil": True, "fastmath": FASTMATH, "boundscheck": False}
    try:
        jitted: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "no locator available"
        jitted = numba.njit(**options)(function)
    return jitted


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _bfloat16(typingctx: Any, stored: Any) -> Any:
    """bfloat16 bits → float32: they are its upper half."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        bits = builder.shl(builder.zext(args[0], word), ir.Constant(word, 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.uint16), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _float16(typingctx: Any, stored: Any) -> Any:
    """float16 bits → float32 by the processor's conversion, which it must have: see `fused.READABLE`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.int16), codegen


def widen(stored: Any) -> Any:
    """A stored number as float64 (inside compiled code only)."""
    raise NotImplementedError("compiled code only")


@overload(widen, inline="always")
def _widen(stored):  # type: ignore[no-untyped-def]  # numba infers them
    if stored == types.uint16:
        return lambda stored: np.float64(_bfloat16(stored))
    if stored == types.int16:
        return lambda stored: np.float64(_float16(stored))
    return lambda stored: np.float64(stored)


@_compiled
def gram_rows(flat, offset, stride, rows, n, X, Y, scale):  # type: ignore[no-untyped-def]  # numba infers them
    """Y += scale · Σ_r a_r ⊗ (a_r·X) over the given rows a_r. ``X``, ``Y``: (4, n) float64, one column of X a row.

    Four rows are read once: sixteen dot products while they stream in, then their rank-4 update while they are still
    in the cache.
    """
    x0, x1, x2, x3 = X[0], X[1], X[2], X[3]
    y0, y1, y2, y3 = Y[0], Y[1], Y[2], Y[3]
    fours = rows - rows % 4
    for i in range(0, fours, 4):
        at = offset + i * stride
        p = flat[at : at + n]
        q = flat[at + stride : at + stride + n]
        r = flat[at + 2 * stride : at + 2 * stride + n]
        s = flat[at + 3 * stride : at + 3 * stride + n]
        p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = r0 = r1 = r2 = r3 = s0 = s1 = s2 = s3 = 0.0
        for j in range(n):
            a, b, c, d = widen(p[j]), widen(q[j]), widen(r[j]), widen(s[j])
            e, f, g, h = x0[j], x1[j], x2[j], x3[j]
            p0 += a * e
            p1 += a * f
            p2 += a * g
            p3 += a * h
            q0 += b * e
            q1 += b * f
            q2 += b * g
            q3 += b * h
            r0 += c * e
            r1 += c * f
            r2 += c * g
            r3 += c * h
            s0 += d * e
            s1 += d * f
            s2 += d * g
            s3 += d * h
        p0, p1, p2, p3 = scale * p0, scale * p1, scale * p2, scale * p3
        q0, q1, q2, q3 = scale * q0, scale * q1, scale * q2, scale * q3
        r0, r1, r2, r3 = scale * r0, scale * r1, scale * r2, scale * r3
        s0, s1, s2, s3 = scale * s0, scale * s1, scale * s2, scale * s3
        for j in range(n):
            a, b, c, d = widen(p[j]), widen(q[j]), widen(r[j]), widen(s[j])
            y0[j] += a * p0 + b * q0 + c * r0 + d * s0
            y1[j] += a * p1 + b * q1 + c * r1 + d * s1
            y2[j] += a * p2 + b * q2 + c * r2 + d * s2
            y3[j] += a * p3 + b * q3 + c * r3 + d * s3
    for i in range(fours, rows):
        at = offset + i * stride
        p = flat[at : at + n]
        p0 = p1 = p2 = p3 = 0.0
        for j in range(n):
            a = widen(p[j])
            p0 += a * x0[j]
            p1 += a * x1[j]
            p2 += a * x2[j]
            p3 += a * x3[j]
        p0, p1, p2, p3 = scale * p0, scale * p1, scale * p2, scale * p3
        for j in range(n):
            a = widen(p[j])
            y0[j] += a * p0
            y1[j] += a * p1
            y2[j] += a * p2
            y3[j] += a * p3


@_compiled
def row_statistics(flat, bits, offset, stride, rows, n, magnitude, infinity):  # type: ignore[no-untyped-def]  # numba infers them
    """(Σ x², largest magnitude's bits, zeros, non-finite entries) over the given rows.

    ``bits`` is ``flat`` as unsigned integers, ``magnitude`` the mask without the sign, ``infinity`` the bits of +∞:
    magnitudes order as integers do, which is exact and, unlike a maximum of floats, vectorises.
    """
    total = 0.0
    largest = magnitude & ~magnitude
    zeros = 0
    nonfinite = 0
    for i in range(rows):
        at = offset + i * stride
        row, raw = flat[at : at + n], bits[at : at + n]
        square = 0.0
        for j in range(n):
            x = widen(row[j])
            square += x * x
        total += square
        for j in range(n):
            size = raw[j] & magnitude
            largest = max(largest, size)
            zeros += size == 0
            nonfinite += size >= infinity
    return total, largest, zeros, nonfinite
