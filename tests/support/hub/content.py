"""What a file of the stand-in Hub holds, and the names that the Hub's parts give it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path


class Content:
    """Bytes in memory or a file on disk, which must not change while it is served."""

    def __init__(self, data: bytes | Path) -> None:
        self.data = data

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)

    def chunks(self, start: int, stop: int, length: int) -> Iterator[memoryview]:
        """The bytes from ``start`` to before ``stop``, in pieces of at most ``length``."""
        if not isinstance(self.data, Path):
            view = memoryview(self.data)[start:stop]
            for offset in range(0, len(view), length):
                yield view[offset : offset + length]
            return
        with self.data.open("rb") as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(length, stop - start))):
                start += len(piece)
                yield memoryview(piece)

    @cached_property
    def sha256(self) -> str:
        """What the Hub calls a large file: the ETag that its own answers give it."""
        digest = hashlib.sha256()
        for piece in self.chunks(0, self.size, 1 << 20):
            digest.update(piece)
        return digest.hexdigest()

    @cached_property
    def cdn_etag(self) -> str:
        """What the CDN calls it: as long, and another word than the Hub's."""
        return hashlib.sha256(f"cdn {self.sha256}".encode()).hexdigest()

    @cached_property
    def blob(self) -> str:
        """git's name of a small file: the ETag that the Hub gives it."""
        return _blob(b"".join(self.chunks(0, self.size, 1 << 20)))

    @cached_property
    def pointer(self) -> bytes:
        """What git keeps in place of a large file."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        return text.encode()

    @cached_property
    def pointer_blob(self) -> str:
        """git's name of that."""
        return _blob(self.pointer)


def _blob(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
