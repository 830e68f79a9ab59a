"""config.json: what the model says of itself."""

from __future__ import annotations

from typing import Any

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import ConfigError
from weightaudit.source import Repository
from weightaudit.source.base import CONFIG as CONFIG
from weightaudit.source.base import MAX_CONFIG
from weightaudit.strict_json import parse_object
from weightaudit.text import printable


def read_config(repository: Repository) -> dict[str, Any] | None:
    """The model's config.json as it stands; None where there is none. Raises ConfigError if it is no JSON object."""
    if CONFIG not in repository.files():
        return None
    source = repository.open(CONFIG)
    try:
        data = read_all(source, limit=MAX_CONFIG, error=ConfigError)
    finally:
        source.close()
    hint = "Get the model's own config.json again"
    return parse_object(data, thing=source.label, error=ConfigError, hint=hint, machine_made=False)


def check_config(repository: Repository, config: dict[str, Any] | None, weights: str) -> None:
    """ConfigError where a whole model, whose weight file or index is ``weights``, has no config.json."""
    if config is None and repository.chosen is None:
        hint = "Put the model's config.json beside the weights"
        if weights in repository.files():  # an index that lacks cannot be named
            hint += f", or name {printable(weights)} itself to map it by tensor names alone"
        raise ConfigError(printable(repository.location, limit=1000), "it has weights but no config.json", hint)
