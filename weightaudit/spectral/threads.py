"""How many threads the engine computes with, and the BLAS held at one of them.

Passes over a matrix are shared among threads here, by its shape alone; what else is computed are small matrices, for
which more threads of the BLAS cost time, and change the order in which it sums.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from weightaudit.cores import usable_cores
from weightaudit.errors import UsageError

MAX_THREADS = 1024
"""More than any machine has use for."""

_here: ContextVar[int | None] = ContextVar("compute threads", default=None)
"""What the block of `compute_threads` around the caller was asked for."""
_anywhere: list[list[int]] = []
"""The same of the blocks in the whole process, each a list of its own: threads start threads."""


def usable_threads() -> int:
    """How many threads a measurement may use: what `compute_threads` says, else the environment's OMP_NUM_THREADS, else
    the cores that this process may use."""
    if (here := _here.get()) is not None:
        return here
    if anywhere := _anywhere[-1:]:
        return anywhere[0][0]
    try:
        wanted = int(os.environ["OMP_NUM_THREADS"].split(",")[0])  # a list is of nested teams
    except (KeyError, ValueError):
        wanted = 0
    return min(wanted, MAX_THREADS) if wanted > 0 else usable_cores()


@contextmanager
def compute_threads(n: int | None) -> Iterator[None]:
    """Compute with ``n`` threads inside the block and restore the former number after it; None changes nothing.

    Raises UsageError unless ``n`` is None or a positive int.

    Example:
        >>> from weightaudit.spectral.threads import usable_threads
        >>> with compute_threads(1):
        ...     usable_threads()
        1
    """
    if n is None:
        yield
        return
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_THREADS:
        hint = "Leave it out for as many as there are cores"
        raise UsageError("threads", f"{n!r} is not a whole number from 1 to {MAX_THREADS}", hint)
    block, before = [n], _here.set(n)
    _anywhere.append(block)
    try:
        yield
    finally:
        _here.reset(before)
        _anywhere[:] = [other for other in _anywhere if other is not block]  # not the last where threads overlap


class _OneBlasThread:
    """numpy's BLAS uses one thread from the first of overlapping blocks to the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            now = [library.get_num_threads() for library in _blas()]
            if self._blocks == 0:
                self._before = now
            self._blocks += 1
            for library, threads in zip(_blas(), now, strict=True):
                if threads != 1:
                    _set_threads(library, 1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._blocks -= 1
            for library, before in zip(_blas(), self._before, strict=True):
                if before != 1 and (self._blocks == 0 or _is_set_by_thread(library)):
                    _set_threads(library, before)


one_blas_thread = _OneBlasThread()
"""A block inside of which numpy's BLAS computes on the calling thread alone; blocks may overlap, in several threads."""


@cache
def _blas() -> list[Any]:
    """The BLAS libraries of the process, by threadpoolctl: looking for them takes a millisecond, to ask or to set one a
    microsecond."""
    from threadpoolctl import ThreadpoolController

    libraries: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return libraries


def _is_set_by_thread(library: Any) -> bool:
    """Whether each thread has a number of its own there, not the process one for all."""
    return getattr(library, "threading_layer", None) == "openmp"


def _set_threads(library: Any, n: int) -> None:
    """From whichever thread: threadpoolctl 3.8 lets a process have one that sets OpenBLAS's number, and ignores all
    others without a word."""
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n)
