"""A model's checkpoint: its tensors by name, each read when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch

from weightaudit.checkpoint.config import CONFIG, read_config
from weightaudit.checkpoint.index import check_against, check_present, read_index
from weightaudit.checkpoint.safetensors import read_header
from weightaudit.checkpoint.select import is_index, select_weights
from weightaudit.config import DEFAULTS
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import CheckpointError, printable
from weightaudit.records import ModelIdentity, SourceFile, TensorInfo
from weightaudit.source import ByteSource, Repository, open_repository


class Checkpoint:
    """The tensors of one model. Headers are read on opening, data on `read`; a context manager.

    ``identity`` says which model and files; ``config`` is config.json, None for a single file without one;
    ``tensors`` maps names to what the headers say, in name order.
    """

    def __init__(
        self,
        identity: ModelIdentity,
        config: dict[str, Any] | None,
        tensors: dict[str, TensorInfo],
        sources: dict[str, ByteSource],
    ) -> None:
        self.identity = identity
        self.config = config
        self.tensors = tensors
        self._sources = sources
        self.notes: tuple[str, ...] = ()

    @contextmanager
    def reader(self, tensors: Sequence[TensorInfo], *, ahead: int) -> Iterator[Callable[..., torch.Tensor]]:
        """Stand-in: the lead's, to be replaced by the one that reads ahead."""
        yield self.read

    def read(self, name: str, *, into: torch.Tensor | None = None) -> torch.Tensor:
        """Tensor ``name`` in its stored dtype and shape. Thread-safe, if each thread has its own ``into``.

        ``into`` is memory to reuse: a contiguous 1-D uint8 CPU tensor of at least the tensor's bytes; the
        result is a view of it. Without it the memory is fresh. Raises CheckpointError where the bytes cannot
        be read or torch has no such dtype, KeyError for an unknown name.
        """
        info = self.tensors[name]
        source = self._sources[info.file]
        dtype = _torch_dtype(info, source)
        buffer = torch.empty(info.nbytes, dtype=torch.uint8) if into is None else _usable(into, info, dtype)
        source.read_into(info.offset, buffer.numpy().data)
        return buffer.view(dtype).view(info.shape)

    def close(self) -> None:
        """Close the files; tensors already read stay valid."""
        _close_all(self._sources)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_checkpoint(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    download: bool = DEFAULTS.download,
    max_wait: float = DEFAULTS.max_wait,
) -> Checkpoint:
    """The checkpoint of ``model``: a local directory or file, or a Hugging Face Hub id (`open_repository`).

    Raises ModelError with the cause: not found, unavailable, unreadable weights, or no usable config.json.

    Example:
        >>> with open_checkpoint("path/to/model") as checkpoint:  # doctest: +SKIP
        ...     W = checkpoint.read("wte.weight")
    """
    repository = open_repository(
        model, revision=revision, token=token, offline=offline, download=download, max_wait=max_wait
    )
    weights = select_weights(repository)
    repository.fetch([CONFIG, weights])
    config = read_config(repository)
    sources: dict[str, ByteSource] = {}
    with ExitStack() as opened:  # whatever stops the opening, its files do not stay open
        opened.callback(_close_all, sources)
        open_weights = _open_sharded if is_index(weights) else _open_single
        found, files = open_weights(repository, weights, sources)
        opened.pop_all()
    identity = ModelIdentity(
        name=repository.name,
        revision=repository.revision,
        location=repository.location,
        files=tuple(files),
        metadata={"format": "safetensors", "weights": weights},
    )
    return Checkpoint(identity, config, {tensor.name: tensor for tensor in found}, sources)


def _open_single(
    repository: Repository, name: str, sources: dict[str, ByteSource]
) -> tuple[list[TensorInfo], list[SourceFile]]:
    """Open one weight file into ``sources``; its tensors in name order."""
    source = sources[name] = repository.open(name)
    return list(read_header(source).tensors), [SourceFile(name, source.size)]


def _open_sharded(
    repository: Repository, index: str, sources: dict[str, ByteSource]
) -> tuple[list[TensorInfo], list[SourceFile]]:
    """Open every shard that the index names into ``sources``; all their tensors in name order."""
    source = repository.open(index)
    try:
        weight_map = read_index(source)
    finally:
        source.close()
    shards = sorted(set(weight_map.values()))
    repository.fetch(shards)
    check_present(source.label, shards, repository.files())
    files = [SourceFile(index, source.size)]
    found: list[TensorInfo] = []
    for shard in shards:
        tensors, opened = _open_single(repository, shard, sources)
        found += tensors
        files += opened
    check_against(source.label, weight_map, found)
    return sorted(found, key=lambda tensor: tensor.name), files


def _close_all(sources: dict[str, ByteSource]) -> None:
    for source in sources.values():
        source.close()


def _torch_dtype(info: TensorInfo, source: ByteSource) -> torch.dtype:
    try:
        return BY_NAME[info.dtype].torch
    except AttributeError as error:
        raise CheckpointError(
            source.label,
            f"tensor '{printable(info.name)}' is stored as {info.dtype}, which this torch cannot read",
            "Use the model's unquantised checkpoint, or a newer torch",
        ) from error


def _usable(into: torch.Tensor, info: TensorInfo, dtype: torch.dtype) -> torch.Tensor:
    """The first bytes of ``into``, as many as the tensor takes."""
    if into.dtype != torch.uint8 or into.dim() != 1 or not into.is_contiguous() or into.device.type != "cpu":
        raise ValueError("into must be a contiguous 1-D uint8 tensor on the CPU")
    if into.numel() < info.nbytes:
        raise ValueError(f"into has {into.numel()} bytes, tensor '{info.name}' needs {info.nbytes}")
    if into.storage_offset() % dtype.itemsize:
        raise ValueError(f"into must start at a multiple of {dtype.itemsize} bytes in its storage")
    return into[: info.nbytes]
