"""The loops over the weights, compiled by numba for `native`, which hands them out. Rows come in as stored numbers.

A stored matrix is a flat C array and (stride, rows, n): row i is ``flat[i·stride :][:n]``. float32 and
float64 come as they are, bfloat16 as uint16, float16 as int16; numbers are widened to float64 in registers. Sums may be
reordered (`reassoc`), as the error bounds of rounding.py allow for any order; NaN and infinity keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from weightaudit.spectral.jit import carray, intrinsic, numba, overload, types
from weightaudit.spectral.kernel_abi import WIDTH, Kernel
from weightaudit.spectral.object_code import Target

FASTMATH = {"reassoc", "contract", "nsz"}
CHUNK = 1 << 15
"""Entries counted at once: as many as a counter of 16 bits holds."""
STREAMED = 16
"""Rows, a multiple of four, that are counted before their squares are summed: with four the pass takes up to 1.4 times
as long from memory, as what the processor fetches ahead ends with every row."""


_jitted = numba.njit(nogil=True, fastmath=FASTMATH, boundscheck=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""A loop of its own, called by compiled code only."""
_inlined = numba.njit(inline="always")
"""A loop that becomes a part of the function of C that calls it, which is compiled the faster for it."""


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


def narrow(value: Any, like: Any) -> Any:
    """``value`` in the type of ``like`` (inside compiled code only).

    numba makes 64-bit integers of all sums, of which a vector register holds a quarter as many as of 16 bits.
    """
    raise NotImplementedError("compiled code only")


@overload(narrow, inline="always")
def _narrow(value, like):  # type: ignore[no-untyped-def]  # numba infers them
    kind = like
    return lambda value, like: kind(value)


@_inlined
def gram_rows(flat, stride, rows, n, X, Y, scale):  # type: ignore[no-untyped-def]  # numba infers them
    """Y += scale · Σ_r a_r ⊗ (a_r·X) over the given rows a_r. ``X``, ``Y``: (4, n) float64, one column of X a row.

    Four rows are read once: sixteen dot products while they stream in, then their rank-4 update while they are still
    in the cache.
    """
    x0, x1, x2, x3 = X[0], X[1], X[2], X[3]
    y0, y1, y2, y3 = Y[0], Y[1], Y[2], Y[3]
    fours = rows - rows % 4
    for i in range(0, fours, 4):
        at = i * stride
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
        at = i * stride
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


@_jitted
def row_squares(flat, stride, rows, n, row_sq, row_fourth, col_sq):  # type: ignore[no-untyped-def]  # numba infers them
    """Squared norms of the given rows into ``row_sq`` (rows,), their sums of fourth powers into ``row_fourth`` (rows,),
    and what they add to the squared norms of the columns, ``col_sq`` (n,), all float64. Four rows at once, so that the
    columns' sums are touched a quarter as often."""
    fours = rows - rows % 4
    for i in range(0, fours, 4):
        at = i * stride
        p = flat[at : at + n]
        q = flat[at + stride : at + stride + n]
        r = flat[at + 2 * stride : at + 2 * stride + n]
        s = flat[at + 3 * stride : at + 3 * stride + n]
        p0 = q0 = r0 = s0 = p1 = q1 = r1 = s1 = 0.0
        for j in range(n):
            a, b, c, d = widen(p[j]), widen(q[j]), widen(r[j]), widen(s[j])
            a, b, c, d = a * a, b * b, c * c, d * d
            p0 += a
            q0 += b
            r0 += c
            s0 += d
            p1 += a * a
            q1 += b * b
            r1 += c * c
            s1 += d * d
            col_sq[j] += a + b + c + d
        row_sq[i], row_sq[i + 1], row_sq[i + 2], row_sq[i + 3] = p0, q0, r0, s0
        row_fourth[i], row_fourth[i + 1], row_fourth[i + 2], row_fourth[i + 3] = p1, q1, r1, s1
    for i in range(fours, rows):
        at = i * stride
        p = flat[at : at + n]
        p0 = p1 = 0.0
        for j in range(n):
            a = widen(p[j])
            a = a * a
            p0 += a
            p1 += a * a
            col_sq[j] += a
        row_sq[i], row_fourth[i] = p0, p1


@_jitted
def row_counts(bits, stride, rows, n, magnitude, normal, limit):  # type: ignore[no-untyped-def]  # numba infers them
    """(largest finite magnitude, zeros, magnitudes below ``normal``, at ``limit``, above it) over the given rows.

    ``bits`` are the rows as unsigned integers, ``magnitude`` the mask without the sign; all are of one type. Magnitudes
    order as integers do, which is exact and, unlike a maximum of floats, vectorises.
    """
    nought = narrow(0, limit)
    largest = nought
    zeros = small = at_limit = above = 0
    for i in range(rows):
        for start in range(i * stride, i * stride + n, CHUNK):
            chunk = bits[start : min(start + CHUNK, i * stride + n)]
            top = none = few = nought
            for j in range(len(chunk)):
                size = narrow(chunk[j] & magnitude, limit)
                top = max(top, size)
                none = narrow(none + (size == nought), limit)
                few = narrow(few + (size < normal), limit)
            zeros += none
            small += few
            if top >= limit:  # seldom
                top = nought
                for j in range(len(chunk)):
                    size = narrow(chunk[j] & magnitude, limit)
                    at_limit += size == limit
                    above += size > limit
                    if size <= limit:
                        top = max(top, size)
            largest = max(largest, top)
    return largest, zeros, small, at_limit, above


@_inlined
def row_statistics(flat, bits, stride, rows, n, row_sq, row_fourth, col_sq, magnitude, normal, limit):  # type: ignore[no-untyped-def]  # numba infers them
    """`row_counts` and `row_squares` of the given rows, which are read once.

    The counts stream in some rows one by one, which is the fastest that memory gives, and the squares find them in the
    cache.
    """
    largest = narrow(0, limit)
    zeros = small = at_limit = above = 0
    for i in range(0, rows, STREAMED):
        some = min(STREAMED, rows - i)
        found = row_counts(bits[i * stride :], stride, some, n, magnitude, normal, limit)
        largest = max(largest, found[0])
        zeros += found[1]
        small += found[2]
        at_limit += found[3]
        above += found[4]
        row_squares(flat[i * stride :], stride, some, n, row_sq[i : i + some], row_fourth[i : i + some], col_sq)
    return largest, zeros, small, at_limit, above


def compiled(kernel: Kernel) -> Any:
    """``kernel`` as a function of C, a `numba.cfunc` called as `kernel_abi.PROTOTYPES` says."""
    i, p = types.int64, types.voidptr
    if kernel.loop == "gram_rows":
        call, signature = _gram_rows(kernel.stored), types.void(p, i, i, i, p, p, types.float64)
    else:
        call, signature = _row_statistics(kernel.stored, kernel.unsigned), types.void(p, i, i, i, p, p, p, i, i, i, p)
    return numba.cfunc(signature, fastmath=FASTMATH, boundscheck=False)(call)


def target() -> Target:
    """The machine that numba compiles for: this one, unless settings say otherwise."""
    return Target(*numba.core.registry.cpu_target.target_context.codegen().magic_tuple())


def _gram_rows(stored: Any) -> Callable[..., None]:
    """`gram_rows` of weights of type ``stored``, by addresses."""

    def call(flat, stride, rows, n, X, Y, scale):  # type: ignore[no-untyped-def]  # numba infers them
        weights = carray(flat, ((rows - 1) * stride + n,), stored)
        columns, sums = carray(X, (WIDTH, n), np.float64), carray(Y, (WIDTH, n), np.float64)
        gram_rows(weights, stride, rows, n, columns, sums, scale)

    return call


def _row_statistics(stored: Any, unsigned: Any) -> Callable[..., None]:
    """`row_statistics` of weights of type ``stored`` with bits of type ``unsigned``, by addresses."""
    level = numba.from_dtype(unsigned)

    def call(flat, stride, rows, n, row_sq, row_fourth, col_sq, magnitude, normal, limit, counts):  # type: ignore[no-untyped-def]  # numba infers them
        extent = ((rows - 1) * stride + n,)
        weights, bits = carray(flat, extent, stored), carray(flat, extent, unsigned)
        squares, fourth = carray(row_sq, (rows,), np.float64), carray(row_fourth, (rows,), np.float64)
        columns = carray(col_sq, (n,), np.float64)
        mask, least, most = level(magnitude), level(normal), level(limit)
        found = row_statistics(weights, bits, stride, rows, n, squares, fourth, columns, mask, least, most)
        told = carray(counts, (5,), np.int64)
        told[0], told[1], told[2], told[3], told[4] = found[0], found[1], found[2], found[3], found[4]

    return call
