"""config.json: what the model says of itself."""

from __future__ import annotations

from typing import Any

from weightaudit.checkpoint.read_all import read_all
from weightaudit.errors import ConfigError, printable
from weightaudit.source import Repository
from weightaudit.strict_json import parse_object

CONFIG = "config.json"
MAX_CONFIG = 10_000_000
"""Bytes; real ones have some thousand."""


def read_config(repository: Repository) -> dict[str, Any] | None:
    """The model's config.json as it stands; None for a single file without one beside it.

    Raises ConfigError where a whole model has none, or where it is not a JSON object.
    """
    if CONFIG not in repository.files():
        if repository.chosen is not None:
            return None
        raise ConfigError(
            printable(repository.location, limit=1000),
            "it has weights but no config.json",
            "Put the model's config.json beside the weights, or name a single weight file to map it by "
            "tensor names alone",
        )
    source = repository.open(CONFIG)
    try:
        data = read_all(source, limit=MAX_CONFIG, error=ConfigError)
    finally:
        source.close()
    hint = "Get the model's own config.json again"
    return parse_object(data, thing=source.label, error=ConfigError, hint=hint, machine_made=False)
