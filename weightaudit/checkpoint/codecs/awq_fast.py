"""AWQ's layout for one token at a time (gemv_fast, llm-awq): rows in fours, offsets where others have zero points.

A matrix (out, in) of 4-bit codes is int16 (out/4, in). Each 64 words hold 64 columns of four rows, sixteen words a row,
four codes a word from its lowest bits on; within 32 columns these come in an order of their own. Scales and offsets
−s·z are (rows, out), more rows than there are groups, and the offset is added to s·q.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.affine import SCALES, shaped
from weightaudit.checkpoint.codecs.bits import float32, pairs, take_pairs, tiles
from weightaudit.records import TensorInfo

ROWS, COLUMNS = 4, 64
"""Of the smallest piece: the rows that lie in each other, and the columns of each of them."""
ORDERED = 32
"""Columns that are in an order of their own: 8·d + 2·g + c comes as 8·g + 4·c + d."""
SIZES = {128: 1, 64: 2, 32: 4, 16: 8}
"""Inputs that share a scale where nobody says it, and what rows of scales come in multiples of, in eights."""
_DIGITS = pairs(np.arange(16, dtype=np.float32))


def sizes_of(parts: Mapping[str, TensorInfo]) -> tuple[int, int] | None:
    """(out, in) of the matrix in ``parts``, by shapes and dtypes; None where these are no such matrix's."""
    codes, scales, zeros = parts["codes"], parts["scales"], parts["zeros"]
    if codes.dtype != "int16" or len(codes.shape) != 2 or len(scales.shape) != 2 or not codes.parameters:
        return None
    out, columns = ROWS * codes.shape[0], codes.shape[1]
    fits = shaped(scales, scales.shape[0], out, dtypes=SCALES) and shaped(zeros, *scales.shape, dtypes=SCALES)
    return (out, columns) if fits and columns % COLUMNS == 0 else None


def group_of(columns: int, rows: int, said: Iterable[object]) -> int | None:
    """Inputs that share a scale: the first ``said``, or usual, that takes as many ``rows`` of scales; None for none."""
    told = [columns if size == -1 else size for size in said if type(size) is int and (size > 0 or size == -1)]
    for size in told or SIZES:
        if columns % size == 0 and _rows_of_scales(columns, size) == rows:
            return size
    return None


def _rows_of_scales(columns: int, size: int) -> int:
    multiple = next((times for least, times in SIZES.items() if size >= least), SIZES[16])
    eights = -(-(columns // size) // 8)
    return 8 * -(-eights // multiple) * multiple


def decode_fast(parts: Mapping[str, Array], size: int, out: Array) -> None:
    """Fill ``out`` (out, in) with s·q − s·z of groups of ``size`` inputs; ValueError where the parts are not those."""
    rows, columns = out.shape
    groups, codes = columns // size, parts["codes"]
    if codes.shape != (rows // ROWS, columns) or columns % size or len(parts["scales"]) < groups:
        raise ValueError(f"codes of {codes.shape} and scales of {parts['scales'].shape} for a shape of {out.shape}")
    scales, offsets = (float32(parts[use][:groups]).T for use in ("scales", "zeros"))
    for start, stop in tiles(rows, columns, step=ROWS):
        raw = codes[start // ROWS : stop // ROWS].view(np.uint8).reshape(-1, columns // COLUMNS, ROWS, COLUMNS // 2)
        in_rows = np.ascontiguousarray(raw.swapaxes(1, 2))
        fields = np.empty((stop - start, columns), np.float32)
        take_pairs(_DIGITS, in_rows, fields)
        tile = out[start:stop]
        ordered = tile.reshape(len(tile), -1, 4, 4, 2)  # (…, d, g, c)
        ordered[...] = fields.reshape(len(tile), -1, 4, 2, 4).transpose(0, 1, 4, 2, 3)
        by_group = tile.reshape(len(tile), groups, size)
        by_group *= scales[start:stop, :, None]
        by_group += offsets[start:stop, :, None]
