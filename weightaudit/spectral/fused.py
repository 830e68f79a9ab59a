"""The fused pass on CPUs: each row of the weights is read once, in its stored dtype, for AᵀAX and nothing is copied.

The rows are split over threads by their count alone, each thread adds into a sum of its own, and the sums are added in
thread order: the same thread count gives the same bytes.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import llvmlite.binding
import numpy as np
import torch

from weightaudit.spectral import kernels
from weightaudit.spectral.block_matrix import BlockMatrix, runs_along_rows
from weightaudit.spectral.float_bits import FLOAT_BITS
from weightaudit.spectral.jit import numba
from weightaudit.spectral.statistics import Counts, Sums

Result = TypeVar("Result")

PARALLEL_FROM = 1 << 18
"""Elements for each thread below which waking it costs more than it saves (about 50 µs of work)."""


def _converts_float16() -> bool:
    """Whether the machine code that numba makes can widen float16; without the instruction LLVM ends the process."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    if numba.config.CPU_FEATURES is not None or numba.config.CPU_NAME is not None:
        return "+f16c" in (numba.config.CPU_FEATURES or "")
    return bool(llvmlite.binding.get_host_cpu_features().get("f16c", False))


VIEW: dict[torch.dtype, Any] = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.bfloat16: np.uint16,
    torch.float16: np.int16,
}
"""What the kernels take a torch dtype as."""

READABLE = frozenset(VIEW) if _converts_float16() else frozenset(VIEW) - {torch.float16}
"""Dtypes that the kernels read on this machine."""


@dataclass(frozen=True)
class Run:
    """Consecutive rows of A from row ``first`` on: row first + i is ``flat[i * stride :][:n]``, ``flat`` a view of the
    tensor's own memory, or of a copy where four rows lie in different blocks."""

    flat: np.ndarray[Any, Any]
    stride: int
    first: int
    rows: int


@dataclass(frozen=True)
class SharedRows:
    """A (m, n) as every thread of a team reads its share: as ``runs[thread]``, top to bottom."""

    m: int
    n: int
    runs: list[list[Run]]


def shared_rows(matrix: BlockMatrix, row_major: bool, threads: int) -> SharedRows:
    """A, W if ``row_major`` or else Wᵀ, shared among ``threads``.

    A's rows go to the threads in groups of four, by A's shape alone, and the kernels add up group by group. So a matrix
    gives the same numbers to the last bit whether it comes in one block or in several.
    """
    A = BlockMatrix(_along_memory(matrix, row_major))
    groups = -(-A.rows // kernels.WIDTH)
    ends = [min(A.rows, kernels.WIDTH * (groups * thread // threads)) for thread in range(threads + 1)]
    return SharedRows(A.rows, A.cols, [_runs(A, *share) for share in pairwise(ends)])


def _along_memory(matrix: BlockMatrix, row_major: bool) -> tuple[torch.Tensor, ...]:
    """A as blocks whose rows run along the memory.

    Copied in the stored dtype are several blocks of Wᵀ, whose rows run through all of them, and a block of W that does
    not lie as others do; `gram_side` sees to it that a matrix in one piece is not.
    """
    if row_major:
        return tuple(block if runs_along_rows(block) else block.contiguous() for block in matrix.blocks)
    turned = [block.t() for block in matrix.blocks]
    return (torch.cat(turned, dim=1) if len(turned) > 1 else turned[0],)


def _runs(A: BlockMatrix, first: int, end: int) -> list[Run]:
    """Rows ``first`` ≤ r < ``end`` of A as runs of whole groups of four, but for those that are left at the end. A
    group that lies in several blocks is copied and is a run of its own."""
    cuts = {first, end}
    for seam in A.seams[1:-1]:
        above = seam - seam % kernels.WIDTH
        below = above + kernels.WIDTH if above < seam else above
        cuts |= {min(end, max(first, above)), min(end, max(first, below))}
    return [_run(A.between(*rows), rows[0]) for rows in pairwise(sorted(cuts))]


def _run(views: list[torch.Tensor], first: int) -> Run:
    rows = torch.cat(views) if len(views) > 1 else views[0]
    extent = (rows.shape[0] - 1) * rows.stride(0) + rows.shape[1]
    flat = rows.as_strided((extent,), (1,))
    if rows.dtype in (torch.bfloat16, torch.float16):
        flat = flat.view(torch.int16)
    return Run(flat.numpy().view(VIEW[rows.dtype]), rows.stride(0), first, rows.shape[0])


class FusedGram:
    """`GramOperator` of `weightaudit.spectral.operators.base` through the fused kernel."""

    device = torch.device("cpu")
    own_threads = True
    amplification = 1.0

    def __init__(self, rows: SharedRows, scale: float, team: ThreadTeam) -> None:
        self.rows, self.scale, self.team = rows, scale, team
        self.m, self.n = rows.m, rows.n

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        b = X.shape[1]
        # torch's memory and not numpy's: aligned, so that the BLAS sums what comes of it in one order.
        columns = torch.zeros((-(-b // kernels.WIDTH) * kernels.WIDTH, self.n), dtype=torch.float64)
        # s·(A(s·x)) instead of s²: the square of a scale can leave the range of float64.
        torch.mul(X.t(), self.scale, out=columns[:b])
        Y = torch.empty_like(columns)
        for k in range(0, columns.shape[0], kernels.WIDTH):
            Y[k : k + kernels.WIDTH] = torch.from_numpy(self._four(columns[k : k + kernels.WIDTH].numpy()))
        return Y[:b].t()

    def _four(self, X: np.ndarray[Any, Any]) -> Any:
        def work(thread: int) -> Any:
            Y = np.zeros_like(X)
            for run in self.rows.runs[thread]:
                kernels.gram_rows(run.flat, run.stride, run.rows, self.n, X, Y, self.scale)
            return Y

        total, *others = self.team.run(work)
        for other in others:
            total += other
        return total


def entry_statistics(rows: SharedRows, dtype: torch.dtype, row_major: bool, team: ThreadTeam) -> tuple[Counts, Sums]:
    """What one pass over A, W if ``row_major`` or else Wᵀ, says of W. The sums are void where there are non-finite
    entries."""
    kind = FLOAT_BITS[dtype]
    unsigned = np.dtype(f"u{dtype.itemsize}")
    levels = tuple(unsigned.type(level) for level in (kind.magnitude, kind.normal, kind.limit))
    along, fourth = np.empty(rows.m), np.empty(rows.m)

    def work(thread: int) -> Any:
        across, counts = np.zeros(rows.n), [Counts(0, 0, 0, 0, 0)]
        for run in rows.runs[thread]:
            its = slice(run.first, run.first + run.rows)
            where = (run.flat, run.flat.view(unsigned), run.stride, run.rows, rows.n, along[its], fourth[its], across)
            counts.append(Counts._make(map(int, kernels.row_statistics(*where, *levels))))
        return Counts.total(counts), across

    counts, across = zip(*team.run(work), strict=True)
    return Counts.total(counts), Sums.of(along, across, fourth, row_major)


class ThreadTeam:
    """``size`` threads that each do a share of a pass; the caller is one of them."""

    def __init__(self, size: int, pool: ThreadPoolExecutor | None) -> None:
        self.size, self._pool = size, pool

    def run(self, work: Callable[[int], Result]) -> list[Result]:
        """[work(0), …, work(size − 1)]."""
        if self._pool is None:
            return [work(0)]
        others = [self._pool.submit(work, thread) for thread in range(1, self.size)]
        return [work(0), *(other.result() for other in others)]


@contextmanager
def thread_team(elements: int) -> Iterator[ThreadTeam]:
    """The threads worth using on a matrix of ``elements``, at most torch's number of them.

    A pool a matrix, not one for the process: threads do not survive a fork, and starting one takes some 50 µs.
    """
    size = max(1, min(torch.get_num_threads(), elements // PARALLEL_FROM))
    if size == 1:
        yield ThreadTeam(1, None)
        return
    with ThreadPoolExecutor(size - 1, thread_name_prefix="weightaudit") as pool:
        yield ThreadTeam(size, pool)
