"""Memory that measurements need beside the weights: as many at once as there is room for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from weightaudit.dtypes import BY_NAME
from weightaudit.records import RoleMatrix
from weightaudit.spectral.full.values import LARGEST_SIDE, workspace_bytes

ROOM = 2_000_000_000
"""Bytes for all whole spectra that are computed at once, where no limit on memory says another number."""


class Workspace:
    """``room`` bytes, lent to several threads. One that asks for more gets it when nothing else is lent."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lent = 0
        self._change = threading.Condition()

    @contextmanager
    def lent(self, nbytes: int) -> Iterator[None]:
        """So many bytes for the block, waited for where others have them."""
        with self._change:
            while nbytes and self._lent and self._lent + nbytes > self._room:
                self._change.wait()
            self._lent += nbytes
        try:
            yield
        finally:
            with self._change:
                self._lent -= nbytes
                self._change.notify_all()


def bytes_beside(matrix: RoleMatrix) -> int:
    """Bytes that all singular values of ``matrix`` take beside its weights; none where it is too large for them."""
    if is_too_large(matrix):
        return 0
    return workspace_bytes(*matrix.shape, -(-BY_NAME[matrix.dtype].bits // 8))


def is_too_large(matrix: RoleMatrix) -> bool:
    """Whether not all singular values of ``matrix`` are computed."""
    return min(matrix.shape) > LARGEST_SIDE
