"""Read each tensor once, for every role cut from it, and let go; the next are read while others are computed.

Groups come into memory that others have given back. Where the bytes come over a network they are asked for some way
ahead of that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from functools import partial

from weightaudit.arrays import CACHE_LINE, Array
from weightaudit.audit.groups import ReadGroup, place
from weightaudit.audit.held import Held, Stored
from weightaudit.audit.memory import Memory
from weightaudit.audit.opening import saying_so
from weightaudit.audit.room import asked_ahead, orders_of, room_for
from weightaudit.checkpoint import Checkpoint, Reading
from weightaudit.errors import OutOfMemory
from weightaudit.logs import size, step
from weightaudit.records import CodeFacts, TensorInfo
from weightaudit.text import plural, printable

LEAD = 16_000_000
"""Bytes of groups that are read before their turn, besides the next one."""
MOST_AHEAD = 64
"""Groups that are read before their turn, at most."""


def read_groups(
    checkpoint: Checkpoint,
    groups: Sequence[ReadGroup],
    *,
    beside: Sequence[tuple[str, Checkpoint]] = (),
    memory: int | None = None,
    look: Callable[[Held], None] | None = None,
    codes: Callable[[TensorInfo, CodeFacts], None] | None = None,
) -> Generator[Future[Held], None, None]:
    """Each group, as the future of its reading by a thread, which shows it to ``look`` and goes on with the next few.

    What the codes of quantised tensors are is shown to ``codes``, before. ``beside`` have the tensors that the groups
    have ``beside`` them, in the same order, each with what errors call it.

    ``memory`` bounds the bytes of tensors held at once, those on their way included; None is the largest tensor, with
    the largest of each model beside it, as much again up to `BESIDE`, and `SLACK`. A group waits until there is room
    for it. Raises UsageError where a group does not fit in it. A future fails as reading does, and with OutOfMemory
    where the machine has no memory even for this group alone.
    """
    if not groups:
        return
    checkpoints = [checkpoint, *(other for _, other in beside)]
    room = room_for(groups, checkpoints, memory)
    nbytes = sum(group.nbytes for group in groups)
    step(f"reading {size(nbytes)} in {plural(len(groups), 'group')} of tensors, at most {size(room)} in memory at once")
    buffers = Memory(room)
    readings: list[Reading] = []
    whose: list[Callable[[], AbstractContextManager[None]]] = [nullcontext]
    whose += [partial(saying_so, called) for called, _ in beside]

    def fill(group: ReadGroup) -> Held:
        buffer = _taken(buffers, group)
        start, stored = group.scratch, [Stored() for _ in readings]
        for read, into, infos, of in zip(readings, stored, (group.tensors, *group.beside), whose, strict=False):
            with of():
                for info in infos:
                    into.read(info, read, buffer[start:])
                    start += place(info)
        own, *rest = stored
        held = Held(group, own, partial(buffers.give_back, buffer), tuple(rest), scratch=buffer[: group.scratch])
        if look:
            look(held)
        return held

    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="weightaudit-read") as reader,
        ExitStack() as reading,
        closing(buffers),  # before the thread is waited for
    ):
        share = asked_ahead(memory) // len(checkpoints)
        own, *others = orders_of(groups, len(checkpoints))
        readings.append(reading.enter_context(checkpoint.reader(own, ahead=share, look=codes)))
        for (_, other), order in zip(beside, others, strict=True):
            readings.append(reading.enter_context(other.reader(order, ahead=share)))
        begun: deque[tuple[Future[Held], int]] = deque()
        lead = 0
        for group in groups:
            while len(begun) > MOST_AHEAD or lead > LEAD:
                future, nbytes = begun.popleft()
                lead -= nbytes
                yield future
            begun.append((reader.submit(fill, group), group.buffer_bytes))
            lead += group.buffer_bytes
        for future, _ in begun:
            yield future


def _taken(buffers: Memory, group: ReadGroup) -> Array:
    """Memory for the group's tensors; OutOfMemory where the machine has not so much."""
    try:
        return buffers.take(group.buffer_bytes - CACHE_LINE)  # the space after the last is not needed
    except MemoryError as error:
        names = printable(", ".join(info.name for info in group.read))
        raise OutOfMemory(
            names,
            f"{group.buffer_bytes:,} bytes must be held at once, more than this machine has free",
            "Leave it out with --roles or --layers, or scan on a larger machine",
        ) from error
