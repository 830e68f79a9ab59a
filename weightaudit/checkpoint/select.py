"""Which of a model's files hold its weights.

The file that the user names is taken. Of a directory or Hub repository only the top level is looked at: folders
(``original/``, ``onnx/``, ``checkpoint-500/``) are never entered. There the first of these is taken, 1 and 2 as
transformers does:

1. what config.json names as ``transformers_weights``;
2. ``model.safetensors``; ``model.safetensors.index.json`` with its shards; ``pytorch_model.bin``;
   ``pytorch_model.bin.index.json`` with its shards;
3. the only other safetensors file or index;
4. the only other ``*.bin``, ``*.pt`` or ``*.pth`` file, or ``*.bin`` index;
5. the only ``consolidated*`` file. These repeat the other weights, under other names, so any of the above comes first.

Where 3, 4 or 5 find several, the user has to say which. Skipped as no weights of the model: adapters
(``adapter_model.*``) and what trainers leave beside them (``training_args``, ``optimizer``, ``scheduler``, ``scaler``,
``rng_state``). They are read when named, if they hold nothing but tensors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from weightaudit.checkpoint.index import SUFFIXES as INDEX_SUFFIXES
from weightaudit.checkpoint.index import is_index, shards_without_index
from weightaudit.checkpoint.loaders import named_weights
from weightaudit.errors import CheckpointError
from weightaudit.records import SkippedFile
from weightaudit.source import Repository
from weightaudit.source.base import SHARD, STANDARD_WEIGHTS
from weightaudit.text import listed, printable

SAFETENSORS, TORCH = (".safetensors",), (".bin", ".pt", ".pth")
# transformers' own order (its _get_resolved_checkpoint_files): the single file wins over the index.
STANDARD = dict(zip((SAFETENSORS, TORCH), STANDARD_WEIGHTS, strict=True))
UNREAD = (".gguf", ".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".npz")
ADAPTER = re.compile(r"adapter_model\..*")
TRAINING = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state).*\.(bin|pt|pth)")
CONSOLIDATED = re.compile(r"consolidated.*")
CONVERT = "Safetensors and PyTorch files are read: load the model in transformers and save it with save_pretrained"
MAX_NAMED = 5
"""Names told one by one in a message."""


def select_weights(repository: Repository, config: Mapping[str, Any] | None) -> str:
    """The one weight file of ``repository``, whose config.json is ``config``, or the index of its shards.

    Where the shards are all there and only their index is not, its name is given all the same.

    Raises CheckpointError saying what was found instead.
    """
    where = printable(repository.location, limit=1000)
    if repository.chosen is None:
        files = repository.files()
        return named_weights(config, files, where=where) or choose(files, where=where)
    if repository.chosen.endswith(UNREAD):
        raise CheckpointError(where, "its format is not read here", CONVERT)
    if repository.chosen.endswith(".json") and not is_index(repository.chosen):
        raise CheckpointError(where, "it is not a weight file", "Name a weight file or the model's directory")
    return repository.chosen


def choose(files: Iterable[str], *, where: str) -> str:
    """`select_weights` among the names ``files`` alone; ``where`` names their place in messages."""
    files = sorted(files)
    for names in STANDARD_WEIGHTS:
        for name in names:
            if name in files:
                return name
    for suffixes in (SAFETENSORS, TORCH):
        if (taken := _only_other(files, suffixes, where)) is not None:
            return taken
    consolidated = [name for name in files if CONSOLIDATED.fullmatch(name) and name.endswith(SAFETENSORS + TORCH)]
    if len(consolidated) == 1:
        return consolidated[0]
    if consolidated:
        raise _several(consolidated, where)
    raise _nothing(files, where)


def skipped_files(files: Iterable[str], weights: str, opened: Collection[str]) -> tuple[SkippedFile, ...]:
    """The other weight files among ``files`` and why they were not taken; ``opened`` are ``weights`` and its shards.

    The shards of one set are told in one line.
    """
    told: dict[str, str] = {}
    for name in sorted(files):
        if name not in opened and (is_index(name) or name.endswith((*SAFETENSORS, *TORCH, ".ckpt", *UNREAD))):
            shard = SHARD.fullmatch(name)
            shown = f"{shard['stem']}-*-of-{shard['count']}{shard['suffix']}" if shard else name
            told.setdefault(shown, _why_not(name, weights))
    return tuple(SkippedFile(name, why) for name, why in told.items())


def _why_not(name: str, weights: str) -> str:
    if ADAPTER.fullmatch(name):
        return "an adapter, not the model's own weights"
    if TRAINING.fullmatch(name):
        return "left by a trainer, no weights of the model"
    if CONSOLIDATED.fullmatch(name):
        return "consolidated weights are taken only where there are no others"
    if name.endswith((".ckpt", *UNREAD)):
        return "its format is not read here"
    if name.endswith((*TORCH, INDEX_SUFFIXES[1])) and weights.endswith((*SAFETENSORS, INDEX_SUFFIXES[0])):
        return "safetensors come first"
    return f"{printable(weights)} comes first"


def _only_other(files: list[str], suffixes: tuple[str, ...], where: str) -> str | None:
    """The one file or index of a format with a name of its own; None where there is none."""
    standard = STANDARD[suffixes][0]
    ending = standard[standard.rindex(".") :] + ".index.json"
    indexes = [name for name in files if name.endswith(ending)]
    stems = {name.removesuffix(ending) for name in indexes}
    whole: list[str] = []
    orphans: list[str] = []
    for name in _own_weights(files, suffixes):
        shard = SHARD.fullmatch(name)
        if shard is None:
            whole.append(name)
        elif shard["stem"] not in stems:
            orphans.append(name)
    candidates = indexes + whole + orphans
    if not candidates:
        return None
    if len(candidates) == 1 and not orphans:
        return candidates[0]
    if len(orphans) < len(candidates):
        raise _several(candidates, where)
    index = SHARD.sub(r"\g<stem>", orphans[0]) + ending
    if shards_without_index(index, orphans) == orphans:
        return index
    raise CheckpointError(
        where,
        f"it has shards ({_some(orphans)}), but neither all of one set nor their index {printable(index)}",
        "Download the others too, or name one shard to look at it alone",
    )


def _own_weights(files: Iterable[str], suffixes: tuple[str, ...]) -> Iterator[str]:
    for name in files:
        if name.endswith(suffixes) and not any(rule.fullmatch(name) for rule in (ADAPTER, TRAINING, CONSOLIDATED)):
            yield name


def _several(names: list[str], where: str) -> CheckpointError:
    return CheckpointError(
        where,
        f"it has several weight files and none has a name that says which to take: {_some(names)}",
        "Name the one that is meant",
    )


def _nothing(files: list[str], where: str) -> CheckpointError:
    adapters = [name for name in files if ADAPTER.fullmatch(name) and name.endswith(SAFETENSORS + TORCH)]
    if adapters:
        return CheckpointError(
            where, f"it has only an adapter ({_some(adapters)})", "Scan the base model, or name the adapter itself"
        )
    others = [name for name in files if name.endswith((".ckpt", *UNREAD))]
    if others:
        return CheckpointError(where, f"its weights are in no format that is read here: {_some(others)}", CONVERT)
    return CheckpointError(
        where,
        "no weights found: looked for model.safetensors, pytorch_model.bin, their indexes, and other files of their "
        "formats",
        "Check that this is the model's own directory; folders inside it are not searched",
    )


def _some(names: list[str]) -> str:
    return listed(map(printable, names), MAX_NAMED)
