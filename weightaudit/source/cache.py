"""What the local Hugging Face cache has of a Hub model. Nothing here asks a network or writes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from weightaudit.source.base import SHARD, STANDARD_WEIGHTS
from weightaudit.source.names import COMMIT

CONFIG = "config.json"


def cached_file(models: Iterable[str], commit: str, name: str) -> Path | None:
    """That file of that commit, if the cache has it under one of the ids ``models``."""
    return next((found for model in models if (found := _found(model, name, commit)) is not None), None)


def cached_snapshot(model: str, revision: str | None) -> Path | None:
    """The cached folder of that revision, if the cache has any file of the model that a scan reads."""
    for name in (CONFIG, *(name for pair in STANDARD_WEIGHTS for name in pair)):
        found = _found(model, name, revision)
        if found is not None:
            # The folder's name becomes the model's revision in every output; the Hub's client takes any for a commit.
            return found.parent if re.fullmatch(COMMIT, found.parent.name) else None
    return None


def _found(model: str, name: str, revision: str | None) -> Path | None:
    try:
        found = try_to_load_from_cache(model, name, revision=revision)
    except (OSError, ValueError):  # a ref that is no text or not to be read is as good as none
        return None
    return Path(found) if isinstance(found, str) else None


def is_whole(names: Collection[str]) -> bool:
    """Whether these files are a config and all of the weights that would be chosen among them.

    Shards are counted by their names, which say how many there are; what is named otherwise is not taken for whole.
    """
    if CONFIG not in names:
        return False
    for single, index in STANDARD_WEIGHTS:
        if single in names:
            return True
        if index in names:
            return _has_all_shards(names, index)
    return False


def _has_all_shards(names: Collection[str], index: str) -> bool:
    stem, suffix = index.removesuffix(".index.json").rsplit(".", 1)
    shards = [found for name in names if (found := SHARD.fullmatch(name))]
    ours = [shard for shard in shards if shard["stem"] == stem and shard["suffix"] == f".{suffix}"]
    return any(sum(shard["count"] == other["count"] for shard in ours) == int(other["count"]) for other in ours)
