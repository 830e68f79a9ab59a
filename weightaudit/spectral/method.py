"""Which route measures a matrix, and with what block."""

from __future__ import annotations

from typing import Literal

from weightaudit.config import Method

BLOCK = 4
"""Columns of the random start."""

EXACT_BELOW = 64
"""Smaller side up to which `auto` takes the exact route."""


def choose(method: Method, n: int) -> Literal["exact", "krylov"]:
    """The route for a matrix whose smaller side is ``n``."""
    if method != "auto":
        return method
    return "exact" if n <= EXACT_BELOW else "krylov"
