"""What makes two scans the same scan: the model's bytes, the options that change what is found, this package's
version.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from weightaudit.config import AuditConfig
from weightaudit.errors import ConfigError
from weightaudit.stored import read_plain
from weightaudit.strict_json import parse_value
from weightaudit.version import __version__

ABSENT = "absent"


def cache_key(model: str, state: str, label: str, config: AuditConfig) -> str:
    """The key under which a finished scan is known again. ``state`` is the commit, or `local_state`."""
    parts = [model, state, label, config.result_options(), __version__]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def local_state(path: str, label: str = "") -> str:
    """Sizes and times of the files that a scan of ``path`` may read; `ABSENT` where it cannot be seen from here.

    These are the config, what it names, and what is called like weights, where ``label`` says which also in folders; of
    a model that is one file, that file and the config, and where it is an index or a shard of a GGUF model also the
    shards, which lie beside it.
    """
    from weightaudit.source.base import CONFIG, GGUF, SHARD
    from weightaudit.source.local import local_repository

    folder, chosen = (path, None) if os.path.isdir(path) else os.path.split(path)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ABSENT
    if chosen is not None and not os.path.exists(path):
        return ABSENT
    if label:
        names += local_repository(Path(folder), location=folder).below()
    alone = chosen is not None and not chosen.endswith(".json")
    if alone and (shard := SHARD.fullmatch(str(chosen))) is not None:
        alone = shard["suffix"] != GGUF
    read = {CONFIG, chosen} if alone else {CONFIG, chosen, *filter(_called_like_weights, names), *_named(folder)}
    return json.dumps([_state(folder, name) for name in names if name in read])


def _called_like_weights(name: str) -> bool:
    from weightaudit.model_files import WEIGHT_SUFFIXES

    return name.endswith(WEIGHT_SUFFIXES)


def _named(folder: str) -> set[str]:
    """Every text in the config: some may be files' names, whatever they end in."""
    from weightaudit.source.base import CONFIG, MAX_CONFIG

    try:
        said = parse_value(
            read_plain(os.path.join(folder, CONFIG), limit=MAX_CONFIG, follow=True),
            thing=CONFIG,
            error=ConfigError,
            hint="",
            machine_made=False,
        )
    except (OSError, ConfigError):  # a scan will say so
        return set()
    found, left = set(), [said]
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, (list, dict)):
            left += one if isinstance(one, list) else one.values()
    return found


def _state(folder: str, name: str) -> list[Any]:
    try:
        status = os.stat(os.path.join(folder, name))
    except OSError:  # a broken link, say: one of many files that may not even be read
        return [name, ABSENT]
    return [name, status.st_size, status.st_mtime_ns]
