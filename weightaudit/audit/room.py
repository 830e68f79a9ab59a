"""How many bytes of weights may be held at once, and what a scan needs at least.

``memory`` is for groups that have been read, for what is asked of a network ahead of need, and for what came over it
and is kept because a later group needs it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weightaudit.audit.groups import ReadGroup, place
from weightaudit.checkpoint import Checkpoint
from weightaudit.errors import UsageError
from weightaudit.records import TensorInfo
from weightaudit.text import printable

BESIDE = 1_000_000_000
"""Bytes held at once beside the largest tensor, at most, of tensors up to its size."""
SLACK = 64_000_000
"""Bytes held at once beyond these; a group of several that is larger is held alone."""
AHEAD = 64_000_000
"""Bytes asked of a network ahead of need, where no limit on memory leaves less."""
TRIES = 8
"""How often the memory that a scan needs is looked for: the more there is, the larger the blocks that are kept."""


def room_for(groups: Sequence[ReadGroup], checkpoints: Sequence[Checkpoint], memory: int | None) -> int:
    """Bytes of ``groups`` that are held at once; ``checkpoints`` are theirs and those of what is beside them.

    None of ``memory`` is the largest tensor, with the largest of each model beside it, as much again up to `BESIDE`,
    and `SLACK`. Raises UsageError where a group does not fit in it.
    """
    if memory is None:
        largest = max(sum(map(_largest, (group.tensors, *group.beside))) + group.scratch for group in groups)
        return largest + min(largest, BESIDE) + SLACK
    kept = kept_of(groups, checkpoints, memory)
    room = memory - asked_ahead(memory) - kept
    _check_fits(groups, room, memory, kept, checkpoints)
    return room


def asked_ahead(memory: int | None) -> int:
    """Bytes asked of a network ahead of need."""
    return AHEAD if memory is None else min(AHEAD, memory // 4)


def kept_of(groups: Sequence[ReadGroup], checkpoints: Sequence[Checkpoint], memory: int) -> int:
    """Bytes that came over a network and are kept, at most, until all groups that they are read for have come.

    ``checkpoints`` are that of the groups and those beside them.
    """
    share = asked_ahead(memory) // max(1, len(checkpoints))
    orders = orders_of(groups, len(checkpoints))
    return sum(checkpoint.kept(order, ahead=share) for checkpoint, order in zip(checkpoints, orders, strict=True))


def orders_of(groups: Sequence[ReadGroup], models: int) -> list[list[TensorInfo]]:
    """What is read of each of the ``models``, that of the groups and those beside it, in order."""
    read = [(group.tensors, *group.beside) for group in groups]
    return [[info for of in read if model < len(of) for info in of[model]] for model in range(models)]


def _largest(tensors: Iterable[TensorInfo]) -> int:
    return max(map(place, tensors), default=0)


def _check_fits(
    groups: Sequence[ReadGroup], room: int, memory: int, kept: int, checkpoints: Sequence[Checkpoint]
) -> None:
    largest = max(groups, key=lambda group: group.buffer_bytes)
    if largest.buffer_bytes > room:
        names = ", ".join(printable(info.name) for info in largest.tensors)
        for other, infos in zip(checkpoints[1:], largest.beside, strict=False):
            called = printable(other.identity.name)
            names += "".join(f", {printable(info.name)} of {called}" for info in infos)
        takes = f"take{'s' * (len(largest.read) == 1)} {largest.buffer_bytes:,} bytes"
        more = f", and {kept:,} bytes that came over the network are kept for others" if kept else ""
        least = _least(groups, largest.buffer_bytes, memory, checkpoints)
        raise UsageError(
            f"memory {memory:,} bytes",
            f"{names} must be held at once and {takes}{more}",
            f"Allow at least {-(-least // 1_000_000)} MB, or leave them out with --roles or --layers",
        )


def _least(groups: Sequence[ReadGroup], nbytes: int, memory: int, checkpoints: Sequence[Checkpoint]) -> int:
    """Memory that does for groups of which the largest takes so many bytes, near the least that does."""
    for _ in range(TRIES):
        held = nbytes + kept_of(groups, checkpoints, memory)
        if (needed := held + min(AHEAD, held // 3 + 1)) <= memory:
            break
        memory = needed
    return memory
