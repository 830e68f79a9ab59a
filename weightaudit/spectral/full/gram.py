"""M = AᵀA, A the taller of W and Wᵀ, summed tile by tile: no more than M, two slabs of A and some tiles are in memory.

The threads of a team that are idle take part: while one makes the next slab, others multiply the last. Where slabs and
tiles end depends on the shape alone, and sums are in one order, whoever does them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import aligned
from weightaudit.spectral.block_matrix import Panels
from weightaudit.spectral.full.shuffling import Mixed
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Panel

SLAB = 1 << 22
"""Elements of A that are worked on at once: 32 MB in float64. Of half as many a product took a tenth longer."""
TILE = 512
"""Rows and columns of a tile of M at most: work enough for a product to run at full speed, and enough of them for some
threads."""
ALIGNED = 16
"""Their number is a multiple of this, so that the rows of a tile begin on a cache line."""

Fill = Callable[[int, Panel], "list[Callable[[], None]]"]
"""What writes A's rows from one on into a slab, each to be called once, in any order."""


def gram_matrix(matrix: Panels, scale: float, team: ThreadTeam) -> NDArray[np.float64]:
    """M of ``scale`` times a matrix that lies on the CPU, in float64. Above its diagonal it is not written."""
    m, n = max(matrix.rows, matrix.cols), min(matrix.rows, matrix.cols)
    return _summed(m, n, slab_height(n), np.dtype(np.float64), _reader(matrix, scale), team)


def mixed_gram_matrix(
    matrix: Mixed, scale: float, dtype: np.dtype[np.floating], team: ThreadTeam
) -> NDArray[np.float64]:
    """The same of entries in random order; products over a slab are summed in ``dtype``, and these sums in float64."""
    m, n = max(matrix.rows, matrix.cols), min(matrix.rows, matrix.cols)

    def fill(top: int, slab: Panel) -> list[Callable[[], None]]:
        flat, first = slab.reshape(-1), top * n
        return [partial(matrix.write, pool, first, flat, scale) for pool in matrix.pools(first, first + flat.size)]

    return _summed(m, n, slab_height(n), dtype, fill, team)


def slab_height(n: int) -> int:
    """Rows of a slab."""
    return max(1, SLAB // n)


def slab_bytes(rows: int, cols: int) -> int:
    """Bytes needed beside a (rows, cols) matrix and its M: one slab or two, and a tile for each of some threads."""
    m, n = max(rows, cols), min(rows, cols)
    height = slab_height(n)
    return 8 * (n * min(m, 2 * height) + 4 * min(n, TILE) ** 2)


def _summed(
    m: int, n: int, height: int, dtype: np.dtype[np.floating], fill: Fill, team: ThreadTeam
) -> NDArray[np.float64]:
    M = np.zeros((n, n))
    tiles = list(_tiles(n))
    height = min(height, m)
    slabs = [_room((height, n), dtype) for _ in range(1 if height == m else 2)]
    pieces = fill(0, slabs[0])
    for top in range(0, m, height):
        _carry_out(pieces, team)
        slab, after = slabs[0][: m - top], top + height
        slabs.reverse()
        # A slab is made while the one before it is multiplied.
        pieces = fill(after, slabs[0][: m - after]) if after < m else []
        _carry_out([*pieces, *(partial(_add, M, slab, *tile) for tile in tiles)], team)
        pieces = []
    return M


def _carry_out(pieces: list[Callable[[], None]], team: ThreadTeam) -> None:
    if pieces:
        team.share(len(pieces), lambda piece: pieces[piece]())


def _add(M: NDArray[np.float64], slab: Panel, down: slice, across: slice) -> None:
    M[down, across] += slab[:, down].T @ slab[:, across]


def _tiles(n: int) -> Iterator[tuple[slice, slice]]:
    """The tiles of M that the eigensolver reads: those below its diagonal, and on it, which take half as long."""
    side = ALIGNED * math.ceil(n / math.ceil(n / TILE) / ALIGNED)
    cuts = [slice(first, min(first + side, n)) for first in range(0, n, side)]
    yield from ((down, across) for across, down in combinations(cuts, 2))
    yield from ((cut, cut) for cut in cuts)


def _room(shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Panel:
    return aligned(dtype.itemsize * math.prod(shape)).view(dtype).reshape(shape)


def _reader(matrix: Panels, scale: float) -> Fill:
    """Reads A in order."""
    panels = matrix.panels(matrix.rows >= matrix.cols)
    left: list[Panel] = []

    def read(slab: Panel) -> None:
        filled = 0
        while filled < len(slab):
            panel = left.pop() if left else next(panels)
            taken = min(len(panel), len(slab) - filled)
            np.multiply(panel[:taken], scale, out=slab[filled : filled + taken])
            filled += taken
            if taken < len(panel):
                left.append(panel[taken:])

    return lambda first, slab: [partial(read, slab)]
