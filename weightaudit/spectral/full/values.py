"""All singular values: M = AᵀA in float64, A the taller of W and Wᵀ, and a dense eigensolver.

As `weightaudit.spectral.exact`, with M summed tile by tile: no more than M, one slab of A and a tile are in memory, and
the threads of a team that are idle take part. Sums are in one order whoever does them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from weightaudit.spectral.block_matrix import Panels
from weightaudit.spectral.exact import exact
from weightaudit.spectral.full.shuffling import LARGEST_COPY
from weightaudit.spectral.rounding import SUM_ERROR, gram_error
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.team import Team
from weightaudit.spectral.tensors import Panel, room

LARGEST_SIDE = 16_384
"""The smaller side of the largest matrix of which all singular values are computed: M then takes 2 GiB, the eigensolver
as much again, and some twenty minutes of a core."""
SLAB = 1 << 21
"""Elements of A that are worked on at once: 16 MB in float64."""
TILE = 512
"""Rows and columns of a tile of M: 2 MB, and work enough for a product to run at full speed."""


def all_values(matrix: Panels, scale: float, frob_sq: float, team: Team) -> Interval:
    """As `exact`, of a matrix of any size."""
    if matrix.device != "cpu":
        return exact(matrix, scale, frob_sq)
    m, n = max(matrix.rows, matrix.cols), min(matrix.rows, matrix.cols)
    M = np.zeros((n, n))
    tiles = [(slice(i, i + TILE), slice(j, j + TILE)) for i, j in _tiles(n)]
    for slab in _slabs(matrix):
        if scale != 1.0:
            slab *= scale

        def add(piece: int, slab: Panel = slab) -> None:
            down, across = tiles[piece]
            M[down, across] += slab[:, down].T @ slab[:, across]

        team.share(len(tiles), add)
    values: NDArray[np.float64] = np.linalg.eigvalsh(M, UPLO="L").astype(np.float64, copy=False)
    largest = float(values[-1])
    error = largest * gram_error(m, n, frob_sq / largest)
    upper = min(largest + error, frob_sq * (1.0 + SUM_ERROR))
    return Interval(largest - error, upper, 1, WholeSpectrum(values, error, m))


def workspace_bytes(rows: int, cols: int, itemsize: int) -> int:
    """Bytes needed beside a (rows, cols) matrix: its entries shuffled, M, the eigensolver's copy of it, and slabs."""
    n = min(rows, cols)
    return min(rows * cols * itemsize, LARGEST_COPY) + 2 * 8 * n * n + 2 * 8 * max(SLAB, n)


def _tiles(n: int) -> Iterator[tuple[int, int]]:
    """Where the tiles of M begin that the eigensolver reads: those on its diagonal and below."""
    for across, down in combinations_with_replacement(range(0, n, TILE), 2):
        yield down, across


def _slabs(matrix: Panels) -> Iterator[NDArray[np.float64]]:
    """A in slabs of rows, each valid until the next."""
    m, n = max(matrix.rows, matrix.cols), min(matrix.rows, matrix.cols)
    height = min(m, max(1, SLAB // n))
    slab, filled = room((height, n), "cpu"), 0
    for panel in matrix.panels(matrix.rows >= matrix.cols):
        taken = 0
        while taken < len(panel):
            some = panel[taken : taken + height - filled]
            slab[filled : filled + len(some)] = some
            filled, taken = filled + len(some), taken + len(some)
            if filled == height:
                yield slab
                filled = 0
    if filled:
        yield slab[:filled]
