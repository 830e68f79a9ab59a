"""The index of a sharded checkpoint: which tensor lies in which file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weightaudit.checkpoint.read_all import read_all
from weightaudit.checkpoint.strict_json import parse_object
from weightaudit.errors import CheckpointError, printable
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource, safe_name

MAX_INDEX = 100_000_000
"""Bytes; the published ones stay below 20 MB."""
SUFFIXES = (".safetensors.index.json", ".bin.index.json")
"""How an index's name ends: with the format of its shards."""
AGAIN = "The index and the shards do not belong together, or a download is incomplete: download the model again"


def is_index(name: str) -> bool:
    """Whether ``name`` is that of a shard index."""
    return name.endswith(SUFFIXES)


def read_index(source: ByteSource) -> dict[str, str]:
    """Tensor name → shard's file name, every one of them a plain name in the same directory, of the index's format."""
    format_suffix = next(suffix for suffix in SUFFIXES if source.name.endswith(suffix)).removesuffix(".index.json")
    hint = "The index is damaged: download it again"
    data = read_all(source, limit=MAX_INDEX, error=CheckpointError)
    weight_map = parse_object(data, thing=source.label, error=CheckpointError, hint=hint).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(source.label, "it has no 'weight_map' object", hint)
    if not weight_map:
        raise CheckpointError(source.label, "its 'weight_map' is empty", hint)
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str):
            raise CheckpointError(source.label, f"it gives no file for tensor '{printable(tensor)}'", hint)
    for shard in sorted(set(weight_map.values())):
        safe_name(shard, said_by=source.label)
        if not shard.endswith(format_suffix):
            raise CheckpointError(
                source.label,
                f"its shard '{printable(shard)}' is not a *{format_suffix} file, as an index of them says",
                hint,
            )
    return weight_map


def check_present(index: str, shards: Iterable[str], files: Iterable[str]) -> None:
    """CheckpointError naming the ``shards`` that are not among ``files``."""
    present = set(files)
    missing = [printable(shard) for shard in shards if shard not in present]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise CheckpointError(
            index, f"shards that it lists are missing: {', '.join(missing[:5])}{more}", "Download them too"
        )


def check_against(index: str, weight_map: Mapping[str, str], found: Iterable[TensorInfo]) -> None:
    """Index and shards must say the same: each tensor in the shard that the index gives, and none besides."""
    holders: dict[str, str] = {}
    for tensor in found:
        name = printable(tensor.name)
        if tensor.name in holders:
            both = f"{printable(holders[tensor.name])} and {printable(tensor.file)}"
            raise CheckpointError(index, f"tensor '{name}' is in two shards, {both}", AGAIN)
        holders[tensor.name] = tensor.file
    extra = sorted(holders.keys() - weight_map.keys())
    if extra:
        raise CheckpointError(
            index,
            f"tensor '{printable(extra[0])}' of {printable(holders[extra[0]])} is not listed"
            + (f", nor are {len(extra) - 1} more" if len(extra) > 1 else ""),
            AGAIN,
        )
    for tensor_name, shard in weight_map.items():
        if holders.get(tensor_name) != shard:
            raise CheckpointError(
                index, f"tensor '{printable(tensor_name)}' should be in {printable(shard)}, but is not", AGAIN
            )
