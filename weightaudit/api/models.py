"""What a program may hand in as a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from weightaudit.audit.opening import AnyModel
from weightaudit.checkpoint import Checkpoint
from weightaudit.errors import UsageError

if TYPE_CHECKING:
    import torch

Model: TypeAlias = Union[str, os.PathLike[str], "torch.nn.Module", Mapping[str, Any], Checkpoint]
"""A path, a Hub id, a module, a state dict, or a checkpoint that is open."""


def as_model(model: Model, model_config: object = None) -> AnyModel:
    """``model`` as the rooms below take it; ``model_config`` is that of a model in memory. UsageError for what is
    none, or a ``model_config`` beside files that have their own.
    """
    if isinstance(model, (str, os.PathLike, Checkpoint)):
        if model_config is not None:
            raise UsageError("model_config", "the files of this model have a config of their own", "Leave it out")
        return model if isinstance(model, Checkpoint) else os.fspath(model)
    from weightaudit.source.live import held_model

    return held_model(model, model_config)


def as_list(models: Any, *, what: str) -> list[Any]:
    """``models`` as a list. UsageError for a single one: a name would be taken letter by letter."""
    from weightaudit.records import Reported

    if isinstance(models, (str, os.PathLike, Mapping, Checkpoint, Reported)) or not isinstance(models, Iterable):
        raise UsageError(what, f"a {type(models).__name__} is no list of models", "Write [first, second]")
    return list(models)
