"""The weight files of a model, opened: of each its format, and its tensors as the header has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from weightaudit.checkpoint.formats.checksums import Summed
from weightaudit.checkpoint.formats.gguf import GgufFile, read_gguf
from weightaudit.checkpoint.formats.safetensors import read_header
from weightaudit.checkpoint.formats.sniff import read_head
from weightaudit.checkpoint.formats.torch_file import SUFFIXES, is_torch, read_torch
from weightaudit.checkpoint.gguf_names import shards_of
from weightaudit.checkpoint.header_budget import CountedSource, HeaderBudget
from weightaudit.checkpoint.index import Placement, check_present, is_index, read_index, shards_without_index
from weightaudit.checkpoint.modules import Module
from weightaudit.checkpoint.parallel import join, kv_heads, may_be_joined, part_error, parts_of
from weightaudit.checkpoint.reader import close_all
from weightaudit.records import FileFault, SourceFile, TensorInfo
from weightaudit.source import ByteSource, Repository
from weightaudit.source.base import GGUF
from weightaudit.text import printable

SHARDS_AT_ONCE = 8
"""Shards opened together: over a network each takes several round trips."""


@dataclass(frozen=True)
class WeightFile:
    """One weight file: its format, its tensors in name order, what the reader of a report should know,
    the checksums of its bytes, and the header of a GGUF file."""

    file: SourceFile
    format: str
    tensors: Sequence[TensorInfo]
    notes: tuple[str, ...] = ()
    summed: Sequence[Summed] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    header: GgufFile | None = None


def open_set(
    repository: Repository, weights: str, sources: dict[str, ByteSource]
) -> tuple[list[WeightFile], list[FileFault]]:
    """The weight file, or the index and its shards, opened into ``sources``, and what does not belong together."""
    if is_index(weights):
        return _sharded(repository, weights, sources)
    if weights.endswith(GGUF):
        return _gguf_files(repository, weights, sources), []
    parts = parts_of(weights, repository.files())
    if may_be_joined(parts):
        return _joined(repository, weights, parts, sources), []
    return [_open(repository, weights, sources)], []


def _joined(
    repository: Repository, weights: str, parts: Sequence[str], sources: dict[str, ByteSource]
) -> list[WeightFile]:
    """The parts of a model that was split over devices, the first with the tensors of the whole."""
    repository.fetch(parts)
    budget = HeaderBudget()
    files = [_open(repository, name, sources, budget) for name in parts]
    try:
        tensors = join([file.tensors for file in files], kv_heads(repository))
    except ValueError as error:
        raise part_error(weights, parts, printable(repository.location, limit=1000), str(error)) from None
    told = f"The model is stored in {len(parts)} parts, split over devices: each matrix was joined from all of them."
    return [
        replace(files[0], tensors=tensors, notes=(*files[0].notes, told)),
        *(replace(f, tensors=[]) for f in files[1:]),
    ]


def _gguf_files(repository: Repository, weights: str, sources: dict[str, ByteSource]) -> list[WeightFile]:
    """The GGUF file ``weights``, which may lie in a folder, or all shards of which it is one."""
    folder, _, name = weights.rpartition("/")
    there = repository.files_in(folder) if folder else repository.files()
    shards = shards_of(name, there, where=printable(repository.location, limit=1000))
    if not folder:
        repository.fetch(shards)
    if len(shards) == 1:
        return [_open(repository, weights, sources)]
    paths = [f"{folder}/{shard}" if folder else shard for shard in shards]
    return _open_together(repository, paths, Placement(weights, None), sources)


def open_module(repository: Repository, module: Module, sources: dict[str, ByteSource]) -> WeightFile:
    """The weight file of a module, its tensors called by its folder too."""
    source = repository.open_in(module.folder, module.file)
    opened = _read(sources.setdefault(source.name, source), source)
    called = (replace(tensor, name=f"{module.folder}.{tensor.name}") for tensor in opened.tensors)
    return replace(opened, tensors=sorted(called, key=lambda tensor: tensor.name))


def files_of(repository: Repository, weights: str) -> list[str]:
    """The files of a set of weights: one, or an index, if there is one, and its shards."""
    if not is_index(weights) or not repository.is_near([weights]):
        return [weights]
    if weights not in repository.files():
        return shards_without_index(weights, repository.files())
    source = repository.open(weights)
    try:
        return [weights, *sorted(set(read_index(source).values()))]
    finally:
        source.close()


def _open(
    repository: Repository, name: str, sources: dict[str, ByteSource], budget: HeaderBudget | None = None
) -> WeightFile:
    """Open one weight file into ``sources``. What its name does not say its first bytes do."""
    folder, _, plain = name.rpartition("/")
    source = sources[name] = repository.open_in(folder, plain) if folder else repository.open(name)
    return _read(source, source if budget is None else CountedSource(source, budget))


def _read(source: ByteSource, head: ByteSource) -> WeightFile:
    """What the file ``source`` is, whose headers are read by ``head``."""
    name = source.name
    file = SourceFile(name, source.size)
    if name.endswith(GGUF):
        header = read_gguf(head)
        return WeightFile(file, "GGUF", header.tensors, header=header)
    if name.endswith(SUFFIXES) or (not name.endswith(".safetensors") and is_torch(read_head(head))):
        return WeightFile(file, *read_torch(head))
    safe = read_header(head)
    return WeightFile(file, "safetensors", safe.tensors, metadata=safe.metadata)


def _sharded(
    repository: Repository, index: str, sources: dict[str, ByteSource]
) -> tuple[list[WeightFile], list[FileFault]]:
    """The index, every shard that it names opened into ``sources``, and what of the two does not belong together.

    Where there is no such index, the shards are those that it would name.
    """
    unindexed = [] if index in repository.files() else shards_without_index(index, repository.files())
    if unindexed:
        placement = Placement(index, None)
        files = _open_together(repository, unindexed, placement, sources)
        tensors, faults = placement.settle()
        return [replace(files[0], tensors=tensors), *files[1:]], faults
    source = repository.open(index)
    try:
        weight_map = read_index(source)
    finally:
        source.close()
    shards = sorted(set(weight_map.values()))
    repository.fetch(shards)
    check_present(source.label, shards, repository.files())
    placement = Placement(source.label, weight_map)
    files = _open_together(repository, shards, placement, sources)
    elsewhere, faults = placement.settle()
    return [WeightFile(SourceFile(index, source.size), "", elsewhere), *files], faults


def _open_together(
    repository: Repository, shards: Sequence[str], placement: Placement, sources: dict[str, ByteSource]
) -> list[WeightFile]:
    """The shards in their order, each with the tensors that it is to have; of several failures, that of the first."""
    budget = HeaderBudget()

    def open_one(shard: str) -> WeightFile:
        file = _open(repository, shard, sources, budget)
        # At once, and not of all together: a thousand names for one file must not fill the memory first.
        return replace(file, tensors=placement.take(shard, file.tensors))

    with ThreadPoolExecutor(SHARDS_AT_ONCE, thread_name_prefix="weightaudit-open") as pool:
        try:
            return list(pool.map(open_one, shards))
        except BaseException:  # Ctrl-C too; raised again
            pool.shutdown(wait=False, cancel_futures=True)
            repository.close()  # these two end what is still under way, for which leaving the pool waits
            close_all(sources)
            raise
