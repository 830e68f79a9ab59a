"""A model that is in memory, as the files that it would be saved in: what reads a saved model reads it too.

The weights are one safetensors file whose header is made here and whose other bytes are those of the tensors, where
they lie: nothing is copied before it is read, and then no more than is asked for.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from weightaudit.arrays import Array, is_tensor
from weightaudit.dtypes import BY_NAME, Dtype
from weightaudit.errors import ChangedMeanwhile, CheckpointError, UsageError
from weightaudit.source.base import CONFIG, ByteSource
from weightaudit.text import printable

if TYPE_CHECKING:
    import torch

Held: TypeAlias = Union["torch.Tensor", Array]
"""A tensor as a program has it."""
WEIGHTS, ADAPTER, ADAPTER_CONFIG = "model.safetensors", "adapter_model.safetensors", "adapter_config.json"
_SAVED = "Save the model and scan what was saved"


class HeldFile:
    """A small file of these bytes."""

    distant = False

    def __init__(self, name: str, label: str, data: bytes) -> None:
        self.name, self.label, self.size = name, label, len(data)
        self._data = data

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` from ``offset``, both in bytes."""
        _check_range(self, offset, len(out))
        out[:] = self._data[offset : offset + len(out)]

    def check_unchanged(self) -> None:
        """Nothing to do: bytes do not change."""

    def close(self) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class _Piece:
    """A tensor's place in the file. ``version`` counts the changes made to it in place; -1 where nobody counts them."""

    name: str
    tensor: Held
    start: int
    nbytes: int
    version: int


class HeldTensors:
    """Tensors by name as one safetensors file. UsageError for what is no tensor with its numbers at hand."""

    distant = False

    def __init__(self, name: str, label: str, tensors: Mapping[str, Any]) -> None:
        self.name, self.label = name, label
        entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        places: list[tuple[str, Held, int, int]] = []
        reached = 0
        for key, tensor in tensors.items():
            dtype = _dtype(tensor, key)
            shape = [int(size) for size in tensor.shape]
            nbytes = int(np.prod(shape, dtype=object)) * dtype.bits // 8
            entries[key] = {"dtype": dtype.code, "shape": shape, "data_offsets": [reached, reached + nbytes]}
            places.append((key, tensor, reached, nbytes))
            reached += nbytes
        header = json.dumps(entries).encode()
        self._head = len(header).to_bytes(8, "little") + header
        data = len(self._head)
        self._pieces = [
            _Piece(key, tensor, data + start, nbytes, _version(tensor)) for key, tensor, start, nbytes in places
        ]
        self._starts = [piece.start for piece in self._pieces]
        self.size = data + reached

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` from ``offset``, both in bytes."""
        out = out.cast("B")
        _check_range(self, offset, len(out))
        from_head = self._head[offset : offset + len(out)]
        out[: len(from_head)] = from_head
        offset, out = offset + len(from_head), out[len(from_head) :]
        at = bisect_right(self._starts, offset) - 1
        while len(out):
            piece = self._pieces[at]
            begin = offset - piece.start
            taken = min(piece.nbytes - begin, len(out))
            np.frombuffer(out, np.uint8)[:taken] = _bytes_of(piece.tensor, begin, begin + taken)
            self._check(piece)
            offset, out, at = offset + taken, out[taken:], at + 1

    def check_unchanged(self) -> None:
        """Nothing to do: this is asked after each read, which looks at what it has read itself."""

    def check_all(self) -> None:
        """ChangedMeanwhile where any tensor was changed in place, as a step of training does."""
        for piece in self._pieces:
            self._check(piece)

    def _check(self, piece: _Piece) -> None:
        if _version(piece.tensor) != piece.version:
            raise ChangedMeanwhile(
                f"{self.label}, tensor '{printable(piece.name)}'",
                "it was changed while the model was read, so what was read may be a mixture",
                "Scan when no other thread trains the model",
            )

    def close(self) -> None:
        """Nothing to do: the tensors are their owner's."""


class HeldModel:
    """The files of a model in memory: config.json where there is a ``config``, and its weights.

    ``adapter`` says that the tensors are those of an adapter, and ``config`` is its own.
    """

    revision = label = ""

    def __init__(
        self, name: str, tensors: Mapping[str, Any], config: Mapping[str, Any] | None, *, adapter: bool = False
    ) -> None:
        self.name = printable(name)
        self.location = f"memory://{self.name}"
        weights = ADAPTER if adapter else WEIGHTS
        self.chosen = weights if config is None else None
        self._tensors = HeldTensors(weights, f"{self.name} in memory", tensors)
        self._files: dict[str, ByteSource] = {weights: self._tensors}
        if config is not None:
            called = ADAPTER_CONFIG if adapter else CONFIG
            data = json.dumps(dict(config), default=str).encode()
            self._files[called] = HeldFile(called, f"{called} of {self.name} in memory", data)

    def files(self) -> list[str]:
        """Names of the files, sorted."""
        return sorted(self._files)

    def below(self) -> list[str]:
        """There are no folders."""
        return []

    def size_of(self, path: str) -> int | None:
        """Bytes of that file."""
        return self._files[path].size if path in self._files else None

    def is_near(self, names: Iterable[str]) -> bool:
        """They are here or nowhere."""
        return True

    def files_in(self, folder: str) -> list[str]:
        """There are no folders."""
        return []

    def open_in(self, folder: str, name: str) -> ByteSource:
        """CheckpointError: there are no folders."""
        return self.open(f"{folder}/{name}")

    def is_own(self, name: str) -> bool:
        """Nothing leads out of memory."""
        return True

    def fetch(self, names: Iterable[str]) -> None:
        """Nothing to do: they are here or nowhere."""

    def open(self, name: str) -> ByteSource:
        """The file called ``name``; CheckpointError where there is none."""
        if name not in self._files:
            raise CheckpointError(f"{self.name} in memory", f"it has no file '{printable(name)}'", _SAVED)
        return self._files[name]

    def check_unchanged(self) -> None:
        """CheckpointError where a tensor was changed in place."""
        self._tensors.check_all()

    def close(self) -> None:
        """Nothing to do: no opening waits."""


def _check_range(source: ByteSource, offset: int, length: int) -> None:
    if offset + length > source.size:
        cause = f"bytes {offset} to {offset + length} were expected, but it ends at {source.size}"
        raise CheckpointError(source.label, cause, _SAVED)


def _dtype(tensor: Any, name: str) -> Dtype:
    """Its dtype; UsageError where it has no numbers here that could be read."""
    what = f"tensor '{printable(str(name))}'"
    if not is_tensor(tensor) and not isinstance(tensor, np.ndarray):
        kind = type(tensor).__name__
        hint = f"Hand in what is under '{printable(str(name))}'" if isinstance(tensor, Mapping) else "Leave it out"
        raise UsageError(what, f"a {kind} is no tensor", hint)
    if is_tensor(tensor):
        if tensor.is_meta:
            raise UsageError(what, "a meta tensor has no entries", "Load the weights first")
        if hasattr(tensor, "__tensor_flatten__"):  # put together from others: sharded over devices, or quantised
            kind = type(tensor).__name__
            raise UsageError(what, f"a {kind} does not hold its numbers itself", f"Gather it first; or: {_SAVED}")
        if str(tensor.layout) != "torch.strided":
            raise UsageError(what, f"its layout is {tensor.layout}", "Make it dense first: tensor.to_dense()")
    dtype = BY_NAME.get(str(tensor.dtype).removeprefix("torch."))
    if dtype is None:
        raise UsageError(what, f"its dtype is {tensor.dtype}", _SAVED)
    return dtype


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version)
    except (AttributeError, RuntimeError):  # an array, or a tensor made in inference mode
        return -1


def _bytes_of(tensor: Any, begin: int, end: int) -> Array:
    """Some of its bytes, in row-major order, little-endian."""
    if isinstance(tensor, np.ndarray):
        ordered = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
        return ordered.reshape(-1).view(np.uint8)[begin:end]
    import torch

    flat = tensor.detach().resolve_neg().resolve_conj().contiguous().reshape(-1).view(torch.uint8)
    array: Array = flat[begin:end].cpu().numpy()
    return array
