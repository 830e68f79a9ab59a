"""Tied weights stored twice: are they the same values, so that they count once?"""

from __future__ import annotations

from collections.abc import Collection

import torch

from weightaudit.checkpoint import Checkpoint
from weightaudit.errors import printable


def confirmed_ties(checkpoint: Checkpoint, ties: Collection[tuple[str, str]]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which declared ties hold in the stored bytes.

    Returns (tensor → the tensor it repeats, notes on declared ties that do not hold). Bytes are compared, so equal
    NaNs are equal.
    """
    confirmed, notes = {}, []
    for tensor, original in ties:
        first, second = checkpoint.tensors[tensor], checkpoint.tensors[original]
        if (first.dtype, first.shape) == (second.dtype, second.shape) and _same_bytes(checkpoint, tensor, original):
            confirmed[tensor] = original
        else:
            notes.append(
                f"The config ties {printable(tensor)} to {printable(original)}, but the file stores different values; "
                "both were analysed. A loader that follows the config will use only the second."
            )
    return confirmed, tuple(notes)


def _same_bytes(checkpoint: Checkpoint, tensor: str, original: str) -> bool:
    first, second = (checkpoint.read(name).reshape(-1).view(torch.uint8) for name in (tensor, original))
    return torch.equal(first, second)
