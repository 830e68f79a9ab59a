"""The index of a sharded checkpoint: which tensor lies in which file."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import CheckpointError
from weightaudit.records import TensorInfo
from weightaudit.source import ByteSource, safe_name
from weightaudit.strict_json import parse_object
from weightaudit.text import listed, printable

MAX_INDEX = 100_000_000
"""Bytes; the published ones stay below 20 MB."""
SUFFIXES = (".safetensors.index.json", ".bin.index.json")
"""How an index's name ends: with the format of its shards."""
REDOWNLOAD_HINT = (
    "The index and the shards do not belong together, or a download is incomplete: download the model again"
)


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
        raise CheckpointError(index, f"shards that it lists are missing: {listed(missing, 5)}", "Download them too")


def check_shard(index: str, weight_map: Mapping[str, str], shard: str, tensors: Iterable[TensorInfo]) -> None:
    """CheckpointError where ``shard`` holds a tensor that the index does not give to it."""
    for tensor in tensors:
        listed = weight_map.get(tensor.name)
        if listed != shard:
            where = f"but should be in {printable(listed)}" if listed is not None else "but is not listed"
            raise CheckpointError(
                index, f"tensor '{printable(tensor.name)}' is in {printable(shard)}, {where}", REDOWNLOAD_HINT
            )


def check_complete(index: str, weight_map: Mapping[str, str], found: Container[str]) -> None:
    """CheckpointError where the index lists a tensor that is not ``found`` in its shard."""
    for tensor, shard in weight_map.items():
        if tensor not in found:
            raise CheckpointError(
                index, f"tensor '{printable(tensor)}' should be in {printable(shard)}, but is not", REDOWNLOAD_HINT
            )
