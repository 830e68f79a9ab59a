"""Read each tensor once, measure every role cut from it, and let go; the next is read while this one is computed.

Roles that share stored tensors (Q, K, V and QKV) form one unit. Units go in file order, so that a disk reads forward.
Two reused buffers take turns: one is filled by the reading thread while the other is measured.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from weightaudit.checkpoint import Checkpoint
from weightaudit.records import RoleMatrix, TensorInfo

ALIGNMENT = 64
"""Each tensor starts on a cache line of the buffer, bytes."""
SLACK = 64_000_000
"""Bytes of tensors held at once beyond twice the largest tensor; a unit of several that is larger is held alone."""


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
        return sum(_place(info) for info in self.tensors)


def _place(info: TensorInfo) -> int:
    """Bytes from one tensor's start to the next's: aligned, and never adjoining, so that file order is no matter."""
    return (info.nbytes // ALIGNMENT + 2) * ALIGNMENT


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


def read_units(
    checkpoint: Checkpoint, units: Sequence[Unit]
) -> Generator[tuple[Unit, dict[str, torch.Tensor]], None, None]:
    """Each unit with its tensors in their stored dtype, one unit ahead read in a thread.

    The tensors are views of reused memory: they are valid until the next iteration.
    """
    if not units:
        return
    room = 2 * max(_place(info) for unit in units for info in unit.tensors) + SLACK
    buffers = [torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.uint8)]

    def fill(turn: int, unit: Unit) -> dict[str, torch.Tensor]:
        held, needed = sum(buffer.numel() for buffer in buffers), unit.buffer_bytes
        if buffers[turn].numel() < needed or (held > room and buffers[turn].numel() > needed):
            buffers[turn] = torch.empty(0, dtype=torch.uint8)  # let go of the old before asking for the new
            buffers[turn] = torch.empty(needed, dtype=torch.uint8)
        stored, start = {}, 0
        for info in unit.tensors:
            stored[info.name] = checkpoint.read(info.name, into=buffers[turn][start:])
            start += _place(info)
        return stored

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="weightaudit-read") as reader:
        turn = 0
        ahead: Future[dict[str, torch.Tensor]] | None = reader.submit(fill, turn, units[0])
        for unit, following in zip(units, [*units[1:], None], strict=True):
            # Without room for two the next unit is read when this one has been measured, over it.
            stored = ahead.result() if ahead else fill(turn, unit)
            ahead = None
            if following and buffers[turn].numel() + following.buffer_bytes <= room:
                turn = 1 - turn
                ahead = reader.submit(fill, turn, following)
            yield unit, stored
