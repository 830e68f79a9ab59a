"""Where the largest entry of a matrix stands, taken while it is in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from weightaudit.audit.digests import cut
from weightaudit.audit.reading import ReadGroup
from weightaudit.records import Peak, RoleMatrix

CHUNK = 1 << 15
"""Entries looked at at once: torch splits no more among threads, which are busy measuring."""
PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that torch compares as they are."""


class Peaks:
    """The largest entries of the second maps of MLPs, by the key of the matrix; taken by the thread that reads."""

    def __init__(self) -> None:
        self.taken: dict[str, Peak] = {}

    def take(self, group: ReadGroup, stored: Mapping[str, torch.Tensor]) -> None:
        """Take those of ``group``, whose tensors are ``stored``."""
        for matrix in group.matrices:
            if _is_wanted(matrix) and (peak := peak_of(cut(matrix, stored))) is not None:
                self.taken[matrix.key] = peak


def _is_wanted(matrix: RoleMatrix) -> bool:
    """Of experts none is: each sees some tokens only, and adds to what the others of its layer write."""
    copied = any(part.rows and part.rows.count > 1 for part in matrix.parts)
    return matrix.role == "M2" and matrix.layer is not None and matrix.expert is None and not copied


def peak_of(blocks: Sequence[torch.Tensor]) -> Peak | None:
    """Of (rows, cols) blocks, one below the other, the first in memory of the entries of largest magnitude.

    None where nothing is larger than zero; a NaN hides what is beside it.
    """
    most, found, above = 0.0, None, 0
    for block in blocks:
        turned = block.stride(0) < block.stride(1)
        in_memory = block.t() if turned else block
        step = max(1, CHUNK // max(1, in_memory.shape[1]))
        for start in range(0, len(in_memory), step):
            chunk = in_memory[start : start + step]
            if chunk.dtype not in PLAIN:
                chunk = chunk.to(torch.float32)
            size = _largest(chunk.reshape(-1)) if chunk.numel() else 0.0
            if size > most:
                most, found = size, (chunk, start, turned, above)
        above += len(block)
    if found is None:
        return None
    chunk, start, turned, above = found
    first, second = divmod(int(chunk.abs().argmax()), chunk.shape[1])
    row, col = (second, start + first) if turned else (start + first, second)
    return Peak(above + row, col)


def _largest(flat: torch.Tensor) -> float:
    """The largest magnitude; NaN where there is one."""
    # Of bfloat16 torch's aminmax is ten times slower than the two apart, of float32 five times faster.
    low, high = (flat.min(), flat.max()) if flat.dtype == torch.bfloat16 else torch.aminmax(flat)
    return max(-float(low), float(high))
