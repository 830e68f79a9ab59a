"""From a model's name to its open checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from weightaudit.checkpoint.config import CONFIG, check_config, read_config
from weightaudit.checkpoint.contents import contents_of, tensors_of
from weightaudit.checkpoint.formats.checksums import Checksums
from weightaudit.checkpoint.loaders import loaded_otherwise
from weightaudit.checkpoint.modules import find_modules
from weightaudit.checkpoint.reader import Checkpoint, close_all
from weightaudit.checkpoint.select import is_adapter, select_weights, skipped_files
from weightaudit.checkpoint.sets import difference, other_sets
from weightaudit.checkpoint.tokenizer import read_vocabulary
from weightaudit.checkpoint.weight_files import files_of, open_module, open_set
from weightaudit.config import DEFAULTS
from weightaudit.errors import ModelError, UsageError
from weightaudit.logs import asked_for, size, step
from weightaudit.records import FileFault, ModelIdentity, TensorInfo
from weightaudit.source import ByteSource, Repository, open_repository
from weightaudit.source.base import GGUF
from weightaudit.text import plural, printable


def open_checkpoint(
    model: str | os.PathLike[str] | Repository,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    download: bool = DEFAULTS.download,
    max_wait: float = DEFAULTS.max_wait,
    any_config: bool = False,
) -> Checkpoint:
    """Open a model's weights: every tensor by name, each read when asked for. Of the files only headers are read now.

    Parameters
    ----------
    model
        Local directory, weight file, or Hub id (what exists as a path is one); or its files (`open_repository`).
    revision
        Branch, tag or commit of a Hub model; None is its default branch.
    token
        Hub access token; None lets huggingface_hub find one.
    offline
        Whether to keep off the network.
    download
        Whether a Hub model is brought into the Hugging Face cache first; else its bytes are read where they are, and
        not kept.
    max_wait
        Seconds that the network may bring no progress.
    any_config
        Whether a directory may have no config.json, and a config.json no model_type.

    Returns
    -------
    Checkpoint
        A context manager with ``tensors`` by name, ``config`` and ``read(name)``.

    Raises
    ------
    UsageError
        An option makes no sense.
    ModelError
        Not found, unavailable, unreadable weights, or no usable config.json; subclasses say which.

    Examples
    --------
    >>> import weightaudit as wa
    >>> with wa.open_checkpoint("gpt2") as checkpoint:  # doctest: +SKIP
    ...     W = checkpoint.read("wte.weight")
    """
    if isinstance(model, (str, os.PathLike)):
        repository = open_repository(
            model, revision=revision, token=token, offline=offline, download=download, max_wait=max_wait
        )
    else:
        repository = model
        if revision is not None:
            cause = f"revision '{printable(revision)}' was asked for, but this is no Hub model"
            raise UsageError(printable(repository.name), cause, "Leave the revision out")
    there = repository.files()
    if CONFIG in there or not any(name.endswith(GGUF) for name in there):  # a GGUF file needs none
        repository.fetch([CONFIG])
    config = read_config(repository)
    weights = select_weights(repository, config)
    own_header = weights.endswith(GGUF)  # which says the model's sizes; a config.json is of the one it was made from
    unnamed = config is not None and config.get("model_type") in (None, "") and repository.chosen is not None
    unnamed = unnamed and not any_config
    unused = config is not None and (own_header or unnamed)
    if unused:
        config = None
    if not own_header:
        if not is_adapter(weights) and not any_config:
            check_config(repository, config, weights)
        repository.fetch([weights])
    sources: dict[str, ByteSource] = {}
    vocabulary = None
    with ExitStack() as opened:  # whatever stops the opening, its files do not stay open
        opened.callback(close_all, sources)
        files, faults = open_set(repository, weights, sources)
        notes = [note for file in files for note in file.notes]
        contents = contents_of(repository, config, weights, files, sources)
        tensors, adapter = contents.tensors, contents.adapter
        if repository.chosen is None and not own_header and adapter is None:
            modules, wrong = find_modules(repository)
            beside = [open_module(repository, module, sources) for module in modules]
            faults += [*_other_sets(repository, config, weights, tensors, sources), *wrong]
            files += beside
            tensors = {**tensors, **{tensor.name: tensor for file in beside for tensor in file.tensors}}
            notes += [note for file in beside for note in file.notes]
            # A directory: of a model of the Hub, or of one that is read over a network, nothing is downloaded for it.
            if not repository.revision and not any(source.distant for source in sources.values()):
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
        format=" and ".join(formats) + (f", {adapter.label}" if adapter is not None else ""),
        skipped_files=skipped_files(repository.files(), weights, names) if whole else (),
        loaded_otherwise=tuple(loaded_otherwise(config, repository.files(), weights))
        if whole and adapter is None
        else (),
        faults=tuple(faults),
        adapter=adapter,
    )
    notes += contents.notes
    if unused:
        why = "is of the model that it was made from" if own_header else "has no model_type"
        notes.append(f"{CONFIG} beside {printable(weights)} {why} and was not used.")
    if asked_for():
        _tell(identity, tensors, distant=any(source.distant for source in sources.values()))
    sums = {file.file.name: Checksums(file.summed) for file in files if file.summed}
    return Checkpoint(
        identity, contents.config, tensors, sources, tuple(notes), sums, repository.check_unchanged, vocabulary
    )


def _tell(identity: ModelIdentity, tensors: Mapping[str, TensorInfo], *, distant: bool) -> None:
    """Which files are read, and where from."""
    at = f" @ {printable(identity.revision)}" if identity.revision else ""
    way = "streamed over the network" if distant else "on this machine"
    step(f"model {printable(identity.name)}{at}, {way}: {printable(identity.location, 1000)}")
    for file in identity.files:
        step(f"file {printable(file.name)}: {size(file.nbytes)}")
    for other in identity.skipped_files:
        step(f"skipped {printable(other.name)}: {printable(other.why)}")
    stored = sum(info.stored_nbytes for info in tensors.values())
    step(f"format {identity.format or 'unknown'}: {plural(len(tensors), 'tensor')}, {size(stored)}")


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
            if not repository.is_near(files_of(repository, other)):
                continue
            files, _ = open_set(repository, other, beside)
            tensors = tensors_of(repository, config, files, beside)
            fault = difference(weights, taken, sources, other, tensors, beside)
        except ModelError as error:
            if error.temporary:
                raise
            continue
        finally:
            close_all(beside)
        faults += [fault] if fault is not None else []
    return faults
