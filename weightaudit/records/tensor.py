"""A logical tensor: its name, shape and dtype, and which stored bytes hold its numbers, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from weightaudit.dtypes import BY_NAME
from weightaudit.records.quantisation import Scheme


@dataclass(frozen=True)
class Encoding:
    """How the numbers of a logical tensor are stored, where they are not stored as they are.

    Attributes
    ----------
    codec
        A name of `weightaudit.checkpoint.codecs`; "" where nothing here decodes it.
    parts
        The stored tensors that it takes, each with what it is used for ("codes", "scales"); the first is the one that
        says where the tensor lies.
    parameters
        What else the codec has to know, by name (a group size).
    scheme
        What to tell a reader of it.
    stacked
        The uses of those parts that stack, along their first dimension, what the tensor stacks along its own (one
        matrix an expert); () where it stacks nothing, or its matrices cannot be read one by one.
    unread
        Why nothing here decodes it, as words that follow "quantised: FORMAT, "; "" where something does.
    as_plain
        Whether it lies as its family's plain tensors do, (in, out) where those are: its entries were only cast.
    """

    codec: str
    parts: tuple[tuple[str, TensorInfo], ...] = ()
    parameters: tuple[tuple[str, str | int | float], ...] = ()
    scheme: Scheme | None = None
    stacked: tuple[str, ...] = ()
    unread: str = ""
    as_plain: bool = False

    def parameter(self, name: str) -> str | int | float:
        """The parameter called ``name``; KeyError where there is none."""
        return dict(self.parameters)[name]


PLAIN = Encoding("plain")
"""Numbers stored as numbers, one element after the other."""
LOW_RANK = "low-rank"
"""The codec of a matrix that is the product of two thin ones, which are what is computed with."""


@dataclass(frozen=True)
class TensorInfo:
    """One logical tensor of a checkpoint, and where it lies as headers say. Reading it is the checkpoint's job.

    ``dtype`` and ``shape`` are those of the numbers that a read gives, ``encoding`` how they are stored. A matrix that
    is encoded is (out, in), whatever its family stores plain ones as, but where its entries were only cast. ``offset``
    is absolute in ``file``, in bytes; ``dtype`` is a name of `weightaudit.dtypes`. ``strides`` are in elements, None
    for a tensor stored contiguously, row by row. ``nbytes`` is the span from the first element to the end of the last:
    with strides some of it may belong to other tensors. Where it lies is, of an encoded tensor, where its first part
    does. Tensors of equal file, offset, span, shape and strides share their bytes.
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
    def encoded(self) -> bool:
        """Whether its numbers are not stored as they are."""
        return self.encoding is not PLAIN and self.encoding != PLAIN

    @property
    def factored(self) -> bool:
        """Whether it is a product that is kept by its factors."""
        return self.encoding.codec == LOW_RANK

    @property
    def alone(self) -> str:
        """Why a product cannot be put onto the matrix that it changes, in words; "" where it can."""
        return str(dict(self.encoding.parameters).get("alone", ""))

    @property
    def unordered(self) -> bool:
        """Whether rows of a product are stored in an order that follows from a number of heads that nothing says."""
        return self.factored and dict(self.encoding.parameters).get("heads") == 0

    @property
    def quantised(self) -> bool:
        """Whether its numbers come from codes, or factors: not so where only the order of its rows is another."""
        return self.encoding.scheme is not None and not self.factored

    @property
    def out_first(self) -> bool:
        """Whether a matrix of it is (out, in), whatever its family stores plain ones as."""
        return self.encoded and not self.encoding.as_plain

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def stored(self) -> tuple[TensorInfo, ...]:
        """What is read for it: itself, or its parts in file order."""
        if not self.encoded:
            return (self,)
        return tuple(sorted((part for _, part in self.encoding.parts), key=lambda part: (part.file, part.offset)))

    @property
    def stored_nbytes(self) -> int:
        """Bytes read for it."""
        return sum(part.nbytes for part in self.stored)

    @property
    def decoded_nbytes(self) -> int:
        """Bytes of memory that its numbers take."""
        return self.parameters * BY_NAME[self.dtype].bits // 8 if self.encoded else self.nbytes

    def with_parameters(self, **values: str | int | float) -> TensorInfo:
        """It with these parameters of its encoding, beside its others."""
        parameters = tuple((dict(self.encoding.parameters) | values).items())
        return replace(self, encoding=replace(self.encoding, parameters=parameters))

    @property
    def why_unread(self) -> str:
        """Why its numbers cannot be read, in words; "" where they can as far as is known here."""
        scheme, why = self.encoding.scheme, self.encoding.unread
        if not why:
            return ""
        return f"{scheme.unread if scheme is not None else f'quantised: {self.encoding.codec}, '}{why}"

    def at(self, index: int, of: int) -> TensorInfo | None:
        """One of the ``of`` matrices that it stacks along its first dimension; None where no bytes are that one's.

        A view of the tensor: what is read for it are its bytes alone.
        """
        if not self.shape or self.shape[0] != of or len(self.shape) != 3 or self.strides is not None:
            return None
        name, shape = f"{self.name}[{index}]", self.shape[1:]
        if not self.encoded:
            own = _slice(self, index, of)
            return None if own is None else replace(own, name=name)
        if not self.encoding.stacked:
            return None
        parts = []
        for use, part in self.encoding.parts:
            own = _slice(part, index, of) if use in self.encoding.stacked else part
            if own is None:
                return None
            parts.append((use, own))
        first = parts[0][1]
        encoding = replace(self.encoding, parts=tuple(parts))
        if self.factored:  # whose left factor has the columns of all of them in turns
            encoding = replace(encoding, parameters=(*encoding.parameters, ("expert", index)))
        return replace(
            self, name=name, shape=shape, file=first.file, offset=first.offset, nbytes=first.nbytes, encoding=encoding
        )


def _slice(stacked: TensorInfo, index: int, of: int) -> TensorInfo | None:
    """One of the ``of`` equal parts of a contiguous tensor along its first dimension; None where it has none."""
    first, *rest = stacked.shape
    each, left = divmod(stacked.nbytes, of)
    if left or first % of or stacked.strides is not None:
        return None
    shape = tuple(rest) if first == of else (first // of, *rest)
    return replace(stacked, shape=shape, offset=stacked.offset + index * each, nbytes=each)


def encoded(
    name: str,
    shape: tuple[int, ...],
    codec: str,
    parts: tuple[tuple[str, TensorInfo], ...],
    scheme: Scheme,
    *,
    parameters: tuple[tuple[str, str | int | float], ...] = (),
    stacked: tuple[str, ...] = (),
    as_plain: bool = False,
) -> TensorInfo:
    """The logical tensor ``name``, of float32 numbers, that ``parts`` are decoded to."""
    first = parts[0][1]
    encoding = Encoding(codec, parts, parameters, scheme, stacked, as_plain=as_plain)
    return TensorInfo(name, "float32", shape, first.file, first.offset, first.nbytes, encoding=encoding)


def unread(
    name: str, shape: tuple[int, ...], parts: tuple[tuple[str, TensorInfo], ...], scheme: Scheme, why: str
) -> TensorInfo:
    """The logical tensor ``name`` that ``parts`` hold in a way that nothing here decodes, for the reason ``why``."""
    first = parts[0][1]
    encoding = Encoding("", parts, scheme=scheme, unread=why)
    return TensorInfo(name, "float32", shape, first.file, first.offset, first.nbytes, encoding=encoding)
