"""s·(q − z): integer codes, and scales and zero points that groups of a row's entries share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.bits import distinct, levels, tiles, unpack, words
from weightaudit.records import TensorInfo

SCALES = ("float16", "bfloat16", "float32")
"""Dtypes that scales of integer codes are stored in."""
Codes = Callable[[int, int, Array], None]
"""Fills a float32 tile with the codes of the rows from the first number to the second."""


@dataclass(frozen=True)
class Groups:
    """What the entries of a matrix (out, in) are scaled by.

    ``scales`` and ``zeros`` are (out, groups) float32, or broadcast to it; ``index`` says, of each column, which group
    is its own, all within range; None where ``size`` columns after the other have the same.
    """

    scales: Array
    zeros: Array
    size: int
    index: Array | None = None

    def decode(self, codes: Codes, out: Array, *, step: int = 1) -> None:
        """Fill ``out`` with s·(q − z), of the ``codes`` q, which are asked for in multiples of ``step`` rows.

        Raises ValueError where the groups are not those of ``out``.
        """
        rows, columns = out.shape
        if not out.size:
            return
        count = -(-columns // self.size) if self.index is None else self.scales.shape[-1]
        try:
            scales, zeros = (np.broadcast_to(one, (rows, count)) for one in (self.scales, self.zeros))
        except ValueError as error:
            shapes = f"scales of shape {self.scales.shape} and zero points of shape {self.zeros.shape}"
            raise ValueError(f"{shapes} for {rows} rows of {count} groups") from error
        index = self.index
        if index is None and count * self.size != columns:
            index = np.arange(columns) // self.size
        none = not zeros.any()
        for start, stop in tiles(rows, columns, step=step):
            tile = out[start:stop]
            codes(start, stop, tile)
            if index is None:
                tile = tile.reshape(stop - start, count, self.size)
            for one, subtract in ((zeros, True), (scales, False)):
                its = one[start:stop]
                its = its[:, :, None] if index is None else its.take(index, axis=1)
                if not subtract:
                    tile *= its
                elif not none:
                    tile -= its


def grouping(index: Array, groups: int) -> tuple[int, Array | None]:
    """(columns a group, None) of an ``index`` in which they lie one after the other, else (0, the index).

    Raises ValueError where it names other groups than the ``groups`` there are.
    """
    if index.size and not (index.min() >= 0 and index.max() < groups):
        raise ValueError(f"its columns are in groups {index.min()} to {index.max()}, there are {groups}")
    size = int(np.searchsorted(index, 1)) if groups > 1 else len(index)
    if size and -(-len(index) // size) == groups and np.array_equal(index, np.arange(len(index)) // size):
        return size, None
    return 0, index


def group_size(columns: int, groups: int, said: Iterable[object]) -> int | None:
    """Columns a group, the first ``said`` that makes as many ``groups``; None where no usual size does.

    Sizes that nobody tells are powers of two: 160 columns in two groups are 128 and 32.
    """
    if groups == 1:
        return max(columns, 1)
    if groups < 1:
        return None
    least = -(-columns // groups)
    for size in (*said, 1 << max(least - 1, 0).bit_length()):
        if type(size) is int and size > 0 and -(-columns // size) == groups:
            return size
    return None


def dense(packed: Array, bits: int, columns: int, *, each: int = 0, minus: int = 0) -> Codes:
    """`Codes` less ``minus`` of rows of 32-bit words as `unpack` has them, (out, words) of any strides.

    Raises ValueError where there are fewer words than ``columns`` take.
    """
    if packed.ndim != 2 or packed.shape[1] < (needed := words(columns, bits, each=each)):
        raise ValueError(f"{packed.shape} words hold no {columns} columns of {bits} bits")
    packed = packed[:, :needed]
    if bits not in _ITEMS or each * bits not in (0, 32):

        def fields(start: int, stop: int, tile: Array) -> None:
            codes = unpack(np.ascontiguousarray(packed[start:stop]), bits, columns, each=each)
            np.subtract(codes, np.float32(minus), out=tile)

        return fields
    table = _table(bits, minus)
    whole = columns * bits % 32 == 0

    def bytewise(start: int, stop: int, tile: Array) -> None:
        raw = np.ascontiguousarray(packed[start:stop]).view(np.uint8)
        if whole:
            table.take(raw, out=tile.view(table.dtype), mode="clip")
        else:
            tile[:] = table.take(raw, mode="clip").view(np.float32)[:, :columns]

    return bytewise


def signed(codes: Array) -> Codes:
    """`Codes` that are stored as integers (out, in)."""

    def copy(start: int, stop: int, tile: Array) -> None:
        tile[:] = codes[start:stop]

    return copy


_ITEMS: dict[int, Any] = {8: np.float32, 4: np.complex64, 2: np.complex128}
"""By bits of a code: a dtype as large as the float32 numbers that a byte holds."""


def _table(bits: int, minus: int) -> Array:
    """(256,): the 8 / bits codes, less ``minus``, that a byte holds, in order, as one item of as many float32."""
    shifts = np.arange(0, 8, bits)
    codes = (np.arange(256)[:, None] >> shifts & (1 << bits) - 1) - minus
    table: Array = np.ascontiguousarray(codes, np.float32).view(_ITEMS[bits]).reshape(256)
    return table


def code_facts(packed: Array, bits: int, count: int, *, each: int = 0) -> dict[str, int]:
    """What `CodeFacts` says of rows of ``count`` codes in 32-bit words, contiguous either way, by its names."""
    if 8 % bits == 0 and each * bits in (0, 32) and count * bits == packed.shape[1] * 32:
        return of_levels(levels(packed if packed.flags.c_contiguous else np.ascontiguousarray(packed.T), bits))
    counts = np.zeros(1 << bits, np.int64)
    for start, stop in tiles(len(packed), count):
        codes = unpack(np.ascontiguousarray(packed[start:stop]), bits, count, each=each)
        counts += np.bincount(codes.reshape(-1), minlength=1 << bits)
    return of_levels(counts)


def of_levels(counts: Array) -> dict[str, int]:
    """What `CodeFacts` says of codes that are there as often as ``counts`` says, lowest level first."""
    return {
        "codes": int(counts.sum()),
        "extreme": int(counts[0] + counts[-1]),
        "unused": int((counts == 0).sum()),
    }


def shaped(part: TensorInfo | None, *shape: int, dtypes: Iterable[str]) -> bool:
    """Whether ``part`` is there, of this shape and one of these dtypes."""
    return part is not None and part.shape == shape and part.dtype in dtypes


class Said:
    """What a config says of a number: of a module by name, of all modules, of those that it describes apart.

    It is read once, not for every module: both may be many.
    """

    def __init__(self, method: Mapping[str, Any], key: str) -> None:
        self._key = key
        self._apart = [table for name in ("extra_config", "dynamic") if isinstance(table := method.get(name), Mapping)]
        others = (one for table in self._apart for one in table.values())
        self._every = distinct(one.get(key) for one in (method, *others) if isinstance(one, Mapping))

    def of(self, module: str) -> list[int]:
        """The numbers that may be meant, the likeliest first."""
        own = (table.get(module) for table in self._apart)
        return [*distinct(one.get(self._key) for one in own if isinstance(one, Mapping)), *self._every]
