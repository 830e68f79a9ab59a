"""Tied weights stored twice: are they the same values, so that they count once?"""

from __future__ import annotations

from collections.abc import Collection

import torch

from weightaudit.checkpoint import Checkpoint


def confirmed_ties(
    checkpoint: Checkpoint, ties: Collection[tuple[str, str]]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Which declared ties hold in the stored bytes.

    Returns (tensor → the tensor it repeats, declared ties that do not hold). Bytes are compared, so equal NaNs are
    equal.
    """
    confirmed, broken = {}, []
    for tensor, original in ties:
        first, second = checkpoint.tensors[tensor], checkpoint.tensors[original]
        if (first.dtype, first.shape) == (second.dtype, second.shape) and _same_bytes(checkpoint, tensor, original):
            confirmed[tensor] = original
        else:
            broken.append((tensor, original))
    return confirmed, broken


def _same_bytes(checkpoint: Checkpoint, tensor: str, original: str) -> bool:
    first, second = (checkpoint.read(name).reshape(-1).view(torch.uint8) for name in (tensor, original))
    return torch.equal(first, second)
