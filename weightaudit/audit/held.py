"""What is in memory of a group that has been read, until all who use it have ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from weightaudit.arrays import Array, Product, on_cache_lines
from weightaudit.audit.groups import ReadGroup
from weightaudit.checkpoint import Reading
from weightaudit.records import TensorInfo


@dataclass(frozen=True)
class Stored:
    """What is in memory of one model: ``arrays`` in their stored dtype and ``products`` by their factors, by name."""

    arrays: dict[str, Array] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)

    def read(self, info: TensorInfo, read: Reading, into: Array) -> None:
        """Read ``info`` into memory."""
        if info.factored:
            self.products[info.name] = read.product(info, into=into)
        else:
            self.arrays[info.name] = read(info, into=into)

    def clear(self) -> None:
        """Let go of it all."""
        self.arrays.clear()
        self.products.clear()


@dataclass(eq=False)
class Held:
    """A group whose tensors are in memory, ``own`` and those of each model ``beside``: views of a buffer that is used
    again when all its ``uses``, each the block of a ``with`` in any thread, have ended.
    """

    group: ReadGroup
    own: Stored
    _give_back: Callable[[], None]
    beside: tuple[Stored, ...] = ()
    uses: int = 1
    scratch: Array | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spare(self, nbytes: int) -> Array:
        """So many bytes of the ``scratch`` of the group, on a cache line, that nobody else is given."""
        with self._lock:
            if self.scratch is None or self.scratch.size < nbytes:
                raise ValueError(f"the group was planned without {nbytes} bytes to compute in")
            given, self.scratch = self.scratch[:nbytes], self.scratch[on_cache_lines(nbytes) :]
        return given

    def __enter__(self) -> None:
        """Nothing: the tensors are there already."""

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.uses -= 1
            last = self.uses == 0
        if last:
            for stored in (self.own, *self.beside):
                stored.clear()  # whoever kept the dicts, or this, must not keep the memory
            self.scratch = None
            give_back, self._give_back = self._give_back, _nothing
            give_back()


def _nothing() -> None:
    """What is left to be given back."""
