"""Files that a loader needs beside the weights, copied from the model that says what the merge is."""

from __future__ import annotations

import json
from pathlib import Path

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.config import AuditConfig
from weightaudit.errors import CheckpointError
from weightaudit.merging.linear.folder import on_disk
from weightaudit.merging.linear.plan import MOST_NAMED
from weightaudit.model_files import parted
from weightaudit.source import open_repository
from weightaudit.source.hub_place import without_revision
from weightaudit.text import listed, printable

CONFIG = "config.json"
BESIDE = (
    *(CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"),
    *("sentencepiece.bpe.model", "preprocessor_config.json", "processor_config.json", "chat_template.jinja"),
    "chat_template.json",
)
"""Files that are copied from the base, or from the first model: what a loader needs beside weights, none of it code."""
MOST_BESIDE = 200_000_000
"""Bytes of such a file, at most."""


def copy_beside(
    model: str, revision: str, folder: Path, config: AuditConfig, dtype: str | None
) -> tuple[tuple[str, ...], list[str]]:
    """Copy `BESIDE` of ``model``, of which a commit was read or, on this machine, "", into ``folder``; what was copied,
    and sentences on what is to be known of it.

    A link that leads out of the model is left out: what it leads to is not the model's to give away.
    """
    name, asked = parted(model)
    repository = open_repository(
        without_revision(name),
        revision=revision or asked,
        token=config.token,
        offline=config.offline,
        download=config.download,
        max_wait=config.max_wait,
    )
    try:
        there = repository.files() if repository.chosen is None else []
        wanted = [one for one in BESIDE if one in there and repository.is_own(one)]
        repository.fetch(wanted)
        for one in wanted:
            source = repository.open(one)
            try:
                data = read_all(source, limit=MOST_BESIDE, error=CheckpointError)
            finally:
                source.close()
            with on_disk(folder / one) as file:
                file.write(_with_dtype(data, dtype) if one == CONFIG and dtype is not None else data)
        repository.check_unchanged()
    finally:
        repository.close()
    notes = []
    if outside := [one for one in BESIDE if one in there and one not in wanted]:
        notes.append(f"Not copied, for it is a link that leads out of the model: {listed(outside, MOST_NAMED)}.")
    if code := [printable(one) for one in there if one.endswith(".py")]:
        notes.append(f"Not copied, for it is code: {listed(code, MOST_NAMED)}. A loader may ask for it.")
    if not wanted:
        notes.append("No config.json or tokenizer was beside the weights: a loader needs them there.")
    return tuple(wanted), notes


def _with_dtype(data: bytes, dtype: str) -> bytes:
    """A config.json that names the dtype in which the weights are now."""
    try:
        said = json.loads(data)
    except ValueError:
        return data
    for key in ("torch_dtype", "dtype"):
        if isinstance(said, dict) and key in said:
            said[key] = dtype
    return (json.dumps(said, indent=2) + "\n").encode()
