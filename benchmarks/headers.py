"""Where the tensors of a directory's safetensors files lie. Unchecked: for files that the benchmarks wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StoredTensor:
    """``offset`` and ``nbytes`` in its file; ``code`` is the format's name of the dtype."""

    name: str
    code: str
    offset: int
    nbytes: int
    shape: tuple[int, ...]


def stored_tensors(directory: Path) -> dict[Path, list[StoredTensor]]:
    """The tensors of every safetensors file in ``directory``, in file order."""
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{directory} has no safetensors file")
    return {path: _tensors(path) for path in files}


def _tensors(path: Path) -> list[StoredTensor]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors = []
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors.append(StoredTensor(name, entry["dtype"], 8 + length + begin, end - begin, tuple(entry["shape"])))
    return sorted(tensors, key=lambda tensor: tensor.offset)
