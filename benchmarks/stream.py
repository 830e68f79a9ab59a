"""A safetensors file written tensor by tensor, so that no more than one tensor is in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from weightaudit.dtypes import BY_NAME


@dataclass(frozen=True)
class Slot:
    """A tensor to be written: ``dtype`` is a name of `weightaudit.dtypes`."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * BY_NAME[self.dtype].bits // 8


def write_safetensors(path: Path, slots: Iterable[Slot], values: Callable[[str], torch.Tensor]) -> None:
    """Write ``slots`` to ``path``; ``values(name)`` is called once for each, in the file's order.

    The order is the format's own, widest dtype first and then by name, which keeps every tensor aligned. Raises
    ValueError where a tensor is not what its slot says.
    """
    ordered = sorted(slots, key=lambda slot: (-BY_NAME[slot.dtype].bits, slot.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for slot in ordered:
        header[slot.name] = {
            "dtype": BY_NAME[slot.dtype].code,
            "shape": list(slot.shape),
            "data_offsets": [end, end + slot.nbytes],
        }
        end += slot.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for slot in ordered:
            tensor = values(slot.name)
            if tuple(tensor.shape) != slot.shape or tensor.dtype != BY_NAME[slot.dtype].torch:
                raise ValueError(f"{slot.name}: {tuple(tensor.shape)} {tensor.dtype}, expected {slot}")
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
