"""From a model's name to its open checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from weightaudit.checkpoint.codecs import logical_tensors
from weightaudit.checkpoint.config import CONFIG, check_config, read_config
from weightaudit.checkpoint.formats.checksums import Checksums, Summed
from weightaudit.checkpoint.formats.safetensors import read_header
from weightaudit.checkpoint.formats.sniff import read_head
from weightaudit.checkpoint.formats.torch_file import SUFFIXES, is_torch, read_torch
from weightaudit.checkpoint.header_budget import CountedSource, HeaderBudget
from weightaudit.checkpoint.index import Placement, check_present, is_index, read_index, shards_without_index
from weightaudit.checkpoint.loaders import loaded_otherwise
from weightaudit.checkpoint.modules import Module, find_modules
from weightaudit.checkpoint.reader import Checkpoint, close_all
from weightaudit.checkpoint.select import select_weights, skipped_files
from weightaudit.checkpoint.sets import difference, other_sets
from weightaudit.checkpoint.tokenizer import read_vocabulary
from weightaudit.config import DEFAULTS
from weightaudit.errors import ModelError
from weightaudit.records import FileFault, ModelIdentity, SourceFile, TensorInfo
from weightaudit.source import ByteSource, Repository, open_repository
from weightaudit.text import printable

SHARDS_AT_ONCE = 8
"""Shards opened together: over a network each takes several round trips."""


@dataclass(frozen=True)
class _Opened:
    """One weight file: its format, its tensors in name order, what the reader of a report should know,
    and the checksums of its bytes."""

    file: SourceFile
    format: str
    tensors: Sequence[TensorInfo]
    notes: tuple[str, ...] = ()
    summed: Sequence[Summed] = ()


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
    repository.fetch([CONFIG])
    config = read_config(repository)
    weights = select_weights(repository, config)
    unnamed = config is not None and config.get("model_type") in (None, "") and repository.chosen is not None
    if unnamed:
        config = None
    check_config(repository, config, weights)
    repository.fetch([weights])
    sources: dict[str, ByteSource] = {}
    vocabulary = None
    with ExitStack() as opened:  # whatever stops the opening, its files do not stay open
        opened.callback(close_all, sources)
        files, faults = _open_set(repository, weights, sources)
        found = logical_tensors(tensor for file in files for tensor in file.tensors)
        tensors = {tensor.name: tensor for tensor in found}
        if repository.chosen is None:
            modules, wrong = find_modules(repository)
            beside = [_open_module(repository, module, sources) for module in modules]
            faults += [*_other_sets(repository, weights, tensors, sources), *wrong]
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
        name=repository.name,
        revision=repository.revision,
        location=repository.location,
        files=tuple(file.file for file in files),
        format=" and ".join(formats),
        skipped_files=skipped_files(repository.files(), weights, names) if whole else (),
        loaded_otherwise=tuple(loaded_otherwise(config, repository.files(), weights)) if whole else (),
        faults=tuple(faults),
    )
    notes = tuple(note for file in files for note in file.notes)
    if unnamed:
        notes = (*notes, f"{CONFIG} beside {printable(weights)} has no model_type and was not used.")
    sums = {file.file.name: Checksums(file.summed) for file in files if file.summed}
    return Checkpoint(identity, config, tensors, sources, notes, sums, repository.check_unchanged, vocabulary)


def _open_set(
    repository: Repository, weights: str, sources: dict[str, ByteSource]
) -> tuple[list[_Opened], list[FileFault]]:
    """The weight file, or the index and its shards, opened into ``sources``, and what does not belong together."""
    if is_index(weights):
        return _sharded(repository, weights, sources)
    return [_open(repository, weights, sources)], []


def _open_module(repository: Repository, module: Module, sources: dict[str, ByteSource]) -> _Opened:
    """The weight file of a module, its tensors called by its folder too."""
    source = repository.open_in(module.folder, module.file)
    opened = _read(sources.setdefault(source.name, source), source)
    called = (replace(tensor, name=f"{module.folder}.{tensor.name}") for tensor in opened.tensors)
    return replace(opened, tensors=sorted(called, key=lambda tensor: tensor.name))


def _other_sets(
    repository: Repository, weights: str, taken: Mapping[str, TensorInfo], sources: Mapping[str, ByteSource]
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
            tensors = {tensor.name: tensor for file in files for tensor in file.tensors}
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
    source = sources[name] = repository.open(name)
    return _read(source, source if budget is None else CountedSource(source, budget))


def _read(source: ByteSource, head: ByteSource) -> _Opened:
    """What the file ``source`` is, whose headers are read by ``head``."""
    name = source.name
    file = SourceFile(name, source.size)
    if name.endswith(SUFFIXES) or (not name.endswith(".safetensors") and is_torch(read_head(head))):
        return _Opened(file, *read_torch(head))
    return _Opened(file, "safetensors", read_header(head).tensors)


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
