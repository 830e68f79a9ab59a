"""What a matrix holds, as a short hash: its random start is keyed by it, and equal matrices are found by it.

Cryptographic, because whoever publishes a matrix chooses its bytes. Had a hash that can be inverted keyed the start, a
matrix could be made for a start chosen before; had one that can be made to collide found copies, a matrix that stands
out could pass for the copy of another. No linear sketch and no sums of rows or columns would do for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from weightaudit.arrays import Array
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.tensors import Panel, moved


def digest(blocks: Sequence[Panel]) -> str:
    """BLAKE3 of the vertical stack of ``blocks`` (rows, cols): its shape, dtype and stored bytes, 64 hex digits.

    Entries are hashed row by row, or column by column where that is how the memory runs; which one is hashed with them.
    So a slice of a fused tensor has the digest of a tensor of its own, as long as both are stored the same way. Bytes
    count, not values: 0.0 is not −0.0, a NaN equals itself.

    ``blocks``: as `weightaudit.spectral.measure` takes them. At most a panel of `BlockMatrix.views` is copied.
    """
    return digest_of(block_matrix(blocks))


def digest_of(matrix: BlockMatrix) -> str:
    """`digest` of the blocks of ``matrix``."""
    # A single row or column is the same bytes either way.
    by_rows = matrix.along_rows or not matrix.along_cols or min(matrix.rows, matrix.cols) == 1
    found = blake3(f"{matrix.rows} {matrix.cols} torch.{matrix.dtype} {'rows' if by_rows else 'columns'}\n".encode())
    for piece in _pieces(matrix, by_rows):
        found.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _pieces(matrix: BlockMatrix, by_rows: bool) -> Iterator[NDArray[np.signedinteger]]:
    """The stored bits in the order in which they are hashed, row by row of each piece."""
    if matrix.device == "cpu":
        A = [_bits(block if by_rows else block.T) for block in matrix.blocks]
        if matrix.elements and all(block.flags.c_contiguous for block in A) and (by_rows or len(A) == 1):
            yield from A
            return
    for views in matrix.views(by_rows):
        panel = map(_bits, views)
        if by_rows:
            yield from panel
        else:
            yield np.concatenate(list(panel), axis=1)


def _bits(view: Panel) -> NDArray[np.signedinteger]:
    """``view`` as integers of its size, on the CPU."""
    stored: Array = moved(view, "cpu")
    return stored.view(f"i{stored.itemsize}")
