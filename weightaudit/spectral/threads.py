"""How many threads the engine computes with: one number, torch's, for BLAS and for the fused kernel alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from weightaudit.errors import UsageError


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
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError("threads", f"{n!r} is not a positive whole number", "Leave it out for torch's own choice")
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
