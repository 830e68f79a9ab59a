"""Which of a model's GGUF files is meant: one model lies there in many, one for each quantisation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from weightaudit.errors import CheckpointError
from weightaudit.source.base import GGUF, SHARD
from weightaudit.text import printable

NO_MODEL = {
    "mmproj": "the projector of a multimodal model, not the language model",
    "imatrix": "what a quantiser used, no weights",
    "vocab": "a vocabulary, no weights",
}
"""What GGUF files are that are no models, by a word in their names."""
LABEL = re.compile(
    r"(?:^|[-._/])(?P<label>(?:UD-)?(?:I?Q[1-9]_?[A-Z0-9_]*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32))$",
    re.IGNORECASE,
)
"""How the name of a file, without its ending, says its quantisation."""
MAX_LISTED = 30
"""Models listed in a message at most."""
MAX_SIZED = 60
"""Files whose sizes are asked for in all, so many requests where they lie on the Hub."""
SizeOf = Callable[[str], "int | None"]


@dataclass(frozen=True)
class Choice:
    """One model in one or several files: ``first`` is the one to open, ``files`` are all of them."""

    first: str
    files: tuple[str, ...]
    label: str


def no_model(name: str) -> str:
    """What a GGUF file is that is no model by its name; "" where it may be one."""
    words = re.split(r"[-._]", name.rpartition("/")[2].lower())
    # A model that was quantised with the help of an importance matrix may say so in its name too.
    return next(
        (why for word, why in NO_MODEL.items() if word in words and (word == "mmproj" or not label_of(name))), ""
    )


def choices(files: Iterable[str]) -> list[Choice]:
    """The models among the GGUF files, in name order; the shards of one are one."""
    sets: dict[str, list[str]] = {}
    for name in sorted(files):
        if name.endswith(GGUF) and not no_model(name):
            shard = SHARD.fullmatch(name)
            sets.setdefault(f"{shard['stem']}/{shard['count']}" if shard else name, []).append(name)
    return [Choice(names[0], tuple(names), label_of(names[0])) for names in sets.values()]


def label_of(name: str) -> str:
    """The quantisation in a file's name, "" where it names none.

    Example:
        >>> label_of("SmolLM2-135M.Q4_K_M.gguf"), label_of("UD-Q2_K/model-UD-Q2_K-00001-of-00002.gguf")
        ('Q4_K_M', 'UD-Q2_K')
    """
    shard = SHARD.fullmatch(name)
    found = LABEL.search(shard["stem"] if shard else name.removesuffix(GGUF))
    return found["label"].upper() if found else ""


def only_choice(files: Collection[str], *, where: str, size_of: SizeOf) -> str | None:
    """The one model among the GGUF files of a directory; None for none, CheckpointError listing them for several."""
    found = choices(files)
    if len(found) > 1:
        cause = f"it has {len(found)} GGUF models, and nothing says which to take: {_told(found, size_of)}"
        raise CheckpointError(where, cause, _how(where, found))
    return found[0].first if found else None


def only_in_folders(below: Collection[str], *, where: str, size_of: SizeOf) -> None:
    """CheckpointError where there are GGUF models in folders only: that of one is named like that of several."""
    found = choices(below)
    if found:
        cause = f"its GGUF models lie in folders: {_told(found, size_of)}"
        raise CheckpointError(where, cause, _how(where, found))


def by_label(files: Collection[str], label: str, *, where: str, size_of: SizeOf) -> str:
    """The GGUF model of the quantisation ``label`` (``Q4_K_M``, in any case), folders' files among ``files``."""
    found = choices(files)
    if not found:
        raise CheckpointError(where, f"it has no GGUF file, so none of {printable(label)}", "Leave the label out")
    asked = label.upper()
    fitting = [one for one in found if one.label == asked]
    fitting = fitting or [one for one in found if one.label.removeprefix("UD-") == asked]
    if len(fitting) != 1:
        cause = f"{len(fitting) or 'none'} of its GGUF models {'are' if fitting else 'is'} {printable(label)}"
        raise CheckpointError(where, f"{cause}: {_told(fitting or found, size_of)}", _how(where, fitting or found))
    return fitting[0].first


def _told(found: list[Choice], size_of: SizeOf) -> str:
    shown, left = [], MAX_SIZED
    for one in found[:MAX_LISTED]:
        sized = len(one.files) <= left
        left -= len(one.files) if sized else 0
        shown.append(f"{printable(_pattern(one))}{_size(one, size_of) if sized else ''}")
    more = [f"{len(found) - MAX_LISTED} more"] if len(found) > MAX_LISTED else []
    return ", ".join([*shown, *more])


def _pattern(one: Choice) -> str:
    shard = SHARD.fullmatch(one.first)
    return f"{shard['stem']}-*-of-{shard['count']}{GGUF}" if shard else one.first


def _size(one: Choice, size_of: SizeOf) -> str:
    sizes = [size_of(name) for name in one.files]
    total = sum(size or 0 for size in sizes)
    return f" ({total / 1e9:.2f} GB)" if total >= 1e7 else f" ({total:,} bytes)" if all(sizes) else ""


def _how(where: str, found: list[Choice]) -> str:
    """How to name one of them."""
    labels = [one.label for one in found]
    model = where.rstrip("/").split("/", 3)[-1] if where.startswith(("https://", "http://")) else where
    unique = next((label for label in labels if label and labels.count(label) == 1), "")
    by = f"name its quantisation: `weightaudit scan {shlex.quote(f'{model}:{unique}')}`" if unique else ""
    if where == model:
        file = f"name the file: `weightaudit scan {shlex.quote(model.rstrip('/') + '/' + printable(found[0].first))}`"
        return f"{by[:1].upper()}{by[1:]}, or {file}" if by else f"{file[:1].upper()}{file[1:]}"
    return f"{by[:1].upper()}{by[1:]}" if by else "Download the one that is meant, and scan that file"


def shards_of(weights: str, files: Collection[str], *, where: str) -> list[str]:
    """All files of the model whose one file is ``weights``: itself, or the shards that its name counts.

    Raises CheckpointError where some lack.
    """
    shard = SHARD.fullmatch(weights)
    if shard is None:
        return [weights]
    count = int(shard["count"])
    there = {int(one["number"]): one[0] for one in map(SHARD.fullmatch, files) if one and _alike(one, shard)}
    if not 1 <= int(shard["number"]) <= count:
        raise CheckpointError(where, f"{printable(weights)} has a number beyond its count", "Rename it as it was")
    if len(there) < count:
        missing = [number for number in range(1, min(count, len(there) + 5) + 1) if number not in there]
        names = [f"{shard['stem']}-{number:05d}-of-{shard['count']}{GGUF}" for number in missing[:3]]
        more = count - len(there) - len(names)
        told = ", ".join(map(printable, names)) + (f" and {more} more" if more > 0 else "")
        raise CheckpointError(
            where,
            f"{printable(weights)} is one of {count} files of a model, of which lack: {told}",
            f"Get {'it' if count - len(there) == 1 else 'them'} too: the first says what the model is, and each holds "
            "some of its tensors",
        )
    return [there[number] for number in range(1, count + 1)]


def _alike(one: re.Match[str], other: re.Match[str]) -> bool:
    return all(one[part] == other[part] for part in ("stem", "count", "suffix"))
