"""The fused pass on CPUs: each row of the weights is read once, in its stored dtype, for AᵀAX and nothing is copied.

The rows are cut into pieces by A's shape alone, each piece is summed by itself, and the sums are added in order: the
same bytes, whoever works on the pieces.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import llvmlite.binding
import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.spectral.block_matrix import BlockMatrix, runs_along_rows
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.kernel_abi import ACROSS, ALONG, NO_OTHER, TOLD, VIEW, WIDTH, Loop, counted
from weightaudit.spectral.native import available, function
from weightaudit.spectral.statistics import Counts, Sums
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Device, room, strides

PIECE = 1 << 19
"""Elements of a piece at least: waking a thread costs about 50 µs of work, a quarter of what these take."""
PIECE_ROWS = 384
"""Rows of a piece at least: to clear and to add its sums costs as much as some four rows."""
PIECES = 32
"""Pieces at most, each with sums of its own."""


def _converts_float16() -> bool:
    """Whether the machine code that numba makes can widen float16; without the instruction LLVM ends the process."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is not None or "NUMBA_CPU_NAME" in os.environ:
        return "+f16c" in (features or "")
    return bool(llvmlite.binding.get_host_cpu_features().get("f16c", False))


READABLE = frozenset(VIEW) if _converts_float16() else frozenset(VIEW) - {"float16"}
"""Dtypes that the kernels can read on this machine."""


def reads(loop: Loop, *dtypes: str) -> bool:
    """Whether there is the kernel ``loop`` for these dtypes: kept or compiled by numba, and this machine can run it."""
    return READABLE.issuperset(dtypes) and available(loop, *dtypes)


@dataclass(frozen=True)
class Run:
    """Consecutive rows of A, or of two matrices of one shape, from row ``first`` on.

    Row first + i of each is ``flat[i * stride :][:n]``, ``flat`` a view of the matrix's own memory, or of a copy where
    four rows lie in different blocks. ``weights`` are what the kernels take for that: the addresses at which they
    begin, each with its stride.
    """

    flats: tuple[Array, ...]
    weights: tuple[int | None, ...]
    first: int
    rows: int


@dataclass(frozen=True)
class Rows:
    """A (m, n), or two matrices of that shape, of ``dtypes`` as they are read: ``pieces``, top to bottom, in runs."""

    m: int
    n: int
    dtypes: tuple[str, ...]
    pieces: list[list[Run]]


def piece_count(m: int, n: int) -> int:
    """Into how many pieces A (m, n) is cut: a power of two, which 2, 4 or 8 threads share evenly."""
    most = max(1, min(m * n // PIECE, m // PIECE_ROWS, PIECES))
    return 1 << (most.bit_length() - 1)


def shared_rows(matrices: Sequence[BlockMatrix], row_major: bool) -> Rows:
    """A, W if ``row_major`` or else Wᵀ, of one matrix or of two of one shape, as the kernels read it.

    Pieces are whole groups of four rows, and the kernels add up group by group. So a matrix gives the same numbers to
    the last bit whether it comes in one block or in several.
    """
    A = [BlockMatrix(_along_memory(matrix, row_major)) for matrix in matrices]
    m, n = A[0].rows, A[0].cols
    groups, count = -(-m // WIDTH), piece_count(m, n)
    ends = [min(m, WIDTH * (groups * piece // count)) for piece in range(count + 1)]
    return Rows(m, n, tuple(one.dtype for one in A), [_runs(A, *piece) for piece in pairwise(ends)])


def _along_memory(matrix: BlockMatrix, row_major: bool) -> tuple[Array, ...]:
    """A as blocks whose rows run along the memory.

    Copied in the stored dtype are several blocks of Wᵀ, whose rows run through all of them, and a block that does not
    lie as others do; `gram_side` sees to it that a matrix in one piece is not, unless another's memory decides.
    """
    blocks = list(matrix.blocks) if row_major else [block.T for block in matrix.blocks]
    if not row_major and len(blocks) > 1:
        side_by_side = np.empty((matrix.cols, matrix.rows), blocks[0].dtype)  # numpy alone would keep the blocks' order
        return (np.concatenate(blocks, axis=1, out=side_by_side),)
    return tuple(block if runs_along_rows(block) else np.ascontiguousarray(block) for block in blocks)


def _runs(matrices: Sequence[BlockMatrix], first: int, end: int) -> list[Run]:
    """Rows ``first`` ≤ r < ``end`` as runs of whole groups of four, but for those that are left at the end. A group
    that lies in several blocks is copied and is a run of its own."""
    cuts = {first, end}
    for seam in {seam for matrix in matrices for seam in matrix.seams[1:-1]}:
        above = seam - seam % WIDTH
        below = above + WIDTH if above < seam else above
        cuts |= {min(end, max(first, above)), min(end, max(first, below))}
    return [_run(matrices, *rows) for rows in pairwise(sorted(cuts))]


def _run(matrices: Sequence[BlockMatrix], first: int, end: int) -> Run:
    flats: list[Array] = []
    weights: list[int | None] = []
    for matrix in matrices:
        views = matrix.between(first, end)
        rows = (np.concatenate(views) if len(views) > 1 else views[0]).view(VIEW[matrix.dtype])
        stride = strides(rows)[0]
        extent = (rows.shape[0] - 1) * stride + rows.shape[1]
        flats.append(np.lib.stride_tricks.as_strided(rows, (extent,), (rows.itemsize,), writeable=False))
        weights += [flats[-1].ctypes.data, stride]
    return Run(tuple(flats), (*weights, *NO_OTHER)[:4], first, end - first)


class FusedGram:
    """`GramOperator` of `weightaudit.spectral.operators.base` through the fused kernel."""

    device: Device = "cpu"
    amplification = 1.0

    def __init__(self, rows: Rows, scale: float, team: ThreadTeam) -> None:
        self.rows, self.scale, self.team = rows, scale, team
        self.m, self.n = rows.m, rows.n
        self._gram_rows = function("gram_rows", *rows.dtypes)
        self._columns = room((WIDTH, self.n), "cpu")
        self._sums = room((len(rows.pieces), WIDTH, self.n), "cpu")
        self._at = self._columns.ctypes.data, self._sums.ctypes.data

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        Y: NDArray[np.float64] = room((X.shape[1], self.n), "cpu")
        for k in range(0, len(Y), WIDTH):
            some = Y[k : k + WIDTH]
            # s·(A(s·x)) instead of s²: the square of a scale can leave the range of float64.
            np.multiply(X.T[k : k + WIDTH], self.scale, out=self._columns[: len(some)])
            self._columns[len(some) :] = 0.0
            self.team.share(len(self._sums), self._add_up)
            np.add.reduce(self._sums[:, : len(some)], out=some)
        return Y.T

    def _add_up(self, piece: int) -> None:
        self._sums[piece].fill(0.0)
        columns, sums = self._at
        sums += piece * self._sums.strides[0]
        for run in self.rows.pieces[piece]:
            self._gram_rows(*run.weights, run.rows, self.n, columns, sums, self.scale)


def entry_statistics(rows: Rows, row_major: bool, team: ThreadTeam) -> tuple[Counts, Sums]:
    """What one pass over A, W if ``row_major`` or else Wᵀ, says of W, which is a stored matrix or a difference. The
    sums are void where there are non-finite entries."""
    row_statistics, kind = function("row_statistics", *rows.dtypes), FLOAT_BITS[counted(rows.dtypes)]
    levels = kind.magnitude, kind.normal, kind.limit
    along, fourth = np.empty(rows.m), np.empty(rows.m)
    across = np.zeros((len(rows.pieces), rows.n))
    counts = np.zeros((len(rows.pieces), max(map(len, rows.pieces)), len(Counts._fields)), np.int64)
    sums, told = (along.ctypes.data, fourth.ctypes.data, across.ctypes.data), counts.ctypes.data

    def work(piece: int) -> None:
        for i, run in enumerate(rows.pieces[piece]):
            first, its = along.itemsize * run.first, piece * across.strides[0]
            at = sums[0] + first, sums[1] + first, sums[2] + its
            into = told + piece * counts.strides[0] + i * counts.strides[1]
            row_statistics(*run.weights, run.rows, rows.n, *at, *levels, into)

    team.share(len(rows.pieces), work)
    found = [Counts(*one) for one in counts.reshape(-1, counts.shape[-1]).tolist()]
    return Counts.total(found), Sums.of(along, across, fourth, row_major)


@dataclass(frozen=True)
class Changes:
    """What `row_changes` says of two matrices.

    ``along`` (m, 7) are the sums over rows of A of the squares of the first matrix, of the second, and of their
    difference, of its products with the first, of the squared powers of two below each (the first's, the second's),
    and the number of entries that differ; ``across`` (5, n) are those over its columns, but for the second's squares
    and that number, which is in ``touched`` (n,). ``told`` are the entries that differ by an ulp at most, those that
    are zero in the first, in the second, and in the second alone.
    """

    along: NDArray[np.float64]
    across: NDArray[np.float64]
    touched: NDArray[np.int64]
    told: NDArray[np.int64]


def entry_changes(rows: Rows, least: tuple[float, float], ulp: float, team: ThreadTeam) -> Changes:
    """One pass over two matrices. ``least`` are the smallest powers of two of either's precision, ``ulp`` is the
    spacing of the second's at 1."""
    row_changes = function("row_changes", *rows.dtypes)
    along, count = np.empty((rows.m, ALONG)), len(rows.pieces)
    across, touched = np.zeros((count, ACROSS, rows.n)), np.zeros((count, rows.n), np.int32)
    told = np.zeros((count, TOLD), np.int64)
    parts = across, touched, told

    def work(piece: int) -> None:
        into = [part.ctypes.data + piece * part.strides[0] for part in parts]
        for run in rows.pieces[piece]:
            its = along.ctypes.data + run.first * along.strides[0]
            row_changes(*run.weights, run.rows, rows.n, its, *into, *least, ulp)

    team.share(count, work)
    return Changes(along, np.add.reduce(across), touched.sum(axis=0, dtype=np.int64), told.sum(axis=0))
