"""Models split over devices: several files, each of which holds a part of every matrix.

Joined is what Llama's own code saves, ``consolidated.00.pth`` and so on, since its names say along which dimension each
matrix was cut (Megatron's layout: what a device makes of its rows of Q, K, V and M1 it puts into its own columns of O
and M2). Any other is refused: no norm or spectrum of a part is the model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from weightaudit.checkpoint.codecs.joined import joined
from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import CheckpointError, ConfigError
from weightaudit.records import TensorInfo
from weightaudit.source import Repository
from weightaudit.source.base import MAX_CONFIG
from weightaudit.strict_json import parse_object
from weightaudit.text import listed, plural, printable

PARTS = (
    re.compile(r"(?P<before>consolidated\.)(?P<number>\d{2})(?P<after>\.(?:pth|safetensors))"),
    re.compile(r"(?P<before>mp_rank_)(?P<number>\d{2})(?P<after>_model_states\.pt)"),
    re.compile(r"(?P<before>model)(?P<number>\d+)(?P<after>-mp\d+\.safetensors)"),
    re.compile(r"(?P<before>.*rank_?)(?P<number>\d+)(?P<after>.*\.(?:safetensors|bin|pt|pth|ckpt))"),
)
"""Names of the parts that model or tensor parallelism saves: Llama's, DeepSpeed's, DeepSeek's, and those of a rank."""
LLAMA = PARTS[0]
ROWS = re.compile(r"(?:layers\.\d+\.(?:attention\.w[qkv]|feed_forward\.w[13])|output)\.weight")
COLUMNS = re.compile(r"layers\.\d+\.(?:attention\.wo|feed_forward\.w2)\.weight")
KEYS_AND_VALUES = re.compile(r"layers\.\d+\.attention\.w[kv]\.weight")
TABLE = "tok_embeddings.weight"
NORM = "norm.weight"
"""As wide as the model, and whole in every part: it says along which dimension the table was cut."""
SETTINGS = "params.json"
"""What Llama's code writes beside the parts."""
WHOLE_MODEL = (
    "Scan the model in one piece (its publisher's own script joins the parts; on the Hub it is often the repository "
    "that ends in -hf)"
)
MAX_NAMED = 5


def parts_of(name: str, files: Iterable[str]) -> list[str]:
    """The parts among ``files`` of the split model that ``name`` is a part of; [] where it is none by its name."""
    for pattern in PARTS:
        own = pattern.fullmatch(name)
        if own is not None:
            found = filter(None, map(pattern.fullmatch, sorted(files)))
            return [one[0] for one in found if (one["before"], one["after"]) == (own["before"], own["after"])]
    return []


def may_be_joined(parts: Sequence[str]) -> bool:
    """Whether ``parts``, in the order of their names, are all of a model that Llama's code saved, by these names."""
    numbers = [int(found["number"]) for found in map(LLAMA.fullmatch, parts) if found is not None]
    return len(parts) > 1 and numbers == list(range(len(parts)))


def kv_heads(repository: Repository) -> int | None:
    """How many heads keys and values have, as the file beside the parts says; None where it does not."""
    if SETTINGS not in repository.files():
        return None
    source = repository.open(SETTINGS)
    try:
        data = read_all(source, limit=MAX_CONFIG, error=ConfigError)
    finally:
        source.close()
    hint = f"Get the model's own {SETTINGS} again"
    said = parse_object(data, thing=source.label, error=ConfigError, hint=hint, machine_made=False)
    heads = said.get("n_kv_heads", said.get("n_heads"))
    return heads if isinstance(heads, int) and not isinstance(heads, bool) and heads > 0 else None


def part_error(name: str, parts: Sequence[str], where: str, why: str = "") -> CheckpointError:
    """What to tell of ``name``, one of ``parts`` that are not joined."""
    shown = listed(map(printable, parts), MAX_NAMED)
    cause = f"{printable(name)} is 1 of {len(parts)} parts of a model split over devices ({shown})"
    if why:
        return CheckpointError(where, f"{cause}, which do not fit each other: {why}", WHOLE_MODEL)
    says = "each holds a part of every matrix, and no norm or spectrum of a part is the model's"
    return CheckpointError(where, f"{cause}: {says}", WHOLE_MODEL)


def join(held: Sequence[Sequence[TensorInfo]], heads: int | None = None) -> list[TensorInfo]:
    """The model's tensors, of which ``held`` has those of each part, in order, and whose keys have ``heads`` heads.

    ValueError with the cause for parts that are not Llama's, or not of one model.
    """
    by_name = [{info.name: info for info in tensors} for tensors in held]
    names = by_name[0].keys()
    for number, other in enumerate(by_name):
        if other.keys() != names:
            one = min(other.keys() ^ names)
            raise ValueError(f"part {number} and part 0 do not have the same tensors, such as '{printable(one)}'")
    if heads is not None and heads < len(held) and any(map(KEYS_AND_VALUES.fullmatch, names)):
        raise ValueError(f"keys and values have {plural(heads, 'head')}, so that some of the parts repeat them")
    norm = by_name[0].get(NORM)
    return [_whole([tensors[name] for tensors in by_name], norm) for name in names]


def _whole(parts: list[TensorInfo], norm: TensorInfo | None) -> TensorInfo:
    first = parts[0]
    if any((part.shape, part.dtype) != (first.shape, first.dtype) for part in parts):
        raise ValueError(f"'{printable(first.name)}' has not the same shape and data type in all of them")
    if len(first.shape) < 2:
        return first
    axis = 0 if ROWS.fullmatch(first.name) else 1 if COLUMNS.fullmatch(first.name) else None
    if first.name == TABLE and norm is not None and len(norm.shape) == 1:
        # Llama 1 and 2 cut its columns, Llama 3 its rows.
        axis = {norm.shape[0]: 0, norm.shape[0] // len(parts): 1}.get(first.shape[-1])
    if axis is None or len(first.shape) != 2:
        raise ValueError(f"along which dimension '{printable(first.name)}' was cut is not known")
    return joined(parts, axis)
