"""A model's checkpoint: its tensors by name, each read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from weightaudit.arrays import Array, Product, aligned, on_cache_lines
from weightaudit.checkpoint.codecs import CODECS
from weightaudit.checkpoint.codecs.low_rank import product_of
from weightaudit.checkpoint.formats.checksums import Checksums
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError, OutOfMemory
from weightaudit.records import CodeFacts, ModelIdentity, TensorInfo, Vocabulary
from weightaudit.source import ByteSource
from weightaudit.source.readahead import Range, ReadAhead, kept
from weightaudit.text import printable

Fill = Callable[[ByteSource, int, memoryview], None]
UNQUANTISED = "Use the model's unquantised checkpoint"


class Checkpoint:
    """The tensors of one model. Headers are read on opening, data on `read`; a context manager.

    ``identity`` says which model and files; ``config`` is config.json, None for a single file without one;
    ``tensors`` maps names to logical tensors, in name order; ``notes`` are sentences for the reader of a report;
    ``check_unchanged`` raises CheckpointError where any file that was read is another one now; ``vocabulary`` are the
    tokens of the tokenizer in a model's directory, None where there is none.
    """

    def __init__(
        self,
        identity: ModelIdentity,
        config: dict[str, Any] | None,
        tensors: dict[str, TensorInfo],
        sources: dict[str, ByteSource],
        notes: tuple[str, ...] = (),
        sums: Mapping[str, Checksums] | None = None,
        check_unchanged: Callable[[], None] = lambda: None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.identity = identity
        self.config = config
        self.tensors = tensors
        self.notes = notes
        self.check_unchanged = check_unchanged
        self.vocabulary = vocabulary
        self._sources = sources
        self._sums = sums or {}

    def read(self, name: str, *, into: Array | None = None) -> Array:
        """Tensor ``name`` in its dtype, shape and strides. Thread-safe, if each thread has its own ``into``.

        ``into`` is memory to reuse: a contiguous 1-D uint8 array of at least `buffer_nbytes`; the result is
        a view of it. Without it the memory is fresh, and so it is for a product, which is formed for this. Raises
        CheckpointError where the bytes cannot be read or decoded or have another checksum than their archive says, or
        numpy has no such dtype, KeyError for an unknown name.
        """
        info = self.tensors[name]
        if info.factored:
            return self._formed(info, _plainly)
        return self._read(info, into, _plainly)

    @contextmanager
    def reader(
        self, tensors: Sequence[TensorInfo], *, ahead: int, look: Callable[[TensorInfo, CodeFacts], None] | None = None
    ) -> Iterator[Reading]:
        """What reads just these tensors, in this order and each once, by one thread; each is given by its record.

        Those that come over a network are fetched ahead of need, at most ``ahead`` bytes of them beside what is `kept`.
        What the codes of quantised ones are is shown to ``look``.
        """
        distant = self._distant(tensors)
        if not distant:
            yield Reading(self, _plainly, look)
            return
        with ReadAhead(distant, budget=ahead) as fetched:

            def fill(source: ByteSource, offset: int, out: memoryview) -> None:
                (fetched.read_into if source.distant else _plainly)(source, offset, out)

            yield Reading(self, fill, look)

    def kept(self, tensors: Sequence[TensorInfo], *, ahead: int) -> int:
        """Bytes that a `reader` of these tensors, in this order, holds at times beside those ``ahead``, at most."""
        return kept(self._distant(tensors), budget=ahead)

    def _distant(self, tensors: Sequence[TensorInfo]) -> list[Range]:
        """What of them comes over a network, in the order in which it is read."""
        return [
            (source, part.offset, part.nbytes)
            for info in tensors
            for part in info.stored
            if (source := self._sources[part.file]).distant
        ]

    def _product(self, info: TensorInfo, into: Array | None, fill: Fill) -> Product:
        self._check_readable(info)
        spare = _Spare(_usable(into, info, _dtype(info, self._sources[info.file])) if into is not None else None)
        parts = self._parts(info, spare, fill)
        with self._decoding(info):
            return product_of(info, parts)

    def _formed(self, info: TensorInfo, fill: Fill) -> Array:
        self._check_readable(info)
        parts = self._parts(info, _Spare(None), fill)
        try:
            out = np.empty(info.shape, _dtype(info, self._sources[info.file]))
        except MemoryError as error:
            cause = f"as a matrix it takes {info.decoded_nbytes:,} bytes, more than this machine has free"
            raise OutOfMemory(printable(info.name), cause, "Scan it: a product is measured by its factors") from error
        with self._decoding(info):
            CODECS[info.encoding.codec].decode(info, parts, out)
        return out

    def _check_readable(self, info: TensorInfo) -> None:
        """CheckpointError where nothing here decodes it."""
        if why := info.why_unread:
            cause = f"tensor '{printable(info.name)}' cannot be read: {why}"
            raise CheckpointError(self._sources[info.file].label, cause, UNQUANTISED)

    @contextmanager
    def _decoding(self, info: TensorInfo) -> Iterator[None]:
        """Where what does not fit is told as CheckpointError, and scales may be anything."""
        try:
            with np.errstate(all="ignore"):
                yield
        except ValueError as error:
            cause = f"tensor '{printable(info.name)}' cannot be decoded as {info.encoding.codec}: {error}"
            raise CheckpointError(self._sources[info.file].label, cause, UNQUANTISED) from error

    def _read(
        self,
        info: TensorInfo,
        into: Array | None,
        fill: Fill,
        look: Callable[[TensorInfo, CodeFacts], None] | None = None,
    ) -> Array:
        source = self._sources[info.file]
        dtype = _dtype(info, source)
        if not info.encoded:
            out = aligned(info.nbytes) if into is None else _usable(into, info, dtype)
            self._fetch(info, out, fill)
            strides = None if info.strides is None else tuple(stride * dtype.itemsize for stride in info.strides)
            return np.ndarray(info.shape, dtype, buffer=out, strides=strides)
        self._check_readable(info)
        spare = _Spare(_usable(into, info, dtype) if into is not None else None)
        out = spare.take(info.decoded_nbytes).view(dtype).reshape(info.shape)
        parts = self._parts(info, spare, fill)
        codec = CODECS[info.encoding.codec]
        with self._decoding(info):
            codec.decode(info, parts, out)
            facts = codec.facts(info, parts) if look else None
        if look and facts is not None:
            look(info, facts)
        return out

    def _parts(self, info: TensorInfo, spare: _Spare, fill: Fill) -> dict[str, Array]:
        """What an encoded tensor is decoded from, by use."""
        uses = {(part.file, part.offset, part.name): use for use, part in info.encoding.parts}
        parts: dict[str, Array] = {}
        for part in info.stored:
            raw = spare.take(part.nbytes)
            self._fetch(part, raw, fill)
            parts[uses[part.file, part.offset, part.name]] = stored_numbers(part, raw)
        return parts

    def _fetch(self, info: TensorInfo, stored: Array, fill: Fill) -> None:
        """Fill ``stored`` with the bytes of ``info``."""
        source = self._sources[info.file]
        fill(source, info.offset, stored.data)
        source.check_unchanged()
        sums = self._sums.get(info.file)
        if sums is not None and (damaged := sums.pass_by(info.offset, stored.data)):
            raise CheckpointError(
                source.label,
                f"the bytes of tensor '{printable(info.name)}' are damaged: its {damaged} has another checksum",
                "Download the file again",
            )

    def lent(self) -> Checkpoint:
        """The same, for somebody who will close it: that leaves the files open."""
        return _Lent(
            self.identity,
            self.config,
            dict(self.tensors),
            self._sources,
            self.notes,
            self._sums,
            self.check_unchanged,
            self.vocabulary,
        )

    def close(self) -> None:
        """Close the files; tensors already read stay valid."""
        close_all(self._sources)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Lent(Checkpoint):
    def close(self) -> None:
        """Nothing to do: its owner closes it."""


class Reading:
    """Reads the tensors of a plan into memory that is given."""

    def __init__(
        self, checkpoint: Checkpoint, fill: Fill, look: Callable[[TensorInfo, CodeFacts], None] | None
    ) -> None:
        self._checkpoint, self._fill, self._look = checkpoint, fill, look

    def __call__(self, info: TensorInfo, *, into: Array | None = None) -> Array:
        """The tensor's numbers, as `Checkpoint.read` gives them."""
        return self._checkpoint._read(info, into, self._fill, self._look)

    def product(self, info: TensorInfo, *, into: Array | None = None) -> Product:
        """A product's factors: it is not formed."""
        return self._checkpoint._product(info, into, self._fill)


class _Spare:
    """Memory handed out on cache lines: from a buffer, or fresh."""

    def __init__(self, buffer: Array | None) -> None:
        self._buffer = buffer
        self._taken = 0

    def take(self, nbytes: int) -> Array:
        if self._buffer is None:
            return aligned(nbytes)
        start, self._taken = self._taken, self._taken + on_cache_lines(nbytes)
        return self._buffer[start : start + nbytes]


def buffer_nbytes(info: TensorInfo) -> int:
    """Bytes of memory that a reading takes: its numbers' and, on cache lines behind them, its parts'.

    A product takes its factors' alone."""
    if not info.encoded:
        return info.nbytes
    if info.factored:
        return sum(on_cache_lines(part.nbytes) for part in info.stored)
    return sum(map(on_cache_lines, (info.decoded_nbytes, *(part.nbytes for part in info.stored))))


def close_all(sources: Mapping[str, ByteSource]) -> None:
    """Close every file of ``sources``, to which other threads may still be adding."""
    for source in list(sources.values()):
        source.close()


def _plainly(source: ByteSource, offset: int, out: memoryview) -> None:
    source.read_into(offset, out)


def stored_numbers(part: TensorInfo, raw: Array | bytes) -> Array:
    """The numbers of a plain tensor, of which ``raw`` are the bytes; these where numpy has no such dtype."""
    flat = np.frombuffer(raw, np.uint8)
    dtype = BY_NAME[part.dtype]
    if part.strides is not None:
        strides = tuple(stride * dtype.numpy.itemsize for stride in part.strides)
        return np.ndarray(part.shape, dtype.numpy, buffer=flat, strides=strides)
    return flat if dtype.packed else flat.view(dtype.numpy).reshape(part.shape)


def _dtype(info: TensorInfo, source: ByteSource) -> np.dtype[Any]:
    try:
        return BY_NAME[info.dtype].numpy
    except AttributeError as error:
        raise CheckpointError(
            source.label,
            f"tensor '{printable(info.name)}' is stored as {info.dtype}, which is not read here",
            UNQUANTISED,
        ) from error


def _usable(into: Array, info: TensorInfo, dtype: np.dtype[Any]) -> Array:
    """The first bytes of ``into``, as many as the tensor takes."""
    if into.dtype != np.uint8 or into.ndim != 1 or not into.flags.c_contiguous:
        raise ValueError("into must be a contiguous 1-D uint8 array")
    if into.size < (needed := buffer_nbytes(info)):
        raise ValueError(f"into has {into.size} bytes, tensor '{info.name}' needs {needed}")
    if into.ctypes.data % dtype.alignment:
        raise ValueError(f"into must start at a multiple of {dtype.alignment} bytes")
    return into[:needed]
