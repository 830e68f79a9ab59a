"""Which of a model's files hold its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable

from weightaudit.errors import CheckpointError, printable
from weightaudit.source import Repository

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
# transformers' own order (its _get_resolved_checkpoint_files): the single file wins over the index.
STANDARD = ("model" + SUFFIX, "model" + INDEX_SUFFIX)
ADAPTER = "adapter_model" + SUFFIX
SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.safetensors")
OTHER_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack")
# Written by trainers beside the weights.
NOT_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state).*\.(bin|pt|pth)")
CONVERT = "This version reads safetensors: load the model in transformers and save it with save_pretrained"


def is_index(name: str) -> bool:
    """Whether ``name`` is that of a shard index."""
    return name.endswith(INDEX_SUFFIX)


def select_weights(repository: Repository) -> str:
    """The one weight file of ``repository``, or the index of its shards.

    The file that the user named; else model.safetensors; else model.safetensors.index.json; else the only
    other safetensors file or index. Adapters count only when named. Raises CheckpointError saying what was
    found instead.
    """
    where = printable(repository.location, limit=1000)
    if repository.chosen is not None:
        if repository.chosen.endswith(OTHER_SUFFIXES):
            raise CheckpointError(where, "it is not a safetensors file", CONVERT)
        if repository.chosen.endswith(".json") and not is_index(repository.chosen):
            raise CheckpointError(where, "it is not a weight file", "Name a weight file or the model's directory")
        return repository.chosen
    return choose(repository.files(), where=where)


def choose(files: Iterable[str], *, where: str) -> str:
    """`select_weights` among the names ``files``; ``where`` names their place in messages."""
    files = sorted(files)
    for name in STANDARD:
        if name in files:
            return name
    indexes = [name for name in files if is_index(name)]
    stems = {name.removesuffix(INDEX_SUFFIX) for name in indexes}
    whole: list[str] = []
    orphans: list[str] = []
    for name in files:
        if name.endswith(SUFFIX) and name != ADAPTER:
            shard = SHARD.fullmatch(name)
            if shard is None:
                whole.append(name)
            elif shard["stem"] not in stems:
                orphans.append(name)
    candidates = indexes + whole + orphans
    if len(candidates) == 1 and not orphans:
        return candidates[0]
    if orphans and len(orphans) == len(candidates):
        stem = SHARD.fullmatch(orphans[0])["stem"]  # type: ignore[index]  # it matched above
        raise CheckpointError(
            where,
            f"it has shards ({_some(orphans)}) but not their index {printable(stem + INDEX_SUFFIX)}",
            "Download the index too, or name one shard to look at it alone",
        )
    if candidates:
        raise CheckpointError(
            where,
            f"it has several weight files and none is called {STANDARD[0]}: {_some(candidates)}",
            "Name the one that is meant",
        )
    _no_safetensors(files, where)
    raise CheckpointError(
        where,
        f"no weights found: looked for {STANDARD[0]}, {STANDARD[1]} or another *{SUFFIX} file",
        "Check that this is the model's own directory; folders inside it are not searched",
    )


def _no_safetensors(files: list[str], where: str) -> None:
    if ADAPTER in files:
        raise CheckpointError(
            where, f"it has only an adapter ({ADAPTER})", f"Scan the base model, or name {ADAPTER} itself"
        )
    others = [name for name in files if name.endswith(OTHER_SUFFIXES) and not NOT_WEIGHTS.fullmatch(name)]
    if others:
        raise CheckpointError(where, f"its weights are not in safetensors files: {_some(others)}", CONVERT)


def _some(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
