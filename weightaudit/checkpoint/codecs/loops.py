"""The loops that turn codes into numbers, compiled by numba for `native`, which hands them out.

No sum is reordered and nothing is contracted: each step is rounded to float32 as where numpy decodes the same format,
so that both give the same bytes, of finite scales: which NaN two of them give is the compiler's to choose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from weightaudit.checkpoint.codecs.loop_abi import COUNTED, SCALED, TABLES, Kernel
from weightaudit.compiled.jit import carray, intrinsic, numba, types

_inlined = numba.njit(inline="always")
"""A loop that becomes a part of the function of C that calls it."""


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _float32(typingctx: Any, bits: Any) -> Any:
    """The float32 number of these bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


@_inlined
def half(stored, at):  # type: ignore[no-untyped-def]  # numba infers them
    """The finite float16 number in two bytes, by whole numbers: not every processor converts it."""
    bits = np.uint32(stored[at]) | np.uint32(stored[at + 1]) << np.uint32(8)
    sign, exponent = (bits & np.uint32(0x8000)) << np.uint32(16), bits >> np.uint32(10) & np.uint32(31)
    fraction = bits & np.uint32(0x3FF)
    if exponent == np.uint32(0):
        size = np.float32(fraction) * np.float32(2.0**-24)
        return -size if sign else size
    return _float32(sign | (exponent + np.uint32(112)) << np.uint32(23) | fraction << np.uint32(13))


@_inlined
def q4_0(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
    for i in range(count):
        at, start, scale, zero = np.uint64(18 * i), np.uint64(32 * i), half(blocks, 18 * i), np.int32(8)
        for j in range(16):
            code = np.int32(blocks[at + np.uint64(j + 2)])
            out[start + np.uint64(j)] = np.float32((code & np.int32(15)) - zero) * scale
            out[start + np.uint64(j + 16)] = np.float32((code >> np.int32(4)) - zero) * scale


@_inlined
def q4_1(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
    for i in range(count):
        at, start = np.uint64(20 * i), np.uint64(32 * i)
        scale, offset = half(blocks, 20 * i), half(blocks, 20 * i + 2)
        for j in range(16):
            code = np.int32(blocks[at + np.uint64(j + 4)])
            out[start + np.uint64(j)] = np.float32(code & np.int32(15)) * scale + offset
            out[start + np.uint64(j + 16)] = np.float32(code >> np.int32(4)) * scale + offset


@_inlined
def q8_0(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
    for i in range(count):
        at, start, scale = np.uint64(34 * i), np.uint64(32 * i), half(blocks, 34 * i)
        for j in range(32):
            out[start + np.uint64(j)] = np.float32(np.int8(blocks[at + np.uint64(j + 2)])) * scale


@_inlined
def six_bits(blocks, at, j):  # type: ignore[no-untyped-def]  # numba infers them
    """Scale and minimum of group j of eight, of the twelve bytes from ``at`` on."""
    if j < 4:
        return blocks[at + j] & np.uint8(63), blocks[at + 4 + j] & np.uint8(63)
    both, i = blocks[at + 4 + j], at + j - 4
    scale = (both & np.uint8(15)) | (blocks[i] >> np.uint8(6)) << np.uint8(4)
    return scale, (both >> np.uint8(4)) | (blocks[i + 4] >> np.uint8(6)) << np.uint8(4)


@_inlined
def q4_k(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
    for i in range(count):
        at = 144 * i
        d, m = half(blocks, at), half(blocks, at + 2)
        for pair in range(4):
            first, second = six_bits(blocks, at + 4, 2 * pair), six_bits(blocks, at + 4, 2 * pair + 1)
            scale, offset = d * np.float32(first[0]), -m * np.float32(first[1])
            next_scale, next_offset = d * np.float32(second[0]), -m * np.float32(second[1])
            start = 256 * i + 64 * pair
            codes = blocks[at + 16 + 32 * pair : at + 48 + 32 * pair]
            low, high = out[start : start + 32], out[start + 32 : start + 64]
            for j in range(32):
                code = np.int32(codes[j])
                low[j] = np.float32(code & np.int32(15)) * scale + offset
                high[j] = np.float32(code >> np.int32(4)) * next_scale + next_offset


@_inlined
def q5_k(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
    for i in range(count):
        at = 176 * i
        d, m = half(blocks, at), half(blocks, at + 2)
        fifths = blocks[at + 16 : at + 48]
        for pair in range(4):
            first, second = six_bits(blocks, at + 4, 2 * pair), six_bits(blocks, at + 4, 2 * pair + 1)
            scale, offset = d * np.float32(first[0]), -m * np.float32(first[1])
            next_scale, next_offset = d * np.float32(second[0]), -m * np.float32(second[1])
            start, bit = 256 * i + 64 * pair, np.int32(2 * pair)
            codes = blocks[at + 48 + 32 * pair : at + 80 + 32 * pair]
            low, high = out[start : start + 32], out[start + 32 : start + 64]
            for j in range(32):
                code, fifth = np.int32(codes[j]), np.int32(fifths[j]) >> bit
                one = (code & np.int32(15)) | (fifth & np.int32(1)) << np.int32(4)
                other = (code >> np.int32(4)) | (fifth & np.int32(2)) << np.int32(3)
                low[j] = np.float32(one) * scale + offset
                high[j] = np.float32(other) * next_scale + next_offset


@_inlined
def q6_k(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
    for i in range(count):
        at = 210 * i
        d = half(blocks, at + 208)
        for part in range(4):  # 16 of the 32 columns of each quarter of 128
            side, odd = part >> 1, part & 1
            start, its = 256 * i + 128 * side + 16 * odd, at + 192 + 8 * side + odd
            scale0, scale1 = d * np.float32(np.int8(blocks[its])), d * np.float32(np.int8(blocks[its + 2]))
            scale2, scale3 = d * np.float32(np.int8(blocks[its + 4])), d * np.float32(np.int8(blocks[its + 6]))
            low, high = at + 64 * side + 16 * odd, at + 128 + 32 * side + 16 * odd
            fours, others = blocks[low : low + 16], blocks[low + 32 : low + 48]
            twos = blocks[high : high + 16]
            out0, out1 = out[start : start + 16], out[start + 32 : start + 48]
            out2, out3 = out[start + 64 : start + 80], out[start + 96 : start + 112]
            zero = np.int32(32)
            for j in range(16):
                a, b, c = np.int32(fours[j]), np.int32(others[j]), np.int32(twos[j])
                out0[j] = np.float32((a & np.int32(15) | (c & np.int32(3)) << np.int32(4)) - zero) * scale0
                out1[j] = np.float32((b & np.int32(15) | (c & np.int32(12)) << np.int32(2)) - zero) * scale1
                out2[j] = np.float32((a >> np.int32(4) | c & np.int32(48)) - zero) * scale2
                out3[j] = np.float32((b >> np.int32(4) | (c & np.int32(192)) >> np.int32(2)) - zero) * scale3


@_inlined
def scaled(codes, table, scales, rows, n, height, width, groups, out):  # type: ignore[no-untyped-def]  # numba infers them
    """What each byte of ``codes`` (rows, n) is in the ``table``, times the scale of its block.

    Blocks are of ``height`` × ``width``, ``groups`` of them side by side.
    """
    band = used = 0
    for i in range(rows):
        if used == height:
            band, used = band + groups, 0
        used += 1
        for group in range(groups):
            start, scale = i * n + group * width, scales[band + group]
            end = min(start + width, (i + 1) * n)
            its, numbers = codes[start:end], out[start:end]
            for j in range(end - start):
                numbers[j] = table[its[j]] * scale


@_inlined
def counted(codes, n, counts):  # type: ignore[no-untyped-def]  # numba infers them
    """Add to ``counts``, `TABLES` of 256, how often each byte is among the ``n`` of ``codes``."""
    for i in range(0, n // TABLES * TABLES, TABLES):
        for table in range(TABLES):
            counts[256 * table + codes[i + table]] += 1
    for i in range(n // TABLES * TABLES, n):
        counts[codes[i]] += 1


BLOCKS = {
    "Q4_0": (q4_0, 32, 18),
    "Q4_1": (q4_1, 32, 20),
    "Q8_0": (q8_0, 32, 34),
    "Q4_K": (q4_k, 256, 144),
    "Q5_K": (q5_k, 256, 176),
    "Q6_K": (q6_k, 256, 210),
}
"""The loop over the blocks of each type, the entries and the bytes of one."""


def compiled(kernel: Kernel) -> Any:
    """``kernel`` as a function of C, a `numba.cfunc` called as `loop_abi.PROTOTYPES` says."""
    whole, address = types.int64, types.voidptr
    if kernel.loop == SCALED:
        signature = types.void(address, address, address, *[whole] * 5, address)
        return numba.cfunc(signature, boundscheck=False)(_scaled)
    if kernel.loop == COUNTED:
        return numba.cfunc(types.void(address, whole, address), boundscheck=False)(_counted)
    loop, entries, nbytes = BLOCKS[kernel.loop]

    def call(blocks, count, out):  # type: ignore[no-untyped-def]  # numba infers them
        loop(carray(blocks, (count * nbytes,), np.uint8), count, carray(out, (count * entries,), np.float32))

    return numba.cfunc(types.void(address, whole, address), boundscheck=False)(call)


def _scaled(codes, table, scales, rows, n, height, width, groups, out):  # type: ignore[no-untyped-def]  # numba infers them
    its, numbers = carray(codes, (rows * n,), np.uint8), carray(out, (rows * n,), np.float32)
    known, every = carray(table, (256,), np.float32), carray(scales, (rows * groups,), np.float32)  # at most so many
    scaled(its, known, every, rows, n, height, width, groups, numbers)


def _counted(codes, n, counts):  # type: ignore[no-untyped-def]  # numba infers them
    counted(carray(codes, (n,), np.uint8), n, carray(counts, (256 * TABLES,), np.int64))
