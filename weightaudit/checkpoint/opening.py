"""From a model's name to its open checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from weightaudit.arrays import Array
from weightaudit.checkpoint.adapters import AdapterTensors, adapter_tensors, gguf_adapter, read_peft_config
from weightaudit.checkpoint.codecs import Stored, logical_tensors
from weightaudit.checkpoint.config import CONFIG, check_config, read_config
from weightaudit.checkpoint.formats.checksums import Checksums, Summed
from weightaudit.checkpoint.formats.gguf import GgufFile, read_gguf
from weightaudit.checkpoint.formats.safetensors import read_header
from weightaudit.checkpoint.formats.sniff import read_head
from weightaudit.checkpoint.formats.torch_file import SUFFIXES, is_torch, read_torch
from weightaudit.checkpoint.gguf_model import gguf_model
from weightaudit.checkpoint.gguf_names import SUFFIX as GGUF
from weightaudit.checkpoint.gguf_names import shards_of
from weightaudit.checkpoint.header_budget import CountedSource, HeaderBudget
from weightaudit.checkpoint.index import Placement, check_present, is_index, read_index, shards_without_index
from weightaudit.checkpoint.loaders import loaded_otherwise
from weightaudit.checkpoint.modules import Module, find_modules
from weightaudit.checkpoint.quantisation import read_method
from weightaudit.checkpoint.reader import Checkpoint, close_all, stored_numbers
from weightaudit.checkpoint.select import is_adapter, select_weights, skipped_files
from weightaudit.checkpoint.sets import difference, other_sets
from weightaudit.checkpoint.small_reads import read_pieces
from weightaudit.checkpoint.tokenizer import read_vocabulary
from weightaudit.config import DEFAULTS
from weightaudit.errors import ModelError
from weightaudit.records import FileFault, ModelIdentity, SourceFile, TensorInfo
from weightaudit.source import ByteSource, Repository, open_repository
from weightaudit.text import printable

SHARDS_AT_ONCE = 8
"""Shards opened together: over a network each takes several round trips."""
MAX_SMALL = 1 << 20
"""Bytes of a tensor that is read while a file is opened: a shape, bytes of JSON."""


@dataclass(frozen=True)
class _Opened:
    """One weight file: its format, its tensors in name order, what the reader of a report should know,
    the checksums of its bytes, and the header of a GGUF file."""

    file: SourceFile
    format: str
    tensors: Sequence[TensorInfo]
    notes: tuple[str, ...] = ()
    summed: Sequence[Summed] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    header: GgufFile | None = None


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

    ``download`` brings a Hub model into the Hugging Face cache first, else its bytes are read where they are and not
    kept; ``max_wait`` is how many seconds the network may bring no progress. Raises ModelError with the cause: not
    found, unavailable, unreadable weights, or no usable config.json.

    Example:
        >>> with open_checkpoint("path/to/model") as checkpoint:  # doctest: +SKIP
        ...     W = checkpoint.read("wte.weight")
    """
    repository = open_repository(
        model, revision=revision, token=token, offline=offline, download=download, max_wait=max_wait
    )
    there = repository.files()
    if CONFIG in there or not any(name.endswith(GGUF) for name in there):  # a GGUF file needs none
        repository.fetch([CONFIG])
    config = read_config(repository)
    weights = select_weights(repository, config)
    own_header = weights.endswith(GGUF)  # which says the model's sizes; a config.json is of the one it was made from
    unnamed = config is not None and config.get("model_type") in (None, "") and repository.chosen is not None
    unused = config is not None and (own_header or unnamed)
    if unused:
        config = None
    if not own_header:
        if not is_adapter(weights):
            check_config(repository, config, weights)
        repository.fetch([weights])
    sources: dict[str, ByteSource] = {}
    vocabulary = adapter = None
    with ExitStack() as opened:  # whatever stops the opening, its files do not stay open
        opened.callback(close_all, sources)
        files, faults = _open_set(repository, weights, sources)
        notes = tuple(note for file in files for note in file.notes)
        headers = {sources[file.file.name].label: file.header for file in files if file.header is not None}
        if headers and next(iter(headers.values())).kind == "adapter":
            adapter, config = gguf_adapter(headers), None
            tensors, notes = adapter.tensors, (*notes, *adapter.notes)
        elif headers:
            model_said = gguf_model(headers)
            tensors, config, notes = model_said.tensors, model_said.config, (*notes, *model_said.notes)
        elif (adapter := _adapter(repository, weights, files, sources)) is not None:
            tensors, notes = adapter.tensors, (*notes, *adapter.notes)
        else:
            tensors = _logical(files, sources, lambda: read_method(repository, config))
        if repository.chosen is None and not headers and adapter is None:
            modules, wrong = find_modules(repository)
            beside = [_open_module(repository, module, sources) for module in modules]
            faults += [*_other_sets(repository, config, weights, tensors, sources), *wrong]
            files += beside
            tensors |= {tensor.name: tensor for file in beside for tensor in file.tensors}
            if not repository.revision:  # a directory: of a Hub model nothing is downloaded for it
                vocabulary, unreadable = read_vocabulary(repository)
                faults += unreadable
        opened.pop_all()
    names = {file.file.name for file in files}
    formats = dict.fromkeys(file.format for file in files if file.format)
    whole = repository.chosen is None
    identity = ModelIdentity(
        name=f"{repository.name}:{repository.label}" if repository.label else repository.name,
        revision=repository.revision,
        location=repository.location,
        files=tuple(file.file for file in files),
        format=" and ".join(formats) + (f", {adapter.adapter.label}" if adapter is not None else ""),
        skipped_files=skipped_files(repository.files(), weights, names) if whole else (),
        loaded_otherwise=tuple(loaded_otherwise(config, repository.files(), weights))
        if whole and adapter is None
        else (),
        faults=tuple(faults),
        adapter=None if adapter is None else adapter.adapter,
    )
    if unused:
        why = "is of the model that it was made from" if own_header else "has no model_type"
        notes = (*notes, f"{CONFIG} beside {printable(weights)} {why} and was not used.")
    sums = {file.file.name: Checksums(file.summed) for file in files if file.summed}
    return Checkpoint(identity, config, tensors, sources, notes, sums, repository.check_unchanged, vocabulary)


def _logical(
    files: Sequence[_Opened], sources: Mapping[str, ByteSource], method: Callable[[], Mapping[str, Any]]
) -> dict[str, TensorInfo]:
    """What the tensors in ``files`` stand for, by name; ``method`` says how they are quantised."""
    metadata = {key: value for file in files for key, value in file.metadata.items()}
    stored = Stored(_by_name(files), method(), metadata, _small_values(sources))
    return {info.name: info for info in logical_tensors(stored)}


def _adapter(
    repository: Repository, weights: str, files: Sequence[_Opened], sources: Mapping[str, ByteSource]
) -> AdapterTensors | None:
    """The adapter that ``files`` hold; None where they hold none."""
    values = _small_values(sources)
    return adapter_tensors(_by_name(files), lambda: read_peft_config(repository), values, named=is_adapter(weights))


def _by_name(files: Sequence[_Opened]) -> dict[str, TensorInfo]:
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


def _open_set(
    repository: Repository, weights: str, sources: dict[str, ByteSource]
) -> tuple[list[_Opened], list[FileFault]]:
    """The weight file, or the index and its shards, opened into ``sources``, and what does not belong together."""
    if is_index(weights):
        return _sharded(repository, weights, sources)
    if weights.endswith(GGUF):
        return _gguf_files(repository, weights, sources), []
    return [_open(repository, weights, sources)], []


def _gguf_files(repository: Repository, weights: str, sources: dict[str, ByteSource]) -> list[_Opened]:
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


def _open_module(repository: Repository, module: Module, sources: dict[str, ByteSource]) -> _Opened:
    """The weight file of a module, its tensors called by its folder too."""
    source = repository.open_in(module.folder, module.file)
    opened = _read(sources.setdefault(source.name, source), source)
    called = (replace(tensor, name=f"{module.folder}.{tensor.name}") for tensor in opened.tensors)
    return replace(opened, tensors=sorted(called, key=lambda tensor: tensor.name))


def _other_sets(
    repository: Repository,
    config: Mapping[str, Any] | None,
    weights: str,
    taken: Mapping[str, TensorInfo],
    sources: Mapping[str, ByteSource],
) -> list[FileFault]:
    """How other sets of weights under the usual names differ from the one ``taken``; what cannot be read is left.

    So is what is not on this machine: nothing is asked of a network for it.
    """
    faults: list[FileFault] = []
    if any(source.distant for source in sources.values()):
        return faults
    for other in other_sets(repository.files(), weights):
        beside: dict[str, ByteSource] = {}
        try:
            if not repository.is_near(_files_of(repository, other)):
                continue
            files, _ = _open_set(repository, other, beside)
            tensors = _logical(files, beside, lambda: read_method(repository, config))
            fault = difference(weights, taken, sources, other, tensors, beside)
        except ModelError as error:
            if error.temporary:
                raise
            continue
        finally:
            close_all(beside)
        faults += [fault] if fault is not None else []
    return faults


def _files_of(repository: Repository, weights: str) -> list[str]:
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
) -> _Opened:
    """Open one weight file into ``sources``. What its name does not say its first bytes do."""
    folder, _, plain = name.rpartition("/")
    source = sources[name] = repository.open_in(folder, plain) if folder else repository.open(name)
    return _read(source, source if budget is None else CountedSource(source, budget))


def _read(source: ByteSource, head: ByteSource) -> _Opened:
    """What the file ``source`` is, whose headers are read by ``head``."""
    name = source.name
    file = SourceFile(name, source.size)
    if name.endswith(GGUF):
        header = read_gguf(head)
        return _Opened(file, "GGUF", header.tensors, header=header)
    if name.endswith(SUFFIXES) or (not name.endswith(".safetensors") and is_torch(read_head(head))):
        return _Opened(file, *read_torch(head))
    safe = read_header(head)
    return _Opened(file, "safetensors", safe.tensors, metadata=safe.metadata)


def _sharded(
    repository: Repository, index: str, sources: dict[str, ByteSource]
) -> tuple[list[_Opened], list[FileFault]]:
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
    return [_Opened(SourceFile(index, source.size), "", elsewhere), *files], faults


def _open_together(
    repository: Repository, shards: Sequence[str], placement: Placement, sources: dict[str, ByteSource]
) -> list[_Opened]:
    """The shards in their order, each with the tensors that it is to have; of several failures, that of the first."""
    budget = HeaderBudget()

    def open_one(shard: str) -> _Opened:
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
