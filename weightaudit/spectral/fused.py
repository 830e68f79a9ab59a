"""The fused pass on CPUs: each row of the weights is read once, in its stored dtype, for AᵀAX and nothing is copied.

The rows are cut into pieces by A's shape alone, each piece is summed by itself, and the sums are added in order: the
same bytes, whoever works on the pieces.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from itertools import pairwise

import llvmlite.binding
import numpy as np
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.spectral.block_matrix import BlockMatrix, runs_along_rows
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.kernel_abi import VIEW, WIDTH, Loop
from weightaudit.spectral.native import available, function
from weightaudit.spectral.statistics import Counts, Sums
from weightaudit.spectral.team import Team
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


def reads(dtype: str, loop: Loop) -> bool:
    """Whether there is the kernel ``loop`` for ``dtype``: kept or compiled by numba, and this machine can run it."""
    return dtype in READABLE and available(loop, dtype)


@dataclass(frozen=True)
class Run:
    """Consecutive rows of A from row ``first`` on: row first + i is ``flat[i * stride :][:n]``, ``flat`` a view of the
    matrix's own memory, or of a copy where four rows lie in different blocks. It begins at ``address``."""

    flat: Array
    address: int
    stride: int
    first: int
    rows: int


@dataclass(frozen=True)
class Rows:
    """A (m, n) of dtype ``dtype`` as it is read: ``pieces`` of it, top to bottom, each in runs."""

    m: int
    n: int
    dtype: str
    pieces: list[list[Run]]


def piece_count(m: int, n: int) -> int:
    """Into how many pieces A (m, n) is cut: a power of two, which 2, 4 or 8 threads share evenly."""
    most = max(1, min(m * n // PIECE, m // PIECE_ROWS, PIECES))
    return 1 << (most.bit_length() - 1)


def shared_rows(matrix: BlockMatrix, row_major: bool) -> Rows:
    """A, W if ``row_major`` or else Wᵀ, as the kernels read it.

    Pieces are whole groups of four rows, and the kernels add up group by group. So a matrix gives the same numbers to
    the last bit whether it comes in one block or in several.
    """
    A = BlockMatrix(_along_memory(matrix, row_major))
    groups, count = -(-A.rows // WIDTH), piece_count(A.rows, A.cols)
    ends = [min(A.rows, WIDTH * (groups * piece // count)) for piece in range(count + 1)]
    return Rows(A.rows, A.cols, A.dtype, [_runs(A, *piece) for piece in pairwise(ends)])


def _along_memory(matrix: BlockMatrix, row_major: bool) -> tuple[Array, ...]:
    """A as blocks whose rows run along the memory.

    Copied in the stored dtype are several blocks of Wᵀ, whose rows run through all of them, and a block of W that does
    not lie as others do; `gram_side` sees to it that a matrix in one piece is not.
    """
    if row_major:
        return tuple(block if runs_along_rows(block) else np.ascontiguousarray(block) for block in matrix.blocks)
    turned = [block.T for block in matrix.blocks]
    return (np.concatenate(turned, axis=1) if len(turned) > 1 else turned[0],)


def _runs(A: BlockMatrix, first: int, end: int) -> list[Run]:
    """Rows ``first`` ≤ r < ``end`` of A as runs of whole groups of four, but for those that are left at the end. A
    group that lies in several blocks is copied and is a run of its own."""
    cuts = {first, end}
    for seam in A.seams[1:-1]:
        above = seam - seam % WIDTH
        below = above + WIDTH if above < seam else above
        cuts |= {min(end, max(first, above)), min(end, max(first, below))}
    return [_run(A.between(*rows), rows[0], A.dtype) for rows in pairwise(sorted(cuts))]


def _run(views: list[Array], first: int, dtype: str) -> Run:
    rows = (np.concatenate(views) if len(views) > 1 else views[0]).view(VIEW[dtype])
    stride = strides(rows)[0]
    extent = (rows.shape[0] - 1) * stride + rows.shape[1]
    flat = np.lib.stride_tricks.as_strided(rows, (extent,), (rows.itemsize,), writeable=False)
    return Run(flat, flat.ctypes.data, stride, first, rows.shape[0])


class FusedGram:
    """`GramOperator` of `weightaudit.spectral.operators.base` through the fused kernel."""

    device: Device = "cpu"
    amplification = 1.0

    def __init__(self, rows: Rows, scale: float, team: Team) -> None:
        self.rows, self.scale, self.team = rows, scale, team
        self.m, self.n = rows.m, rows.n
        self._gram_rows = function("gram_rows", rows.dtype)
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
            self._gram_rows(run.address, run.stride, run.rows, self.n, columns, sums, self.scale)


def entry_statistics(rows: Rows, row_major: bool, team: Team) -> tuple[Counts, Sums]:
    """What one pass over A, W if ``row_major`` or else Wᵀ, says of W. The sums are void where there are non-finite
    entries."""
    kind = FLOAT_BITS[rows.dtype]
    row_statistics = function("row_statistics", rows.dtype)
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
            row_statistics(run.address, run.stride, run.rows, rows.n, *at, *levels, into)

    team.share(len(rows.pieces), work)
    found = [Counts(*one) for one in counts.reshape(-1, counts.shape[-1]).tolist()]
    return Counts.total(found), Sums.of(along, across, fourth, row_major)
