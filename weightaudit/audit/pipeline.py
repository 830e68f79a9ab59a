"""Read each tensor once, measure every role cut from it, and let go; the next is read while this one is computed.

Roles that share stored tensors (Q, K, V and QKV) form one unit. Units go in file order, so that a disk reads forward.
Two reused buffers take turns: one is filled by the reading thread while the other is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from weightaudit.checkpoint import Checkpoint
from weightaudit.records import RoleMatrix, TensorInfo

ALIGNMENT = 64
"""Each tensor starts on a cache line of the buffer, bytes."""


@dataclass(frozen=True)
class Unit:
    """Tensors to be read together and the matrices cut from them."""

    tensors: tuple[TensorInfo, ...]
    matrices: tuple[RoleMatrix, ...]

    @property
    def nbytes(self) -> int:
        """Bytes read for it."""
        return sum(info.nbytes for info in self.tensors)

    @property
    def buffer_bytes(self) -> int:
        """Bytes its tensors take in a buffer."""
        return sum(_aligned(info.nbytes) for info in self.tensors)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def plan_units(matrices: Sequence[RoleMatrix], tensors: Mapping[str, TensorInfo]) -> list[Unit]:
    """Group matrices that share tensors, in the order in which the tensors lie in the files."""
    group_of: dict[str, list[RoleMatrix]] = {}  # tensor → the group it belongs to, shared by the group's tensors
    for matrix in matrices:
        merged: list[RoleMatrix] = []
        for group in {id(group_of[name]): group_of[name] for name in matrix.tensors if name in group_of}.values():
            merged += group
        merged.append(matrix)
        for member in merged:
            for name in member.tensors:
                group_of[name] = merged
    units = []
    for group in {id(group): group for group in group_of.values()}.values():
        names = dict.fromkeys(name for matrix in group for name in matrix.tensors)
        infos = sorted((tensors[name] for name in names), key=lambda info: (info.file, info.offset))
        units.append(Unit(tuple(infos), tuple(group)))
    return sorted(units, key=lambda unit: (unit.tensors[0].file, unit.tensors[0].offset))


def read_units(checkpoint: Checkpoint, units: Sequence[Unit]) -> Iterator[tuple[Unit, dict[str, torch.Tensor]]]:
    """Each unit with its tensors in their stored dtype, one unit ahead read in a thread.

    The tensors are views of reused memory: they are valid until the next iteration.
    """
    buffers = [torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.uint8)]

    def fill(turn: int, unit: Unit) -> dict[str, torch.Tensor]:
        if buffers[turn].numel() < unit.buffer_bytes:
            buffers[turn] = torch.empty(0, dtype=torch.uint8)  # let go of the old before asking for the new
            buffers[turn] = torch.empty(unit.buffer_bytes, dtype=torch.uint8)
        stored, start = {}, 0
        for info in unit.tensors:
            stored[info.name] = checkpoint.read(info.name, into=buffers[turn][start:])
            start += _aligned(info.nbytes)
        return stored

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="weightaudit-read") as reader:
        ahead = reader.submit(fill, 0, units[0]) if units else None
        for number, unit in enumerate(units):
            assert ahead is not None
            stored = ahead.result()
            following = units[number + 1] if number + 1 < len(units) else None
            ahead = reader.submit(fill, (number + 1) % 2, following) if following else None
            yield unit, stored
