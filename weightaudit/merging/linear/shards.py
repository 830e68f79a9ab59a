"""safetensors files written as their tensors come: where each will lie is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.merging.linear.folder import on_disk
from weightaudit.strict_json import plain

INDEX = "model.safetensors.index.json"
METADATA = "__metadata__"
"""What stands in a header beside tensors, and so is no tensor's name."""
ALIGNED = 8
"""Bytes of which the header is a multiple, so that readers can map what follows."""


@dataclass(frozen=True)
class Planned:
    """A tensor that will be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        count = 1
        for size in self.shape:
            count *= size
        return count * BY_NAME[self.dtype].bits // 8


def sharded(tensors: Sequence[Planned], most: int) -> list[list[Planned]]:
    """``tensors`` in files of ``most`` bytes at most, in order; one that is larger has a file of its own."""
    shards: list[list[Planned]] = [[]]
    held = 0
    for tensor in tensors:
        if shards[-1] and held + tensor.nbytes > most:
            shards.append([])
            held = 0
        shards[-1].append(tensor)
        held += tensor.nbytes
    return shards


def shard_names(count: int) -> list[str]:
    """As loaders look for them."""
    if count == 1:
        return ["model.safetensors"]
    return [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]


class ShardWriter:
    """Writes the tensors of ``shards`` into ``folder``, in their order, piece by piece. A context manager."""

    def __init__(self, folder: Path, shards: Sequence[Sequence[Planned]], metadata: Mapping[str, str]) -> None:
        self._folder, self._metadata = folder, dict(metadata)
        self._files = list(zip(shard_names(len(shards)), shards, strict=True))
        self._coming = self._in_order()
        self._file: BinaryIO | None = None
        self._left = 0

    def begin(self, tensor: Planned) -> None:
        """The next tensor's pieces come; ValueError where it is not the next."""
        expected = next(self._coming)
        if expected != tensor or self._left:
            raise ValueError(f"{tensor.name} is not the next tensor")
        self._left = tensor.nbytes

    def write(self, piece: Array) -> None:
        """The next entries of the tensor, row by row."""
        assert self._file is not None
        if piece.nbytes > self._left:
            raise ValueError("more than the tensor has")
        self._left -= piece.nbytes
        self._file.write(piece.reshape(-1).view("u1").data)

    def close(self) -> None:
        """Finish the last file, and name the files of several in an index."""
        if next(self._coming, None) is not None or self._left:
            raise ValueError("tensors are missing")
        if len(self._files) > 1:
            weights = {tensor.name: name for name, shard in self._files for tensor in shard}
            total = sum(tensor.nbytes for _, shard in self._files for tensor in shard)
            index = {"metadata": {"total_size": total}, "weight_map": weights}
            with on_disk(self._folder / INDEX) as file:
                file.write((json.dumps(plain(index), indent=2) + "\n").encode())

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._file is not None:
            self._file.close()

    def _in_order(self) -> Iterator[Planned]:
        """The tensors, each when its file is there to be written."""
        for name, shard in self._files:
            with on_disk(self._folder / name) as self._file:
                self._file.write(_header(shard, self._metadata))
                yield from shard


def _header(shard: Sequence[Planned], metadata: Mapping[str, str]) -> bytes:
    """Its length, then where each tensor lies, from the end of it on."""
    said: dict[str, object] = {METADATA: dict(metadata)}
    start = 0
    for tensor in shard:
        end = start + tensor.nbytes
        said[tensor.name] = {"dtype": BY_NAME[tensor.dtype].code, "shape": tensor.shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(said, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(8, "little") + text
