"""What the tensors in opened weight files stand for: a model's, of a GGUF file by its own header, or an adapter's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weightaudit.arrays import Array
from weightaudit.checkpoint.adapters import adapter_tensors, gguf_adapter, read_peft_config
from weightaudit.checkpoint.codecs import Stored, logical_tensors
from weightaudit.checkpoint.gguf_model import gguf_model
from weightaudit.checkpoint.quantisation import read_method
from weightaudit.checkpoint.reader import stored_numbers
from weightaudit.checkpoint.select import is_adapter
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.checkpoint.weight_files import WeightFile
from weightaudit.records import Adapter, TensorInfo
from weightaudit.source import ByteSource, Repository

MAX_SMALL = 1 << 20
"""Bytes of a tensor that is read while a file is opened: a shape, bytes of JSON."""


@dataclass(frozen=True)
class Contents:
    """Logical tensors by name; the ``config`` that they go by, which a GGUF file has in its header; ``notes`` for the
    reader of a report; and which ``adapter`` they are, None for a model's weights.
    """

    tensors: dict[str, TensorInfo]
    config: dict[str, Any] | None
    notes: tuple[str, ...] = ()
    adapter: Adapter | None = None


def contents_of(
    repository: Repository,
    config: dict[str, Any] | None,
    weights: str,
    files: Sequence[WeightFile],
    sources: Mapping[str, ByteSource],
) -> Contents:
    """What ``files`` hold, of which ``weights`` is the one, or the index, that was selected."""
    headers = {sources[file.file.name].label: file.header for file in files if file.header is not None}
    if headers and next(iter(headers.values())).kind == "adapter":
        found = gguf_adapter(headers)
        return Contents(found.tensors, None, found.notes, found.adapter)
    if headers:
        model = gguf_model(headers)
        return Contents(model.tensors, model.config, model.notes)
    factors = adapter_tensors(
        _by_name(files), lambda: read_peft_config(repository), _small_values(sources), named=is_adapter(weights)
    )
    if factors is not None:
        return Contents(factors.tensors, config, factors.notes, factors.adapter)
    return Contents(tensors_of(repository, config, files, sources), config)


def tensors_of(
    repository: Repository,
    config: Mapping[str, Any] | None,
    files: Sequence[WeightFile],
    sources: Mapping[str, ByteSource],
) -> dict[str, TensorInfo]:
    """The logical tensors of a model's ``files``, by name."""
    metadata = {key: value for file in files for key, value in file.metadata.items()}
    stored = Stored(_by_name(files), read_method(repository, config), metadata, _small_values(sources))
    return {info.name: info for info in logical_tensors(stored)}


def _by_name(files: Sequence[WeightFile]) -> dict[str, TensorInfo]:
    return {tensor.name: tensor for file in files for tensor in file.tensors}


def _small_values(sources: Mapping[str, ByteSource]) -> Callable[[Sequence[TensorInfo]], list[Array]]:
    """Reads small tensors while files are opened."""

    def values(tensors: Sequence[TensorInfo]) -> list[Array]:
        """Small tensors, read at once; ValueError for one that is not small."""
        if any(info.nbytes > MAX_SMALL for info in tensors):
            raise ValueError(f"a tensor of more than {MAX_SMALL} bytes is not read while a file is opened")
        by_file: dict[str, list[TensorInfo]] = {}
        for info in tensors:
            by_file.setdefault(info.file, []).append(info)
        read: dict[str, Array] = {}
        for file, infos in by_file.items():
            pieces = read_pieces(sources[file], [(info.offset, info.nbytes) for info in infos])
            read |= {info.name: stored_numbers(info, piece) for info, piece in zip(infos, pieces, strict=True)}
        return [read[info.name] for info in tensors]

    return values
