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
from typing import Any, TypeVar

import llvmlite.binding
import numba
import numpy as np
import torch

from weightaudit.spectral import kernels
from weightaudit.spectral.stack import Stack

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


@dataclass(frozen=True)
class Stored:
    """How the kernels see a torch dtype: the numpy view they take, and the integers that order its magnitudes."""

    view: Any
    bits: Any
    magnitude: int
    infinity: int


STORED = {
    torch.float64: Stored(np.float64, np.uint64, 0x7FFF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000),
    torch.float32: Stored(np.float32, np.uint32, 0x7FFF_FFFF, 0x7F80_0000),
    torch.bfloat16: Stored(np.uint16, np.uint16, 0x7FFF, 0x7F80),
    torch.float16: Stored(np.int16, np.uint16, 0x7FFF, 0x7C00),
}


@dataclass(frozen=True)
class Rows:
    """Consecutive stored rows: row i is ``flat[i * stride :][:n]``, ``flat`` a view of the tensor's own memory."""

    flat: np.ndarray[Any, Any]
    stride: int
    rows: int
    n: int

    def share(self, thread: int, threads: int) -> tuple[int, int]:
        """(first row, rows) that ``thread`` of ``threads`` takes."""
        first, end = self.rows * thread // threads, self.rows * (thread + 1) // threads
        return first, end - first


READABLE = frozenset(STORED) if _converts_float16() else frozenset(STORED) - {torch.float16}
"""Dtypes that the kernels read on this machine."""


def stored_rows(stack: Stack, upright: bool) -> list[Rows]:
    """The rows of A, W if ``upright`` or else Wᵀ, as they lie in memory.

    A block whose memory runs the other way is copied, in its stored dtype; `gram_side` sees to it that this is one of
    several blocks, never a matrix in one piece.
    """
    out = []
    for block in stack.blocks:
        turned = block if upright else block.t()
        if turned.shape[1] > 1 and turned.stride(1) != 1:
            turned = turned.contiguous()
        rows, n = turned.shape
        extent = (rows - 1) * turned.stride(0) + n if rows else 0
        flat = turned.as_strided((extent,), (1,))
        if turned.dtype in (torch.bfloat16, torch.float16):
            flat = flat.view(torch.int16)
        out.append(Rows(flat.numpy().view(STORED[block.dtype].view), turned.stride(0), rows, n))
    return out


class FusedGram:
    """`GramOperator` of `weightaudit.spectral.operator` through the fused kernel."""

    device = torch.device("cpu")
    own_threads = True

    def __init__(self, rows: list[Rows], scale: float, team: Team) -> None:
        self.rows, self.scale, self.team = rows, scale, team
        self.n = rows[0].n
        self.m = sum(part.rows for part in rows)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        b = X.shape[1]
        columns = np.zeros((-(-b // kernels.WIDTH) * kernels.WIDTH, self.n))
        columns[:b] = X.t().numpy()
        # s·(A(s·x)) instead of s²: the square of a scale can leave the range of float64.
        columns *= self.scale
        Y = np.empty_like(columns)
        for k in range(0, columns.shape[0], kernels.WIDTH):
            Y[k : k + kernels.WIDTH] = self._four(columns[k : k + kernels.WIDTH])
        return torch.from_numpy(Y[:b]).t()

    def _four(self, X: np.ndarray[Any, Any]) -> Any:
        def work(thread: int) -> Any:
            Y = np.zeros_like(X)
            for part in self.rows:
                first, count = part.share(thread, self.team.size)
                kernels.gram_rows(part.flat, first * part.stride, part.stride, count, part.n, X, Y, self.scale)
            return Y

        total, *others = self.team.run(work)
        for other in others:
            total += other
        return total


def entry_sums(rows: list[Rows], dtype: torch.dtype, team: Team) -> tuple[float, float, int, int]:
    """(Σ x², largest |x|, zeros, non-finite entries) in one pass; the first two are void where the last is not 0."""
    stored = STORED[dtype]
    magnitude, infinity = stored.bits(stored.magnitude), stored.bits(stored.infinity)

    def work(thread: int) -> list[Any]:
        out = []
        for part in rows:
            first, count = part.share(thread, team.size)
            bits = part.flat.view(stored.bits)
            where = (first * part.stride, part.stride, count, part.n)
            out.append(kernels.row_statistics(part.flat, bits, *where, magnitude, infinity))
        return out

    sums = [one for share in team.run(work) for one in share]
    largest = np.array([max(int(one[1]) for one in sums)], dtype=stored.bits)
    if dtype == torch.bfloat16:
        largest = np.left_shift(largest, 16, dtype=np.uint32).view(np.float32)
    else:
        largest = largest.view(np.float16 if dtype == torch.float16 else stored.view)
    return (
        float(sum(one[0] for one in sums)),
        float(largest[0]),
        sum(int(one[2]) for one in sums),
        sum(int(one[3]) for one in sums),
    )


class Team:
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
def team_for(elements: int) -> Iterator[Team]:
    """The threads worth using on a matrix of ``elements``, at most torch's number of them.

    A pool a matrix, not one for the process: threads do not survive a fork, and starting one takes some 50 µs.
    """
    size = max(1, min(torch.get_num_threads(), elements // PARALLEL_FROM))
    if size == 1:
        yield Team(1, None)
        return
    with ThreadPoolExecutor(size - 1, thread_name_prefix="weightaudit") as pool:
        yield Team(size, pool)
