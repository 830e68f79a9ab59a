"""Which of a model's files hold its weights.

The file that the user names is taken. Of a directory or Hub repository only the top level is looked at: folders
(``original/``, ``onnx/``, ``checkpoint-500/``) are not entered for them. There the first of these is taken, 1 and 2 as
transformers does:

1. what config.json names as ``transformers_weights``;
2. ``model.safetensors``; ``model.safetensors.index.json`` with its shards; ``pytorch_model.bin``;
   ``pytorch_model.bin.index.json`` with its shards;
3. the only other safetensors file or index;
4. the only other ``*.bin``, ``*.pt``, ``*.pth`` or ``*.ckpt`` file, or ``*.bin`` index;
5. the only ``consolidated*`` file, or the first of Llama's parts (`parallel`). These repeat the other weights, under
   other names, so any of the above comes first;
6. the only GGUF model, in one file or in shards (`gguf_names`);
7. an adapter: ``adapter_model.*`` of PEFT or ``pytorch_lora_weights.*`` of diffusers, safetensors first.

Where 3 to 6 find several, the user has to say which. Skipped as no weights of the model: adapters beside it and what
trainers leave beside them (``training_args``, ``optimizer``, ``scheduler``, ``scaler``, ``rng_state``). They are read
when named, if they hold nothing but tensors.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from weightaudit.checkpoint.gguf_names import by_label, no_model, only_choice, only_in_folders
from weightaudit.checkpoint.index import SUFFIXES as INDEX_SUFFIXES
from weightaudit.checkpoint.index import is_index, shards_without_index
from weightaudit.checkpoint.loaders import named_weights
from weightaudit.checkpoint.parallel import may_be_joined, part_error, parts_of
from weightaudit.errors import CheckpointError
from weightaudit.records import SkippedFile
from weightaudit.source import Repository
from weightaudit.source.base import GGUF, SHARD, STANDARD_WEIGHTS
from weightaudit.text import listed, printable

SAFETENSORS, TORCH = (".safetensors",), (".bin", ".pt", ".pth", ".ckpt")
# transformers' own order (its _get_resolved_checkpoint_files): the single file wins over the index.
STANDARD = dict(zip((SAFETENSORS, TORCH), STANDARD_WEIGHTS, strict=True))
ORIGINAL = "Scan the safetensors or PyTorch files of the model that it was made from"
_BY_AN_OLD_VERSION = "Scan the model's safetensors or PyTorch files; where it has none, transformers 4 makes them: "
UNREAD = {
    ".h5": f"{_BY_AN_OLD_VERSION}from_pretrained(..., from_tf=True), then save_pretrained",
    ".msgpack": f"{_BY_AN_OLD_VERSION}from_pretrained(..., from_flax=True), then save_pretrained",
    ".onnx": ORIGINAL,
    ".ot": ORIGINAL,
    ".tflite": ORIGINAL,
    ".npz": ORIGINAL,
}
"""Formats that are not read here, and what to do."""
ADAPTER = re.compile(r"(?:adapter_model|pytorch_lora_weights)\..*")
TRAINING = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state).*\.(bin|pt|pth|ckpt)")
CONSOLIDATED = re.compile(r"consolidated.*")
MAX_FOLDER = 300
"""Characters of a folder in a command that is shown."""
MAX_NAMED = 5
"""Names told one by one in a message."""


def select_weights(repository: Repository, config: Mapping[str, Any] | None) -> str:
    """The one weight file of ``repository``, whose config.json is ``config``, or the index of its shards.

    Where the shards are all there and only their index is not, its name is given all the same.

    Raises CheckpointError saying what was found instead.
    """
    where = printable(repository.location, limit=1000)
    if repository.label:
        files = [*repository.files(), *repository.below()]
        return by_label(files, repository.label, where=where, size_of=repository.size_of)
    if repository.chosen is None:
        files = repository.files()
        named = named_weights(config, files, where=where)
        return named or choose(files, where=where, below=repository.below, size_of=repository.size_of)
    if advice := _advice(repository.chosen):
        raise CheckpointError(where, "its format is not read here", advice)
    _refuse_part(repository.chosen, repository.files(), where=where)
    if repository.chosen.endswith(".json") and not is_index(repository.chosen):
        raise CheckpointError(where, "it is not a weight file", "Name a weight file or the model's directory")
    return repository.chosen


def choose(
    files: Iterable[str],
    *,
    where: str,
    below: Callable[[], list[str]] = list,
    size_of: Callable[[str], int | None] = lambda path: None,
) -> str:
    """`select_weights` among the names ``files`` alone; ``where`` names their place in messages.

    ``below`` gives the paths of files in folders, for advice where there are no weights, ``size_of`` the bytes of a
    file, for that among several.
    """
    files = sorted(files)
    for names in STANDARD_WEIGHTS:
        for name in names:
            if name in files:
                return name
    parts = [name for name in files if len(_parts(name, files)) > 1]
    for suffixes in (SAFETENSORS, TORCH):
        if (taken := _only_other([name for name in files if name not in parts], suffixes, where)) is not None:
            return taken
    for name in parts:
        _refuse_part(name, files, where=where)
    if parts:
        return parts[0]
    consolidated = [name for name in files if CONSOLIDATED.fullmatch(name) and name.endswith(SAFETENSORS + TORCH)]
    if len(consolidated) == 1:
        return consolidated[0]
    if consolidated:
        raise _several(consolidated, where)
    if (gguf := only_choice(files, where=where, size_of=size_of)) is not None:
        return gguf
    adapters = sorted(filter(is_adapter, files), key=lambda name: not name.endswith(SAFETENSORS))
    if adapters:
        return adapters[0]
    inside = below()
    if not any(name.endswith(SAFETENSORS + TORCH) for name in (*files, *inside)):
        only_in_folders(inside, where=where, size_of=size_of)
    raise _nothing(files, where, inside)


def is_adapter(name: str) -> bool:
    """Whether a file of that name holds an adapter to a model."""
    return ADAPTER.fullmatch(name) is not None and name.endswith(SAFETENSORS + TORCH)


def skipped_files(files: Iterable[str], weights: str, opened: Collection[str]) -> tuple[SkippedFile, ...]:
    """The other weight files among ``files`` and why they were not taken; ``opened`` are ``weights`` and its shards.

    The shards of one set are told in one line.
    """
    told: dict[str, str] = {}
    for name in sorted(files):
        if name not in opened and (is_index(name) or name.endswith((*SAFETENSORS, *TORCH, GGUF, *UNREAD))):
            shard = SHARD.fullmatch(name)
            shown = f"{shard['stem']}-*-of-{shard['count']}{shard['suffix']}" if shard else name
            told.setdefault(shown, _why_not(name, weights))
    return tuple(SkippedFile(name, why) for name, why in told.items())


def _why_not(name: str, weights: str) -> str:
    if ADAPTER.fullmatch(name) and not is_adapter(weights):
        return "an adapter, not the model's own weights"
    if TRAINING.fullmatch(name):
        return "left by a trainer, no weights of the model"
    if CONSOLIDATED.fullmatch(name):
        return "consolidated weights are taken only where there are no others"
    if name.endswith(GGUF) and (why := no_model(name)):
        return f"no model: {why}"
    if name.endswith(GGUF) and weights.endswith(GGUF):
        return "another quantisation or model; one is read at a time"
    if name.endswith(tuple(UNREAD)):
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


def _advice(name: str) -> str:
    """What to do about a file in a format that is not read; "" for the others."""
    return next((advice for suffix, advice in UNREAD.items() if name.endswith(suffix)), "")


def _parts(name: str, files: Iterable[str]) -> list[str]:
    """As `parts_of`; [] for what a trainer leaves beside a model, too."""
    return [] if TRAINING.fullmatch(name) else parts_of(name, files)


def _refuse_part(name: str, files: Iterable[str], *, where: str) -> None:
    """CheckpointError where ``name`` is one of several parts that are not joined."""
    parts = _parts(name, files)
    if len(parts) > 1 and not may_be_joined(parts):
        raise part_error(name, parts, where)


def _nothing(files: list[str], where: str, below: list[str]) -> CheckpointError:
    no_models = [name for name in files if name.endswith(GGUF)]
    if no_models:
        told = listed((f"{printable(name)} ({no_model(name)})" for name in no_models), MAX_NAMED)
        return CheckpointError(where, f"its GGUF files are no models: {told}", "Name the directory of the model itself")
    others = [name for name in files if _advice(name)]
    if others:
        cause = f"its weights are in no format that is read here: {_some(others)}"
        return CheckpointError(where, cause, _advice(others[0]))
    cause = (
        "no weights found: looked for model.safetensors, pytorch_model.bin, their indexes, and other files of their "
        "formats"
    )
    if folders := _folders_with_weights(below):
        return CheckpointError(
            where, f"no weights found at its top, but in folders of it: {_some(folders)}", _scan(where, folders[0])
        )
    return CheckpointError(where, cause, "Check that this is the model's own directory")


def _folders_with_weights(below: Iterable[str]) -> list[str]:
    """Folders that have weights of their own; the one that was saved last first, as far as numbers tell."""
    folders: dict[str, list[str]] = {}
    for path in below:
        folder, _, name = path.rpartition("/")
        if name.endswith(SAFETENSORS + TORCH) and not TRAINING.fullmatch(name):
            folders.setdefault(folder, []).append(name)

    def order(folder: str) -> tuple[int, str]:
        number = re.search(r"(?:checkpoint|step|epoch|global_step)[-_=]?(\d{1,18})", folder)
        return (-int(number[1]) if number else 0, folder)

    return sorted(folders, key=order)


def _scan(where: str, folder: str) -> str:
    """The command that scans ``folder`` of ``where``, if it can be shown as it is to be typed."""
    if printable(folder, MAX_FOLDER) != folder:
        return "Scan one of them"
    if where.startswith(("https://", "http://")):
        model = where.rstrip("/").split("/", 3)[-1]
        command = f"hf download {shlex.quote(model)} --include {shlex.quote(f'{folder}/*')} --local-dir MODEL"
        return f"Download it and scan that: `{command}`, then `weightaudit scan {shlex.quote(f'MODEL/{folder}')}`"
    return f"Scan one of them: `weightaudit scan {shlex.quote(os.path.join(where, *folder.split('/')))}`"


def _some(names: list[str]) -> str:
    return listed(map(printable, names), MAX_NAMED)
