"""What the bytes of ggml's blocks say: codes, and what each group of them is multiplied by and moved by.

A block is a row of bytes. Every step is ggml's, so that code × scale + offset in float32 is its number to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weightaudit.arrays import Array

E2M1_TWICE = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
"""The numbers of a four-bit float (two bits of exponent, one of mantissa), times two."""
IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


@dataclass(frozen=True)
class Blocks:
    """n blocks taken apart: number = code · scale + offset.

    ``codes`` are (n, entries), small integers; ``scales`` and ``offsets`` (n, groups) float32, a group being so many
    neighbours. ``stored`` are the float16 numbers (n, 1) that the scales were made of, as float32; None where they were
    made of none.
    """

    codes: Array
    scales: Array
    offsets: Array | None = None
    stored: Array | None = None


@dataclass(frozen=True)
class Layout:
    """How one type is taken apart, and the ``levels`` that its codes have.

    Codes are whole numbers: ``unit`` of them are one, and scales are so much smaller than people write them.
    """

    unpack: Callable[[Array], Blocks]
    levels: Sequence[int]
    unit: int = 1


def _taken(blocks: Array, start: int, nbytes: int) -> Array:
    """Bytes ``start`` to ``start`` + ``nbytes`` of each block, (n, nbytes) and contiguous."""
    n, size = blocks.shape
    strided = np.ndarray((n,), f"V{nbytes}", buffer=blocks, offset=start, strides=(size,))  # copied by one move each
    return strided.copy().view(np.uint8).reshape(n, nbytes)


def _half(blocks: Array, start: int) -> Array:
    """The float16 number at ``start`` of each block, (n, 1) float32."""
    n, size = blocks.shape
    return np.ndarray((n, 1), "<f2", buffer=blocks, offset=start, strides=(size, 2)).astype(np.float32)


def _fields(packed: Array, bits: int, width: int) -> Array:
    """The ``bits``-bit fields of contiguous bytes (n, k · width): of each ``width`` bytes the lowest, then the next.

    (n, k · width · 8 / bits) uint8.
    """
    words = _words(packed)
    mask = words.dtype.type(sum((1 << bits) - 1 << 8 * byte for byte in range(words.itemsize)))
    fields = np.empty((packed.size // width, 8 // bits), f"V{width}")
    for i in range(8 // bits):
        plane = words >> words.dtype.type(i * bits) if i else words & mask
        if i:
            plane &= mask
        fields[:, i] = plane.view(f"V{width}")
    return fields.view(np.uint8).reshape(len(packed), -1)


def _words(codes: Array) -> Array:
    """Contiguous bytes, eight in a word where these divide them: as much is done to them at once."""
    return codes.reshape(-1).view(np.uint8 if codes.size % 8 else np.uint64)


def _join(codes: Array, more: Array, bits: int) -> Array:
    """``codes`` with ``more`` above their lowest ``bits``, in place; bytes that hold both."""
    above = _words(more)
    above <<= above.dtype.type(bits)
    joined = _words(codes)
    joined |= above
    return codes


def _signed(codes: Array, zero: int) -> Array:
    """``codes`` − ``zero``, in place."""
    signed = codes.view(np.int8)
    signed -= np.int8(zero)
    return signed


def _q4_0(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_signed(_fields(_taken(blocks, 2, 16), 4, 16), 8), d, stored=d)


def _q4_1(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_fields(_taken(blocks, 4, 16), 4, 16), d, _half(blocks, 2), d)


def _fives(blocks: Array, start: int) -> Array:
    """Codes of five bits: the fifth bits of 32 columns, then their nibbles."""
    fifth = np.unpackbits(_taken(blocks, start, 4), axis=1, bitorder="little")
    return _join(_fields(_taken(blocks, start + 4, 16), 4, 16), fifth, 4)


def _q5_0(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_signed(_fives(blocks, 2), 16), d, stored=d)


def _q5_1(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_fives(blocks, 4), d, _half(blocks, 2), d)


def _q8_0(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_taken(blocks, 2, 32).view(np.int8), d, stored=d)


def _q2_k(blocks: Array) -> Blocks:
    d, m = _half(blocks, 80), _half(blocks, 82)
    scales = _taken(blocks, 0, 16)
    return Blocks(_fields(_taken(blocks, 16, 64), 2, 32), d * (scales & 15), -m * (scales >> 4), d)


def _q3_k(blocks: Array) -> Blocks:
    d = _half(blocks, 108)
    codes = _join(_fields(_taken(blocks, 32, 64), 2, 32), _fields(_taken(blocks, 0, 32), 1, 32), 2)
    scales = _join(_fields(_taken(blocks, 96, 8), 4, 8), _fields(_taken(blocks, 104, 4), 2, 4), 4)
    return Blocks(_signed(codes, 4), d * _signed(scales, 32), stored=d)


def _sixes(blocks: Array) -> tuple[Array, Array]:
    """The eight pairs of six bits of the twelve bytes from 4 on: (n, 8) each."""
    first, second, third = _taken(blocks, 4, 12).view(np.uint32).T  # four bytes at once
    low, mid, six = np.uint32(0x0F0F0F0F), np.uint32(0x30303030), np.uint32(0x3F3F3F3F)
    two, four = np.uint32(2), np.uint32(4)
    scales = np.stack([first & six, third & low | first >> two & mid], axis=1)
    mins = np.stack([second & six, third >> four & low | second >> two & mid], axis=1)
    return scales.view(np.uint8), mins.view(np.uint8)


def _k(blocks: Array, codes: Array) -> Blocks:
    d, m = _half(blocks, 0), _half(blocks, 2)
    scales, mins = _sixes(blocks)
    return Blocks(codes, d * scales, -m * mins, d)


def _q4_k(blocks: Array) -> Blocks:
    return _k(blocks, _fields(_taken(blocks, 16, 128), 4, 32))


def _q5_k(blocks: Array) -> Blocks:
    return _k(blocks, _join(_fields(_taken(blocks, 48, 128), 4, 32), _fields(_taken(blocks, 16, 32), 1, 32), 4))


def _q6_k(blocks: Array) -> Blocks:
    d = _half(blocks, 208)
    codes = _join(_fields(_taken(blocks, 0, 128), 4, 64), _fields(_taken(blocks, 128, 64), 2, 32), 4)
    return Blocks(_signed(codes, 32), d * _taken(blocks, 192, 16).view(np.int8), stored=d)


def _table(levels: Sequence[int]) -> bytes:
    """What `bytes.translate` takes: the int8 that each code means."""
    return np.array(levels, np.int8).tobytes().ljust(256)


_IQ4_TABLE, _E2M1_TABLE = _table(IQ4), _table(E2M1_TWICE)


def _looked_up(packed: Array, table: bytes, width: int) -> Array:
    """As `_fields` of four bits, each what the ``table`` says of it."""
    codes = _fields(packed, 4, width)
    return np.frombuffer(codes.tobytes().translate(table), np.int8).reshape(codes.shape)


def _iq4_nl(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_looked_up(_taken(blocks, 2, 16), _IQ4_TABLE, 16), d, stored=d)


def _iq4_xs(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    scales = _join(_fields(_taken(blocks, 4, 4), 4, 1), _fields(_taken(blocks, 2, 2), 2, 1), 4)
    return Blocks(_looked_up(_taken(blocks, 8, 128), _IQ4_TABLE, 16), d * _signed(scales, 32), stored=d)


def _digits(packed: Array, planes: int) -> Array:
    """The first ``planes`` digits of three of each byte, digit by digit."""
    powers = np.array([3**i for i in range(planes)], np.uint8)
    moved = packed[:, None, :] * powers[:, None]  # modulo 256
    return ((moved.astype(np.uint16) * np.uint16(3)) >> np.uint16(8)).astype(np.uint8).reshape(len(packed), -1)


def _tq1_0(blocks: Array) -> Blocks:
    d = _half(blocks, 52)
    parts = ((0, 32, 5), (32, 16, 5), (48, 4, 4))
    codes = np.concatenate([_digits(_taken(blocks, at, nbytes), planes) for at, nbytes, planes in parts], axis=1)
    return Blocks(_signed(codes, 1), d, stored=d)


def _tq2_0(blocks: Array) -> Blocks:
    d = _half(blocks, 64)
    return Blocks(_signed(_fields(_taken(blocks, 0, 64), 2, 32), 1), d, stored=d)


def _q1_0(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    bits = np.unpackbits(_taken(blocks, 2, 16), axis=1, bitorder="little")
    return Blocks(_signed(bits << np.uint8(1), 1), d, stored=d)


def _q2_0(blocks: Array) -> Blocks:
    d = _half(blocks, 0)
    return Blocks(_signed(_fields(_taken(blocks, 2, 16), 2, 1), 1), d, stored=d)


_E8M0_HALVED = np.ldexp(np.float32(1), np.arange(256) - 128).astype(np.float32)
"""2^(e − 127), halved as the numbers of `E2M1_TWICE` are doubled."""


def _mxfp4(blocks: Array) -> Blocks:
    scales = _E8M0_HALVED[blocks[:, :1]]
    return Blocks(_looked_up(_taken(blocks, 1, 16), _E2M1_TABLE, 16), scales)


def _e4m3_halved() -> Array:
    """A float of four bits of exponent and three of mantissa without sign, halved; ggml takes its NaN for 0."""
    byte = np.arange(256)
    exponent, mantissa = byte >> 3 & 15, byte & 7
    values = np.ldexp(np.where(exponent, 8 + mantissa, mantissa), np.maximum(exponent, 1) - 11)
    return np.where(byte == 0x7F, 0, values).astype(np.float32)


_E4M3_HALVED = _e4m3_halved()


def _nvfp4(blocks: Array) -> Blocks:
    return Blocks(_looked_up(_taken(blocks, 4, 32), _E2M1_TABLE, 8), _E4M3_HALVED[blocks[:, :4]])


LAYOUTS = {
    "Q4_0": Layout(_q4_0, range(-8, 8)),
    "Q4_1": Layout(_q4_1, range(16)),
    "Q5_0": Layout(_q5_0, range(-16, 16)),
    "Q5_1": Layout(_q5_1, range(32)),
    "Q8_0": Layout(_q8_0, range(-127, 128)),
    "Q2_K": Layout(_q2_k, range(4)),
    "Q3_K": Layout(_q3_k, range(-4, 4)),
    "Q4_K": Layout(_q4_k, range(16)),
    "Q5_K": Layout(_q5_k, range(32)),
    "Q6_K": Layout(_q6_k, range(-32, 32)),
    "IQ4_NL": Layout(_iq4_nl, IQ4),
    "IQ4_XS": Layout(_iq4_xs, IQ4),
    "TQ1_0": Layout(_tq1_0, range(-1, 2)),
    "TQ2_0": Layout(_tq2_0, range(-1, 2)),
    "MXFP4": Layout(_mxfp4, sorted(set(E2M1_TWICE)), unit=2),
    "NVFP4": Layout(_nvfp4, sorted(set(E2M1_TWICE)), unit=2),
    "Q1_0": Layout(_q1_0, (-1, 1)),
    "Q2_0": Layout(_q2_0, range(-1, 3)),
}
"""By the name of a type. Those with codebooks are `ggml_codebooks`'."""
