"""Small things that several codecs share: fields of a few bits, tables of small floats, facts of scales."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import ml_dtypes
import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.native import counts_of

TILE = 1 << 17
"""Entries decoded at a time: their float32 and what leads to them stay in a processor's cache."""
MOST_SAID = 64
"""Different numbers that a config says of one thing, beyond which it is not listened to."""
_HISTOGRAM = 1 << 19
"""Bytes counted at a time, of which numpy makes eight bytes each."""
_MANY = 1 << 20
"""Bytes from which pairs of them are counted."""
_FEW = 8
"""Byte values that are found sooner one by one than by counting."""


def table_of(dtype: Any) -> Array:
    """What a byte is as a number of ``dtype``; (256,) float32."""
    table: Array = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    return table


E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""What a 4-bit float is, by its code; (16,) float32."""
E4M3 = table_of(ml_dtypes.float8_e4m3fn)
"""What a byte is as float8 E4M3; (256,) float32. 0x7F and 0xFF are NaN."""
E5M2 = table_of(ml_dtypes.float8_e5m2)
"""What a byte is as float8 E5M2; (256,) float32."""
E8M0 = table_of(ml_dtypes.float8_e8m0fnu)
"""What a byte is as a power of two, 2^(b − 127); (256,) float32. 0xFF is NaN."""


def pairs(table: Array, *, high_first: bool = False) -> Array:
    """(256,) complex64: the two float32 of ``table``, of 16, that the nibbles of a byte stand for, in memory order."""
    low, high = table[np.arange(256) & 15], table[np.arange(256) >> 4]
    both = np.stack([high, low] if high_first else [low, high], axis=1)
    return np.ascontiguousarray(both, np.float32).view(np.complex64).reshape(256)


def take_pairs(table: Array, packed: Array, out: Array) -> None:
    """Fill ``out``, float32 and contiguous, two numbers for each uint8 of ``packed``, from a table of `pairs`."""
    table.take(packed, out=out.view(np.complex64).reshape(packed.shape), mode="clip")


def float32(scales: Array) -> Array:
    """``scales`` of any dtype as float32; uint8 are exponents, `E8M0`."""
    return E8M0[scales] if scales.dtype == np.uint8 else scales.astype(np.float32)


def distinct(said: Iterable[object]) -> list[int]:
    """The first different whole numbers among what a config says, in order; at most `MOST_SAID`."""
    numbers = dict.fromkeys(one for one in said if type(one) is int)
    return list(islice(numbers, MOST_SAID))


def words(count: int, bits: int, *, each: int = 0) -> int:
    """32-bit words that ``count`` fields of ``bits`` bits take: without gaps, or ``each`` of them a word."""
    return -(-count // each) if each else -(-count * bits // 32)


def unpack(packed: Array, bits: int, count: int, *, axis: int = 1, each: int = 0) -> Array:
    """The first ``count`` fields of ``bits`` bits (1 to 8) in 32-bit words along ``axis`` (0 or 1) of a matrix, uint8.

    Fields start at the lowest bit of the first word. They follow each other without gaps, across words too, or lie
    ``each`` to a word, of which the highest bits are then unused. Raises ValueError where there are fewer words.
    """
    packed = packed.view(np.uint32)
    if packed.ndim != 2 or packed.shape[axis] < words(count, bits, each=each):
        raise ValueError(f"{packed.shape} words hold no {count} fields of {bits} bits")
    period = each or 32 // math.gcd(32, bits)  # fields after which a word starts anew
    span = 1 if each else period * bits // 32
    blocks = -(-count // period)
    if missing := blocks * span - packed.shape[axis]:
        if missing > 0:
            packed = np.pad(packed, [(0, missing) if axis == dim else (0, 0) for dim in (0, 1)])
        else:
            packed = packed[: blocks * span] if axis == 0 else packed[:, : blocks * span]
    outer = packed.shape[1 - axis]
    if axis == 0:
        source = packed.reshape(blocks, span, outer).transpose(1, 0, 2)
        fields = np.empty((blocks, period, outer), np.uint8)
        target = fields.transpose(1, 0, 2)
    else:
        source = packed.reshape(outer, blocks, span).transpose(2, 0, 1)
        fields = np.empty((outer, blocks, period), np.uint8)
        target = fields.transpose(2, 0, 1)
    mask = np.uint32((1 << bits) - 1)
    for field in range(period):
        word, shift = divmod(field * bits, 32)
        value = source[word] >> np.uint32(shift)
        if shift + bits > 32:
            value |= source[word + 1] << np.uint32(32 - shift)
        np.bitwise_and(value, mask, out=value)
        target[field] = value
    shape = (blocks * period, outer) if axis == 0 else (outer, blocks * period)
    every: Array = fields.reshape(shape)
    return every[:count] if axis == 0 else every[:, :count]


def histogram(packed: Array) -> Array:
    """(256,) int64: how often each byte is in ``packed``, contiguous and of any dtype."""
    flat = packed.reshape(-1).view(np.uint8)
    if (counted := counts_of(flat)) is not None:
        return counted
    counts: Array = np.zeros(256, np.int64)
    if flat.size >= _MANY and flat.size % 2 == 0:  # two at a time
        both = np.zeros(1 << 16, np.int64)
        for start in range(0, flat.size, _HISTOGRAM):
            both += np.bincount(flat[start : start + _HISTOGRAM].view(np.uint16), minlength=1 << 16)
        counts += both.reshape(256, 256).sum(axis=0) + both.reshape(256, 256).sum(axis=1)
        return counts
    for start in range(0, flat.size, _HISTOGRAM):
        counts += np.bincount(flat[start : start + _HISTOGRAM], minlength=256)
    return counts


def some_counts(packed: Array, counted: Array, wanted: Array) -> Array:
    """(256,) int64: how often the byte values ``counted`` are in ``packed``, contiguous and of any dtype; of the others
    ``wanted``, which of them are there at all.

    Where numpy counts, few are looked for one by one, which is faster than counting all.
    """
    flat = packed.reshape(-1).view(np.uint8)
    if (counts := counts_of(flat)) is not None:
        return counts
    found: Array = np.zeros(256, np.int64)
    found[wanted] = 1
    found[_unused(flat, wanted)] = 0
    for code in counted.tolist():
        found[code] = np.count_nonzero(flat == code)
    return found


def _unused(flat: Array, wanted: Array) -> Array:
    """Those of the byte values ``wanted`` that are nowhere in ``flat``."""
    missing = wanted
    for start in range(0, flat.size, _HISTOGRAM):
        piece = flat[start : start + _HISTOGRAM]
        if len(missing) > _FEW:
            missing = missing[np.bincount(piece, minlength=256)[missing] == 0]
        else:
            missing = missing[[not (piece == code).any() for code in missing.tolist()]]
        if not len(missing):
            break
    return missing


def levels(packed: Array, bits: int) -> Array:
    """(2^bits,) int64: how often each code is in ``packed``, contiguous and without gaps, for 1, 2, 4 or 8 bits."""
    counts = histogram(packed).reshape((1 << bits,) * (8 // bits))
    axes = range(counts.ndim)
    each: Array = np.sum([counts.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes], axis=0)
    return each


def of_floats(counts: Array, table: Array = E2M1) -> dict[str, int]:
    """What `CodeFacts` says of codes that are there as often as ``counts`` says and stand for the numbers in ``table``.

    0 and −0 are one level, NaN is none.
    """
    numbers = table[~np.isnan(table)] + np.float32(0)  # −0 + 0 is 0
    used = table[(counts > 0) & ~np.isnan(table)] + np.float32(0)
    ends = (table == numbers.max()) | (table == numbers.min())
    return {
        "codes": int(counts.sum()),
        "extreme": int(counts[ends].sum()),
        "unused": len(np.unique(numbers)) - len(np.unique(used)),
    }


def tiles(rows: int, columns: int, *, step: int = 1) -> Iterator[tuple[int, int]]:
    """(start, stop) of runs of rows of about `TILE` entries together, each starting at a multiple of ``step``."""
    height = max(TILE // max(columns, 1) // step, 1) * step
    for start in range(0, rows, height):
        yield start, min(start + height, rows)


def scale_facts(scales: Array) -> dict[str, Any]:
    """What `CodeFacts` says of ``scales``, by its names; they are in the dtype that stores them, uint8 for `E8M0`."""
    if scales.dtype == np.uint8:
        scales = scales.view(ml_dtypes.float8_e8m0fnu)
    tiny = float(ml_dtypes.finfo(scales.dtype).smallest_normal)  # type: ignore[no-untyped-call]
    every, count, least, largest = scales.reshape(-1), np.zeros(4, np.int64), math.inf, 0.0
    for start, stop in tiles(every.size, 1):  # a matrix of small groups has many
        some = every[start:stop].astype(np.float64)
        size = abs(some)
        finite = np.isfinite(size)
        used = size[finite & (size > 0)]
        count += [(size == 0).sum(), (some < 0).sum(), size.size - finite.sum(), (used < tiny).sum()]
        least, largest = min(least, used.min(initial=math.inf)), max(largest, used.max(initial=0))
    kinds = ("zero_scales", "negative_scales", "nonfinite_scales", "subnormal_scales")
    return {
        "scales": every.size,
        **dict(zip(kinds, count.tolist(), strict=True)),
        "least_scale": float(least) if largest else math.nan,
        "largest_scale": float(largest) if largest else math.nan,
    }
