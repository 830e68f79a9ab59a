"""Digests of matrices, taken while they are in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from weightaudit.arrays import Array
from weightaudit.audit.groups import ReadGroup
from weightaudit.audit.pieces import cut
from weightaudit.records import RoleMatrix
from weightaudit.spectral import LowRank, digest


class Digests:
    """Digests of the matrices of a scan, by key.

    The thread that reads takes them while the others are busy with the matrices read before: hashing takes an eighth of
    the time that measuring does.
    """

    def __init__(self, wanted: Iterable[RoleMatrix], later: Collection[str]) -> None:
        """``wanted`` are the matrices that need one. Those cut from the tensors ``later`` alone may turn out not to be
        measured, so `take` leaves them."""
        self._wanted = {matrix.key for matrix in wanted}
        self._later = frozenset(later)
        self._taken: dict[str, str] = {}

    def take(self, group: ReadGroup, stored: Mapping[str, Array]) -> None:
        """Take those of ``group``, whose tensors are ``stored``, but for matrices that must be copied out of them, and
        for products, whose factors are hashed in no time."""
        products = {info.name for info in group.tensors if info.factored}
        for matrix in group.matrices:
            if any(part.tensor in products or f"{part.tensor}[{part.index}]" in products for part in matrix.parts):
                continue
            copied = any(part.rows and part.rows.count > 1 for part in matrix.parts)
            if matrix.key in self._wanted and not copied and not self._later.issuperset(matrix.tensors):
                self._taken[matrix.key] = digest(cut(matrix, stored))

    def of(self, matrix: RoleMatrix, blocks: list[Array] | LowRank) -> str | None:
        """That of ``matrix``, whose entries ``blocks`` hold, or the product that it is; None where it needs none."""
        if matrix.key not in self._wanted:
            return None
        if isinstance(blocks, LowRank):
            return blocks.digest()
        return self._taken.pop(matrix.key, None) or digest(blocks)
