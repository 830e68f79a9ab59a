"""The loops of codecs as functions of C: which there are, and what each is called with."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

SCALED = "scaled"
"""The loop over bytes that a table and a scale for each block turn into numbers."""
COUNTED = "counted"
"""The loop that counts how often each byte is there."""
TABLES = 4
"""Tables that it counts in, in turn: in one it would wait for a count that it has just changed."""

_ADDRESS, _WHOLE = ctypes.c_void_p, ctypes.c_int64
HALVES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q8_0": (0,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
"""ggml's types of blocks that there is a loop for, and where a block has float16 numbers."""
PROTOTYPES: dict[str, Any] = {
    **dict.fromkeys(HALVES, ctypes.CFUNCTYPE(None, _ADDRESS, _WHOLE, _ADDRESS)),  # blocks, how many, out
    COUNTED: ctypes.CFUNCTYPE(None, _ADDRESS, _WHOLE, _ADDRESS),  # bytes, how many, (TABLES, 256) int64 to add to
    # codes, table, scales, rows, n, height and width of blocks, blocks side by side, out
    SCALED: ctypes.CFUNCTYPE(None, *[_ADDRESS] * 3, *[_WHOLE] * 5, _ADDRESS),
}


class Kernel(NamedTuple):
    """The loop ``loop``; it is for one kind of codes only."""

    loop: str
    dtypes: tuple[str, ...] = ()
