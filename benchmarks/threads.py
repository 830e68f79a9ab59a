"""One thread count for every library of a process, and quiet between two timings."""

from __future__ import annotations

import os
import time

import torch
from threadpoolctl import threadpool_limits


def pin(threads: int) -> None:
    """Let the engine, torch, and the BLAS of numpy and scipy, use ``threads`` threads from now on."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # which the engine asks each time
    threadpool_limits(threads)
    torch.set_num_threads(threads)


def settle() -> None:
    """Wait until the BLAS threads of the last call have stopped spinning: they would slow the next one down."""
    time.sleep(0.05)
