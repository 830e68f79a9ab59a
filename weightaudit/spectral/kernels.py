"""The loops over the weights, compiled by numba for `native`, which hands them out. Rows come in as stored numbers.

A stored matrix is a pair (flat, stride) of a flat C array and a number: row i is ``flat[i·stride :][:n]``. float32 and
float64 come as they are, bfloat16 as uint16, float16 as int16; numbers are widened to float64 in registers. The weights
are a tuple of one such pair, or of two, of which the entries' differences are meant. Sums may be reordered
(`reassoc`), as the error bounds of rounding.py allow for any order; NaN and infinity keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from weightaudit.compiled.jit import carray, intrinsic, numba, overload, types
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.kernel_abi import ACROSS, ALONG, TOLD, WIDTH, Kernel, counted

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


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _bits(typingctx: Any, value: Any) -> Any:
    """The bits of a float64 number as uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _power(typingctx: Any, value: Any) -> Any:
    """2^e of a float64 number of magnitude in [2^e, 2^(e+1)): its exponent alone. 0 of 0 and of subnormal numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        exponent = builder.and_(builder.bitcast(args[0], whole), ir.Constant(whole, FLOAT_BITS["float64"].infinity))
        return builder.bitcast(exponent, ir.DoubleType())

    return types.float64(types.float64), codegen


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


def strips(weights: Any, i: Any, start: Any, end: Any) -> Any:
    """Columns ``start`` ≤ j < ``end`` of row i of each of ``weights``, a tuple (inside compiled code only)."""
    raise NotImplementedError("compiled code only")


@overload(strips)
def _strips(weights, i, start, end):  # type: ignore[no-untyped-def]  # numba infers them
    if len(weights) == 1:
        return lambda weights, i, start, end: (_strip(weights[0], i, start, end),)
    return lambda weights, i, start, end: (_strip(weights[0], i, start, end), _strip(weights[1], i, start, end))


@numba.njit
def _strip(matrix, i, start, end):  # type: ignore[no-untyped-def]  # numba infers them
    flat, stride = matrix
    return flat[i * stride + start : i * stride + end]


def number(strip: Any, j: Any) -> Any:
    """Number j of what `strips` gave: as it is stored, or the difference of two, in float64 (inside compiled code
    only)."""
    raise NotImplementedError("compiled code only")


@overload(number)
def _number(strip, j):  # type: ignore[no-untyped-def]  # numba infers them
    if len(strip) == 1:
        return lambda strip, j: widen(strip[0][j])
    return lambda strip, j: widen(strip[0][j]) - widen(strip[1][j])


def word(strip: Any, j: Any) -> Any:
    """The bits of number j of what `strips` gave of bits, or those of the float64 difference of two numbers, as an
    unsigned integer (inside compiled code only)."""
    raise NotImplementedError("compiled code only")


@overload(word)
def _word(strip, j):  # type: ignore[no-untyped-def]  # numba infers them
    if len(strip) == 1:
        return lambda strip, j: strip[0][j]
    return lambda strip, j: _bits(number(strip, j))


def single(stored: Any) -> Any:
    """A stored number as float32, or as the float64 that it is (inside compiled code only)."""
    raise NotImplementedError("compiled code only")


@overload(single)
def _single(stored):  # type: ignore[no-untyped-def]  # numba infers them
    if stored == types.uint16:
        return lambda stored: _bfloat16(stored)
    if stored == types.int16:
        return lambda stored: _float16(stored)
    return lambda stored: stored


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
def gram_rows(weights, rows, n, X, Y, scale):  # type: ignore[no-untyped-def]  # numba infers them
    """Y += scale · Σ_r a_r ⊗ (a_r·X) over the given rows a_r. ``X``, ``Y``: (4, n) float64, one column of X a row.

    Four rows are read once: sixteen dot products while they stream in, then their rank-4 update while they are still
    in the cache.
    """
    x0, x1, x2, x3 = X[0], X[1], X[2], X[3]
    y0, y1, y2, y3 = Y[0], Y[1], Y[2], Y[3]
    fours = rows - rows % 4
    for i in range(0, fours, 4):
        p, q = strips(weights, i, 0, n), strips(weights, i + 1, 0, n)
        r, s = strips(weights, i + 2, 0, n), strips(weights, i + 3, 0, n)
        p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = r0 = r1 = r2 = r3 = s0 = s1 = s2 = s3 = 0.0
        for j in range(n):
            a, b, c, d = number(p, j), number(q, j), number(r, j), number(s, j)
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
            a, b, c, d = number(p, j), number(q, j), number(r, j), number(s, j)
            y0[j] += a * p0 + b * q0 + c * r0 + d * s0
            y1[j] += a * p1 + b * q1 + c * r1 + d * s1
            y2[j] += a * p2 + b * q2 + c * r2 + d * s2
            y3[j] += a * p3 + b * q3 + c * r3 + d * s3
    for i in range(fours, rows):
        p = strips(weights, i, 0, n)
        p0 = p1 = p2 = p3 = 0.0
        for j in range(n):
            a = number(p, j)
            p0 += a * x0[j]
            p1 += a * x1[j]
            p2 += a * x2[j]
            p3 += a * x3[j]
        p0, p1, p2, p3 = scale * p0, scale * p1, scale * p2, scale * p3
        for j in range(n):
            a = number(p, j)
            y0[j] += a * p0
            y1[j] += a * p1
            y2[j] += a * p2
            y3[j] += a * p3


@_jitted
def row_squares(weights, first, rows, n, row_sq, row_fourth, col_sq):  # type: ignore[no-untyped-def]  # numba infers them
    """Squared norms of the given rows into ``row_sq`` (rows,), their sums of fourth powers into ``row_fourth`` (rows,),
    and what they add to the squared norms of the columns, ``col_sq`` (n,), all float64. Four rows at once, so that the
    columns' sums are touched a quarter as often."""
    fours = rows - rows % 4
    for i in range(0, fours, 4):
        at = first + i
        p, q = strips(weights, at, 0, n), strips(weights, at + 1, 0, n)
        r, s = strips(weights, at + 2, 0, n), strips(weights, at + 3, 0, n)
        p0 = q0 = r0 = s0 = p1 = q1 = r1 = s1 = 0.0
        for j in range(n):
            a, b, c, d = number(p, j), number(q, j), number(r, j), number(s, j)
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
        p = strips(weights, first + i, 0, n)
        p0 = p1 = 0.0
        for j in range(n):
            a = number(p, j)
            a = a * a
            p0 += a
            p1 += a * a
            col_sq[j] += a
        row_sq[i], row_fourth[i] = p0, p1


@_jitted
def row_counts(bits, first, rows, n, magnitude, normal, limit):  # type: ignore[no-untyped-def]  # numba infers them
    """(largest finite magnitude, zeros, magnitudes below ``normal``, at ``limit``, above it) over the given rows.

    ``bits`` are as `word` takes them, ``magnitude`` is the mask without the sign; all are of one type. Magnitudes order
    as integers do, which is exact and, unlike a maximum of floats, vectorises.
    """
    nought = narrow(0, limit)
    largest = nought
    zeros = small = at_limit = above = 0
    for i in range(rows):
        for start in range(0, n, CHUNK):
            end = min(start + CHUNK, n)
            chunk = strips(bits, first + i, start, end)
            top = none = few = nought
            for j in range(end - start):
                size = narrow(word(chunk, j) & magnitude, limit)
                top = max(top, size)
                none = narrow(none + (size == nought), limit)
                few = narrow(few + (size < normal), limit)
            zeros += none
            small += few
            if top >= limit:  # seldom
                top = nought
                for j in range(end - start):
                    size = narrow(word(chunk, j) & magnitude, limit)
                    at_limit += size == limit
                    above += size > limit
                    if size <= limit:
                        top = max(top, size)
            largest = max(largest, top)
    return largest, zeros, small, at_limit, above


@_inlined
def row_statistics(weights, bits, rows, n, row_sq, row_fourth, col_sq, magnitude, normal, limit):  # type: ignore[no-untyped-def]  # numba infers them
    """`row_counts` and `row_squares` of the given rows, which are read once.

    The counts stream in some rows one by one, which is the fastest that memory gives, and the squares find them in the
    cache.
    """
    largest = narrow(0, limit)
    zeros = small = at_limit = above = 0
    for i in range(0, rows, STREAMED):
        some = min(STREAMED, rows - i)
        found = row_counts(bits, i, some, n, magnitude, normal, limit)
        largest = max(largest, found[0])
        zeros += found[1]
        small += found[2]
        at_limit += found[3]
        above += found[4]
        row_squares(weights, i, some, n, row_sq[i : i + some], row_fourth[i : i + some], col_sq)
    return largest, zeros, small, at_limit, above


@_inlined
def row_changes(weights, rows, n, along, across, touched, told, least, derived_least, ulp):  # type: ignore[no-untyped-def]  # numba infers them
    """How the rows b of the first of two matrices became the rows d of the second, d − b being the change: see
    `fused.Changes`. Entries must be finite.

    Into ``along`` (rows, 7) go the sums of b², d², (d − b)², (d − b)·b, of the squared powers of two below b, ``least``
    at least, and of those below d, and how many entries differ; to ``across`` (5, n) and ``touched`` (n,) are added the
    sums of the same, but for d², of each column; to ``told`` (4,) how many entries differ by no more than ``ulp`` times
    that power of d, how many b and how many d are zero, and how many d alone.
    """
    base_sq, change_sq, inner, base_power, derived_power = across[0], across[1], across[2], across[3], across[4]
    none, nought = np.int32(0), np.float32(0)
    for i in range(rows):
        b, d = strips(weights, i, 0, n)
        s0 = s1 = s2 = s3 = s4 = s5 = near = 0.0
        for j in range(n):
            before, after = widen(b[j]), widen(d[j])
            change = after - before
            low, high = _power(before), _power(after)
            low, high = low if low > least else least, high if high > derived_least else derived_least
            near += 1.0 if abs(change) <= ulp * high else 0.0
            q0, q1, q2, q3, q4 = before * before, change * change, change * before, low * low, high * high
            s0 += q0
            s1 += after * after
            s2 += q1
            s3 += q2
            s4 += q3
            s5 += q4
            base_sq[j] += q0
            change_sq[j] += q1
            inner[j] += q2
            base_power[j] += q3
            derived_power[j] += q4
        changed = base_zeros = derived_zeros = cut = none
        for j in range(n):  # in lanes of 32 bits, twice as many as of 64
            before, after = single(b[j]), single(d[j])
            differ, zero = before != after, after == nought
            changed = narrow(changed + differ, none)
            base_zeros = narrow(base_zeros + (before == nought), none)
            derived_zeros = narrow(derived_zeros + zero, none)
            cut = narrow(cut + (zero & differ), none)
            touched[j] = narrow(touched[j] + differ, none)
        row = along[i]
        row[0], row[1], row[2], row[3], row[4], row[5], row[6] = s0, s1, s2, s3, s4, s5, changed
        told[0] += np.int64(near) - (n - changed)
        told[1] += base_zeros
        told[2] += derived_zeros
        told[3] += cut


def compiled(kernel: Kernel) -> Any:
    """``kernel`` as a function of C, a `numba.cfunc` called as `kernel_abi.PROTOTYPES` says."""
    i, p, f = types.int64, types.voidptr, types.float64
    arguments: tuple[Any, ...]
    if kernel.loop == "gram_rows":
        call, arguments = _gram_rows(_weights(kernel.stored)), (p, p, f)
    elif kernel.loop == "row_statistics":
        call, arguments = _row_statistics(kernel), (p, p, p, i, i, i, p)
    else:
        call, arguments = _row_changes(_weights(kernel.stored)), (p, p, p, p, f, f, f)
    signature = types.void(p, i, p, i, i, i, *arguments)
    return numba.cfunc(signature, fastmath=FASTMATH, boundscheck=False)(call)


def _weights(stored: Sequence[Any]) -> Any:
    """What makes the weights of one matrix, or of two, of types ``stored`` of their addresses and strides."""
    if len(stored) == 1:
        (only,) = stored

        def one(flat, stride, other, other_stride, rows, n):  # type: ignore[no-untyped-def]  # numba infers them
            return ((carray(flat, ((rows - 1) * stride + n,), only), stride),)

        return _inlined(one)
    first, second = stored

    def two(flat, stride, other, other_stride, rows, n):  # type: ignore[no-untyped-def]  # numba infers them
        minuend = carray(flat, ((rows - 1) * stride + n,), first)
        return (minuend, stride), (carray(other, ((rows - 1) * other_stride + n,), second), other_stride)

    return _inlined(two)


def _gram_rows(weights: Any) -> Callable[..., None]:
    """`gram_rows` of what ``weights`` makes, by addresses."""

    def call(flat, stride, other, other_stride, rows, n, X, Y, scale):  # type: ignore[no-untyped-def]  # numba infers them
        columns, sums = carray(X, (WIDTH, n), np.float64), carray(Y, (WIDTH, n), np.float64)
        gram_rows(weights(flat, stride, other, other_stride, rows, n), rows, n, columns, sums, scale)

    return call


def _row_statistics(kernel: Kernel) -> Callable[..., None]:
    """`row_statistics` of the weights that ``kernel`` is for, by addresses."""
    numbers, unsigned = _weights(kernel.stored), FLOAT_BITS[counted(kernel.dtypes)].unsigned
    words = _weights([np.dtype(unsigned)]) if len(kernel.stored) == 1 else numbers
    level = numba.from_dtype(np.dtype(unsigned))

    def call(  # type: ignore[no-untyped-def]  # numba infers them
        flat, stride, other, other_stride, rows, n, row_sq, row_fourth, col_sq, magnitude, normal, limit, counts
    ):
        weights = numbers(flat, stride, other, other_stride, rows, n)
        bits = words(flat, stride, other, other_stride, rows, n)
        squares, fourth = carray(row_sq, (rows,), np.float64), carray(row_fourth, (rows,), np.float64)
        columns = carray(col_sq, (n,), np.float64)
        mask, least, most = level(magnitude), level(normal), level(limit)
        found = row_statistics(weights, bits, rows, n, squares, fourth, columns, mask, least, most)
        told = carray(counts, (5,), np.int64)
        told[0], told[1], told[2], told[3], told[4] = found[0], found[1], found[2], found[3], found[4]

    return call


def _row_changes(weights: Any) -> Callable[..., None]:
    """`row_changes` of what ``weights`` makes, by addresses."""

    def call(  # type: ignore[no-untyped-def]  # numba infers them
        flat, stride, other, other_stride, rows, n, along, across, touched, told, least, derived_least, ulp
    ):
        its, sums = carray(along, (rows, ALONG), np.float64), carray(across, (ACROSS, n), np.float64)
        columns, counts = carray(touched, (n,), np.int32), carray(told, (TOLD,), np.int64)
        pair = weights(flat, stride, other, other_stride, rows, n)
        row_changes(pair, rows, n, its, sums, columns, counts, least, derived_least, ulp)

    return call
