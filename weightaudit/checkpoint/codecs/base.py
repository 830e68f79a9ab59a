"""What a codec does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from weightaudit.arrays import Array
from weightaudit.records import TensorInfo


class Codec(Protocol):
    """One way of storing the numbers of a tensor.

    ``in_place`` says that the stored bytes are the numbers: they are read to where these are wanted.
    """

    in_place: bool

    def groups(self, stored: Mapping[str, TensorInfo]) -> Iterator[tuple[TensorInfo, frozenset[str]]]:
        """The logical tensors that are stored this way among ``stored``, each with the names of all that it takes."""
        ...

    def decode(self, info: TensorInfo, stored: Array, companions: Mapping[str, Array], out: Array) -> Array:
        """The numbers of ``info``, of its dtype and shape, as a view of ``out``: uint8, ``info.decoded_nbytes`` of it.

        ``stored`` are its bytes, ``out`` itself where they are read in place; ``companions`` the tensors stored beside
        them, by their use. Raises ValueError, with the cause, where these do not fit each other.
        """
        ...
