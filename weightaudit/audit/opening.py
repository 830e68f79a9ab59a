"""A model opened, and what its names, shapes and config say of its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from weightaudit.architecture import map_model
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.checkpoint.adapters.flat_names import named_as_in
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import ConfigError, MappingError, ModelError, UsageError
from weightaudit.logs import asked_for, step, timed
from weightaudit.model_files import parted
from weightaudit.records import ModelMap
from weightaudit.source import Repository
from weightaudit.source.base import GGUF
from weightaudit.text import plural, printable

AnyModel: TypeAlias = str | Repository | Checkpoint
"""A model by its path or Hub id, by its files, or opened already."""


def open_model(model: AnyModel, revision: str | None, config: AuditConfig) -> Checkpoint:
    """The checkpoint of a directory, a weight file or a Hub id, as ``config`` says where it may come from.

    One that is open already is lent: closing what is returned leaves it open. UsageError for its ``revision``.
    """
    if isinstance(model, Checkpoint):
        if revision is not None:
            cause = f"revision '{printable(revision)}' was asked for, but this checkpoint is open already"
            raise UsageError(printable(model.identity.name), cause, "Leave the revision out")
        return model.lent()
    with timed(f"opened {printable(name_of(model), 1000)}"):
        return open_checkpoint(
            model,
            revision=revision,
            token=config.token,
            offline=config.offline,
            download=config.download,
            max_wait=config.max_wait,
            any_config=config.all or config.spec is not None,
        )


def open_named(model: AnyModel, config: AuditConfig) -> Checkpoint:
    """`open_model` of what may carry its revision: ``id@revision``."""
    name, revision = parted(model) if isinstance(model, str) else (model, None)
    return open_model(name, revision, config)


def name_of(model: AnyModel) -> str:
    """What a report's options call ``model``: as it was written, or its name where it was not."""
    if isinstance(model, str):
        return model
    return model.identity.name if isinstance(model, Checkpoint) else model.name


def adopt_names(checkpoint: Checkpoint, base: Checkpoint) -> None:
    """Have an adapter's changes be called as what they change in ``base``, where their own names leave that open."""
    if checkpoint.identity.adapter is not None:
        checkpoint.tensors = named_as_in(base.tensors, checkpoint.tensors)


def map_of(
    checkpoint: Checkpoint, base_config: Mapping[str, Any] | None = None, options: AuditConfig = DEFAULTS
) -> ModelMap:
    """The checkpoint's map, by the config of its base where it is an adapter that has the base's names; its errors say
    which model they are about. ``options`` may name a spec, and ask for all matrices.
    """
    adapter = checkpoint.identity.adapter is not None
    renamed = any(file.name.endswith(GGUF) for file in checkpoint.identity.files)
    try:
        config = base_config if adapter and base_config is not None and not renamed else checkpoint.config
        with timed("found the role of each tensor"):
            model_map = map_model(
                config, checkpoint.tensors, adapter=adapter, everything=options.all, spec=options.spec
            )
    except (ConfigError, MappingError) as error:
        where = printable(checkpoint.identity.location, limit=1000)
        raise type(error)(f"{where}: {error.thing}", error.cause, error.hint) from error
    if asked_for():
        _tell_map(model_map)
    return model_map


def _tell_map(model_map: ModelMap) -> None:
    """Which family it is, how that was found, and what became of the tensors."""
    called = printable(model_map.model_type)
    if model_map.spec:
        how = f"by the spec {model_map.spec}"
    elif not model_map.guessed:
        how = f"by the model type {called} of its config"
    else:
        how = f"guessed from names and shapes: {f'the model type {called} is not known' if called else 'no config'}"
        how += f"; nearest known: {', '.join(model_map.nearest)}" if model_map.nearest else ""
    step(f"family {model_map.family}, {how}")
    counts = Counter(entry.status for entry in model_map.coverage)
    told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    step(f"{plural(len(model_map.matrices), 'matrix', 'matrices')} found; tensors: {told}")


@contextmanager
def saying_so(called: str) -> Iterator[None]:
    """Have a ModelError say that it is of the model ``called`` so."""
    try:
        yield
    except ModelError as error:
        raise type(error)(f"{called} {error.thing}", error.cause, error.hint) from error
