"""A model in GGUF files: its one file, or its shards, as tensors and a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weightaudit.checkpoint.formats.gguf import GgufFile, with_scales
from weightaudit.checkpoint.gguf_config import ARCHITECTURE, gguf_config
from weightaudit.checkpoint.gguf_tensors import as_named, notes_of, refuse_other_kinds
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.text import printable

NOT_TOGETHER = "The files do not belong together, or a download is incomplete: get all of them again"


@dataclass(frozen=True)
class GgufModel:
    """What the headers of a model's files say together: ``tensors`` by name, ``config`` and ``notes``."""

    tensors: dict[str, TensorInfo]
    config: dict[str, Any]
    notes: tuple[str, ...]


def gguf_model(files: Mapping[str, GgufFile]) -> GgufModel:
    """The model in ``files``, in their order, by what messages call each.

    Raises CheckpointError where they are no model or do not belong together, ConfigError where the first does not say
    the model's sizes.
    """
    label, header = next(iter(files.items()))
    refuse_other_kinds(label, header)
    stored = stored_together(files)
    tensors = with_scales([stored[name] for name in sorted(stored)])
    config = gguf_config(label, header, {info.name: info for info in tensors})
    named = sorted(as_named(header, tensors, config), key=lambda info: info.name)
    return GgufModel({info.name: info for info in named}, config, notes_of(header, stored.values()))


def stored_together(files: Mapping[str, GgufFile]) -> dict[str, TensorInfo]:
    """What ``files``, in their order, hold, by name; CheckpointError where they are not just those that each says."""
    _check_split(files)
    stored: dict[str, TensorInfo] = {}
    for name, file in files.items():
        for info in file.tensors:
            if (known := stored.setdefault(info.name, info)) is not info:
                cause = f"tensor '{printable(info.name)}' is in {printable(known.file)} too"
                raise CheckpointError(name, cause, NOT_TOGETHER)
    return stored


def _check_split(files: Mapping[str, GgufFile]) -> None:
    """CheckpointError where the files are not just those that each says."""
    headers: Sequence[tuple[str, GgufFile]] = list(files.items())
    first = headers[0][1]
    for no, (label, header) in enumerate(headers):
        split = header.split
        if split is None:
            if len(headers) > 1:
                raise CheckpointError(
                    label, "its name says that it is one of several files, its header does not", NOT_TOGETHER
                )
            return
        if (split.no, split.count) != (no, len(headers)):
            said = f"its header says that it is file {split.no + 1} of {split.count}"
            if len(headers) == 1:
                hint = "Give the files their names back: NAME-00001-of-00003.gguf and so on, and name the first"
                raise CheckpointError(label, f"{said}, its name does not", hint)
            raise CheckpointError(label, f"{said}, its name that it is {no + 1} of {len(headers)}", NOT_TOGETHER)
        if first.split is not None and split.tensors != first.split.tensors:
            cause = f"its header counts {split.tensors} tensors in all files, that of the first {first.split.tensors}"
            raise CheckpointError(label, cause, NOT_TOGETHER)
        for key in (ARCHITECTURE, "general.name"):
            own, theirs = header.values.get(key), first.values.get(key)
            if own is not None and own != theirs:
                shown = f"{printable(repr(own), 100)}, that of the first file {printable(repr(theirs), 100)}"
                raise CheckpointError(label, f"its header says {key} {shown}", NOT_TOGETHER)
    if first.split is not None and first.split.tensors is not None:
        there = sum(len(header.tensors) for _, header in headers)
        if there != first.split.tensors:
            cause = f"its header counts {first.split.tensors} tensors in all files, they have {there}"
            raise CheckpointError(headers[0][0], cause, NOT_TOGETHER)
