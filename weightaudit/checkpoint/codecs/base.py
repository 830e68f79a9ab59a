"""What a codec does, and what it is told of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.records import CodeFacts, TensorInfo


@dataclass(frozen=True)
class Stored:
    """What lies in a checkpoint, before anybody has said what it means.

    ``tensors`` are those that no codec has taken so far, by name; ``method`` is what config.json or a file beside it
    says of the quantisation, {} for nothing; ``metadata`` are the free-form notes in the headers, those of all files
    together. ``values`` reads a few small tensors at once: a shape that is stored as a tensor, bytes of JSON.
    """

    tensors: Mapping[str, TensorInfo]
    method: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    values: Callable[[Sequence[TensorInfo]], list[Array]] = lambda tensors: []

    def text(self, key: str) -> str:
        """What ``method`` calls ``key``, in small letters; "" where that is no text."""
        said = self.method.get(key)
        return said.lower() if isinstance(said, str) else ""


USUAL = 4
"""Bits of a code where nothing says how many."""


def told_bits(said: object, known: Collection[int]) -> int:
    """The bits of a code that a config says, where they are a whole number and one of the ``known``; else `USUAL`."""
    return said if type(said) is int and said in known else USUAL


def held_by(codes: TensorInfo, bits: int, axis: int = -1) -> tuple[int, ...]:
    """The shape of as many fields of ``bits`` bits along ``axis`` as the words of ``codes`` have room for.

    What is not read counts as so many entries, or a model of which little was read would seem to have been read.
    """
    if not codes.shape or bits < 1:
        return codes.shape
    shape = list(codes.shape)
    shape[axis] *= max(BY_NAME[codes.dtype].bits // bits, 1)
    return tuple(shape)


class Codec(Protocol):
    """One way of storing the numbers of a tensor in others."""

    def groups(self, stored: Stored) -> Iterator[TensorInfo]:
        """The logical tensors that are stored this way, or in a way of this kind that nothing decodes.

        Each takes the tensors that are its parts; nothing is believed of them but what headers say, so shapes and
        dtypes that do not fit each other are no group, or one that is ``unread``.
        """
        ...

    def decode(self, info: TensorInfo, parts: Mapping[str, Array], out: Array) -> None:
        """Fill ``out``, float32 of the shape of ``info`` and contiguous, with its numbers.

        ``parts`` are by their use, each in its own dtype and shape (uint8 and flat where numpy has no such dtype).
        Raises ValueError, with the cause, where these do not fit each other.
        """
        ...

    def facts(self, info: TensorInfo, parts: Mapping[str, Array]) -> CodeFacts | None:
        """What the codes and scales of ``info`` are; None where the format has neither."""
        ...
