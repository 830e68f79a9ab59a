"""A matrix that was cut into parts of equal shape, each in a file of its own: put together along one dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.base import Stored
from weightaudit.records import CodeFacts, Encoding, TensorInfo

NAME = "joined"


def joined(parts: list[TensorInfo], axis: int) -> TensorInfo:
    """The tensor that ``parts``, of one name, shape and dtype, are along ``axis``, in this order."""
    first = parts[0]
    shape = tuple(size * len(parts) if i == axis else size for i, size in enumerate(first.shape))
    own = tuple((f"{number}", part) for number, part in enumerate(parts))
    return replace(first, shape=shape, strides=None, encoding=Encoding(NAME, own, (("axis", axis),), as_plain=True))


class Joined:
    """Parts side by side, or one below the other."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        """None: the names of the files say which tensors are parts of one (`weightaudit.checkpoint.parallel`)."""
        return iter(())

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        """Fill ``out`` part by part, each number as it is stored."""
        axis = int(info.encoding.parameter("axis"))
        each = out.shape[axis] // len(parts)
        for use, _ in info.encoding.parts:
            own = slice(int(use) * each, (int(use) + 1) * each)
            (out[own] if axis == 0 else out[:, own])[...] = parts[use]

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        """None: there are no codes."""
        return None
