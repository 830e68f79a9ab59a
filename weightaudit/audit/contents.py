"""What a matrix holds, as a short hash: equal matrices are found without keeping any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from weightaudit.spectral.formats import FORMATS
from weightaudit.spectral.stack import Stack, merged


def digest(blocks: Sequence[torch.Tensor]) -> str:
    """XXH3-128 of the vertical stack of ``blocks`` (rows, cols): its shape, dtype and stored bytes, 32 hex digits.

    Entries are hashed row by row, or column by column where that is how the memory runs; which one is hashed with them.
    So a slice of a fused tensor has the digest of a tensor of its own, as long as both are stored the same way. Bytes
    count, not values: 0.0 is not −0.0, a NaN equals itself. The hash finds copies; it keeps no secrets and stops no
    forger.

    ``blocks``: as `weightaudit.spectral.measure` takes them, on the CPU. At most a panel of `Stack.views` is copied.
    """
    stack = Stack(merged([block.detach() for block in blocks]))
    # A single row or column is the same bytes either way.
    by_rows = stack.along_rows or not stack.along_cols or min(stack.rows, stack.cols) == 1
    found = xxhash.xxh3_128(f"{stack.rows} {stack.cols} {stack.dtype} {'rows' if by_rows else 'columns'}\n".encode())
    for piece in _pieces(stack, by_rows):
        found.update(np.ascontiguousarray(piece).data)
    return found.hexdigest()


def count_nonfinite(vector: torch.Tensor) -> int:
    """How many entries of a (n,) float tensor are NaN or infinite."""
    return int(vector.numel() - torch.isfinite(vector).sum().item())


def _pieces(stack: Stack, by_rows: bool) -> Iterator[NDArray[np.signedinteger]]:
    """The stored bits in the order in which they are hashed, row by row of each piece.

    numpy's, which copies on one thread: torch wakes its others for every panel, and their waiting for the next took
    twenty times as long as the hash.
    """
    A = [_bits(block if by_rows else block.t()) for block in stack.blocks]
    if stack.elements and all(block.flags.c_contiguous for block in A) and (by_rows or len(A) == 1):
        yield from A
        return
    for views in stack.views(by_rows):
        panel = map(_bits, views)
        if by_rows:
            yield from panel
        else:
            yield np.concatenate(list(panel), axis=1)


def _bits(view: torch.Tensor) -> NDArray[np.signedinteger]:
    """``view`` as integers of its size: numpy has no bfloat16."""
    return view.view(FORMATS[view.dtype].bits).numpy()
