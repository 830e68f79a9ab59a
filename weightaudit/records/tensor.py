"""A stored tensor: its name, shape and dtype, where its bytes lie, and how they encode its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from weightaudit.dtypes import BY_NAME


@dataclass(frozen=True)
class Encoding:
    """How the numbers of a logical tensor are stored: ``codec`` is a name of `weightaudit.checkpoint.codecs`.

    ``companions`` are the stored tensors that it reads beside the tensor's own bytes, each with what it is used for
    ("scale"); ``parameters`` what else it has to know, by name (a group size).
    """

    codec: str
    companions: tuple[tuple[str, TensorInfo], ...] = ()
    parameters: tuple[tuple[str, str | int], ...] = ()


PLAIN = Encoding("plain")
"""Numbers stored as numbers, one element after the other."""


@dataclass(frozen=True)
class TensorInfo:
    """One logical tensor of a checkpoint, and where it lies as headers say. Reading it is the checkpoint's job.

    ``dtype`` and ``shape`` are those of the numbers that a read gives, ``encoding`` how they are stored. ``offset`` is
    absolute in ``file``, in bytes; ``dtype`` is a name of `weightaudit.dtypes`. ``strides`` are in
    elements, None for a tensor stored contiguously, row by row. ``nbytes`` is the span from the first element to the
    end of the last: with strides some of it may belong to other tensors. Tensors of equal file, offset, span, shape and
    strides share their bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    offset: int
    nbytes: int
    strides: tuple[int, ...] | None = None
    encoding: Encoding = PLAIN

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def stored(self) -> tuple[TensorInfo, ...]:
        """What is read for it, in this order: its own bytes, then its companions."""
        return (self, *(companion for _, companion in self.encoding.companions))

    @property
    def decoded_nbytes(self) -> int:
        """Bytes of memory that its numbers take."""
        if self.encoding == PLAIN:
            return self.nbytes
        return self.parameters * BY_NAME[self.dtype].bits // 8
