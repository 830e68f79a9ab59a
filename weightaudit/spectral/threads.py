"""How many threads the engine computes with: one number, torch's, for BLAS and for the fused kernel alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from weightaudit.errors import UsageError

MAX_THREADS = 1024
"""More than any machine has use for; with some 100,000 torch ends the process."""


@contextmanager
def compute_threads(n: int | None) -> Iterator[None]:
    """Compute with ``n`` threads inside the block and restore the former number after it; None changes nothing.

    Raises UsageError unless ``n`` is None or a positive int.

    Example:
        >>> with compute_threads(1):
        ...     torch.get_num_threads()
        1
    """
    if n is None:
        yield
        return
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_THREADS:
        hint = "Leave it out for torch's own choice"
        raise UsageError("threads", f"{n!r} is not a whole number from 1 to {MAX_THREADS}", hint)
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
