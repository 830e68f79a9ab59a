"""A model's checkpoint: its tensors by name, each read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from weightaudit.arrays import Array, aligned
from weightaudit.checkpoint.codecs import CODECS
from weightaudit.checkpoint.formats.checksums import Checksums
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError
from weightaudit.records import ModelIdentity, TensorInfo, Vocabulary
from weightaudit.source import ByteSource
from weightaudit.source.readahead import ReadAhead
from weightaudit.text import printable

Fill = Callable[[ByteSource, int, memoryview], None]


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

        ``into`` is memory to reuse: a contiguous 1-D uint8 array of at least the tensor's decoded bytes; the result is
        a view of it. Without it the memory is fresh. Raises CheckpointError where the bytes cannot be read or decoded
        or have another checksum than their archive says, or numpy has no such dtype, KeyError for an unknown name.
        """
        return self._read(name, into, _plainly)

    @contextmanager
    def reader(self, tensors: Sequence[TensorInfo], *, ahead: int) -> Iterator[Callable[..., Array]]:
        """A `read` for just these tensors, in this order and each once, by one thread.

        Those that come over a network are fetched ahead of need, at most ``ahead`` bytes of them.
        """
        plan = [(self._sources[part.file], part.offset, part.nbytes) for info in tensors for part in info.stored]
        distant = [place for place in plan if place[0].distant]
        if not distant:
            yield self.read
            return
        with ReadAhead(distant, budget=ahead) as fetched:

            def fill(source: ByteSource, offset: int, out: memoryview) -> None:
                (fetched.read_into if source.distant else _plainly)(source, offset, out)

            def read(name: str, *, into: Array | None = None) -> Array:
                return self._read(name, into, fill)

            yield read

    def _read(self, name: str, into: Array | None, fill: Fill) -> Array:
        info = self.tensors[name]
        dtype = _dtype(info, self._sources[info.file])
        out = aligned(info.decoded_nbytes) if into is None else _usable(into, info, dtype)
        return self._decoded(info, out, fill)

    def _decoded(self, info: TensorInfo, out: Array, fill: Fill) -> Array:
        """The numbers of ``info`` as a view of ``out``, its decoded bytes."""
        source, codec = self._sources[info.file], CODECS[info.encoding.codec]
        stored = out if codec.in_place else aligned(info.nbytes)
        self._fetch(info, stored, fill)
        companions = {
            use: self._decoded(part, aligned(part.decoded_nbytes), fill) for use, part in info.encoding.companions
        }
        try:
            return codec.decode(info, stored, companions, out)
        except ValueError as error:
            cause = f"tensor '{printable(info.name)}' cannot be decoded as {info.encoding.codec}: {error}"
            raise CheckpointError(source.label, cause, "Use the model's unquantised checkpoint") from error

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

    def close(self) -> None:
        """Close the files; tensors already read stay valid."""
        close_all(self._sources)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def close_all(sources: Mapping[str, ByteSource]) -> None:
    """Close every file of ``sources``, to which other threads may still be adding."""
    for source in list(sources.values()):
        source.close()


def _plainly(source: ByteSource, offset: int, out: memoryview) -> None:
    source.read_into(offset, out)


def _dtype(info: TensorInfo, source: ByteSource) -> np.dtype[Any]:
    try:
        return BY_NAME[info.dtype].numpy
    except AttributeError as error:
        raise CheckpointError(
            source.label,
            f"tensor '{printable(info.name)}' is stored as {info.dtype}, which is not read here",
            "Use the model's unquantised checkpoint",
        ) from error


def _usable(into: Array, info: TensorInfo, dtype: np.dtype[Any]) -> Array:
    """The first bytes of ``into``, as many as the tensor takes."""
    if into.dtype != np.uint8 or into.ndim != 1 or not into.flags.c_contiguous:
        raise ValueError("into must be a contiguous 1-D uint8 array")
    if into.size < info.decoded_nbytes:
        raise ValueError(f"into has {into.size} bytes, tensor '{info.name}' needs {info.decoded_nbytes}")
    if into.ctypes.data % dtype.alignment:
        raise ValueError(f"into must start at a multiple of {dtype.alignment} bytes")
    return into[: info.decoded_nbytes]
