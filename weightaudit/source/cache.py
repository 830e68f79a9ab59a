"""What the local Hugging Face cache has of a Hub model. Nothing here asks a network or writes.

In ``models--org--name``, ``refs/NAME`` holds the commit that a branch or tag meant, and ``snapshots/COMMIT/FILE`` is a
link to ``blobs/DIGEST``. It is read here and not by the Hub's client, which believes it: a cache may come from a
stranger's archive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from huggingface_hub import constants

from weightaudit.errors import CheckpointError
from weightaudit.model_files import cache_folder_name
from weightaudit.source.base import SHARD, STANDARD_WEIGHTS
from weightaudit.source.names import COMMIT, DATA_SETS
from weightaudit.stored import read_plain
from weightaudit.text import printable

CONFIG = "config.json"
LONGEST_COMMIT = 64
"""Bytes of the longest that `COMMIT` lets through."""
SHARED_BLOBS = "blobs"
"""The folder in the cache in which the Hub's client keeps, once, blobs that several models have."""


def model_folder(model: str) -> Path:
    """Where the cache has, or would have, the Hub model with this id; a data set's has `DATA_SETS` before it."""
    is_data_set = model.startswith(DATA_SETS) and model.count("/") == 2
    return Path(constants.HF_HUB_CACHE, model.replace("/", "--") if is_data_set else cache_folder_name(model))


def is_inside(path: Path, folder: Path) -> bool:
    """Whether ``path``, its links followed, is the model's ``folder`` in the cache or in it.

    The folder may be a link itself, to another disk say: it is the user's.
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def is_own(path: Path, folder: Path) -> bool:
    """Whether ``path``, its links followed, is in the model's ``folder``, or a blob that several models have."""
    return is_inside(path, folder) or is_inside(path, Path(constants.HF_HUB_CACHE, SHARED_BLOBS))


def commit_noted(ref: Path) -> str | None:
    """The commit that the file ``ref`` of a cache names; None where there is none, or it is no commit."""
    try:
        said = read_plain(ref, limit=LONGEST_COMMIT, follow=True).decode("ascii")
    except (OSError, ValueError):
        return None
    return said if re.fullmatch(COMMIT, said) else None


def cached_file(models: Iterable[str], commit: str, name: str) -> Path | None:
    """That file of that commit, if the cache has it under one of the ids ``models``.

    CheckpointError where a link leads from there to what is not the model's: see `is_own`.
    """
    for folder in map(model_folder, models):
        path = folder / "snapshots" / commit / name
        if os.path.isfile(path):
            if not is_own(path, folder):
                raise CheckpointError(
                    printable(str(path), limit=1000),
                    "a link leads it out of the model's folder in the Hugging Face cache, to "
                    + printable(os.path.realpath(path), limit=1000),
                    "Remove the link and download the model again; if it is meant, scan that directory by its path",
                )
            return path
    return None


def cached_snapshot(model: str, revision: str | None) -> Path | None:
    """The cached folder of that revision, if the cache has any file of the model that a scan reads.

    A revision that is a commit is that commit, whatever the cache notes under its name.
    """
    folder = model_folder(model)
    named = revision or "main"
    commit = named if re.fullmatch(COMMIT, named) else commit_noted(folder / "refs" / named)
    if commit is None:
        return None
    snapshot = folder / "snapshots" / commit
    names = (CONFIG, *(name for pair in STANDARD_WEIGHTS for name in pair))
    there = any(os.path.isfile(snapshot / name) for name in names) or next(snapshot.glob("*.gguf"), None) is not None
    return snapshot if there else None


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
