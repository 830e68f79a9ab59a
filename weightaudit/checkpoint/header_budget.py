"""A bound on what the shards of a model together make us read before a tensor is asked for: headers, pickles, zip
directories.
"""

from __future__ import annotations

from threading import Lock

from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource

MAX_HEADERS = 100_000_000
"""Bytes of all shards together; of the largest published models some 20 million. In memory they take a dozen times as
much while they are read, and several shards are read at once."""
FREE = 2 << 20
"""Bytes of each shard that do not count: there is reading ahead among them, and there may be thousands of shards."""


class HeaderBudget:
    """What is left of `MAX_HEADERS`, for all threads."""

    def __init__(self) -> None:
        self._left = MAX_HEADERS
        self._lock = Lock()

    def take(self, nbytes: int) -> bool:
        """Whether so many bytes were left; they are no longer."""
        with self._lock:
            self._left -= nbytes
            return self._left >= 0


class CountedSource:
    """A shard as it is read while it is opened: as `ByteSource`, and CheckpointError where the budget is spent."""

    def __init__(self, source: ByteSource, budget: HeaderBudget) -> None:
        self.name = source.name
        self.label = source.label
        self.size = source.size
        self.distant = source.distant
        self._source = source
        self._budget = budget
        self._read = 0

    def read_into(self, offset: int, out: memoryview) -> None:
        before = max(self._read, FREE)
        self._read += out.nbytes
        if not self._budget.take(max(self._read, FREE) - before):
            raise CheckpointError(
                self.label,
                f"the headers of the model's shards have more than {MAX_HEADERS} bytes together",
                "No model needs so many: get it from its publisher",
            )
        self._source.read_into(offset, out)

    def check_unchanged(self) -> None:
        self._source.check_unchanged()

    def close(self) -> None:
        self._source.close()
