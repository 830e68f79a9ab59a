"""Read each tensor once, for every role cut from it, and let go; the next are read while others are computed.

Roles that share stored tensors (Q, K, V and QKV) form one group. Groups go in file order, so that a disk reads forward,
each into memory that others have given back. Where the bytes come over a network they are asked for some way ahead of
that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from weightaudit.arrays import CACHE_LINE, Array
from weightaudit.audit.memory import Memory
from weightaudit.checkpoint import Checkpoint
from weightaudit.errors import OutOfMemory, UsageError
from weightaudit.records import RoleMatrix, TensorInfo
from weightaudit.text import printable

SLACK = 64_000_000
"""Bytes of tensors held at once beyond twice the largest tensor; a group of several that is larger is held alone."""
LOOKED_AT = 1 << 30
"""Bytes of the largest tensor without a matrix that is held to be looked at, where none of those with one is larger."""
LEAD = 16_000_000
"""Bytes of groups that are read before their turn, besides the next one."""
MOST_AHEAD = 64
"""Groups that are read before their turn, at most."""
AHEAD = 64_000_000
"""Bytes asked of a network ahead of need, where no limit on memory leaves less."""


@dataclass(frozen=True)
class ReadGroup:
    """Tensors to be read together and the matrices cut from them; none from one that is only looked at."""

    tensors: tuple[TensorInfo, ...]
    matrices: tuple[RoleMatrix, ...]

    @property
    def nbytes(self) -> int:
        """Bytes read for it."""
        return sum(part.nbytes for info in self.tensors for part in info.stored)

    @property
    def buffer_bytes(self) -> int:
        """Bytes its tensors take in a buffer."""
        return sum(_place(info) for info in self.tensors)


@dataclass(eq=False)
class _Group:
    """Matrices that share tensors, in the order in which they came together, and these tensors."""

    matrices: deque[RoleMatrix] = field(default_factory=deque)
    tensors: list[str] = field(default_factory=list)


def _joined(groups: Sequence[_Group], group_of: dict[str, _Group]) -> _Group:
    """``groups`` as one, a new one where there are none; ``group_of`` (tensor → its group) is kept up to date.

    The largest takes in the others, so nothing moves more than log₂ n times in all joins of n matrices.
    """
    if not groups:
        return _Group()
    largest = max(groups, key=lambda group: len(group.matrices) + len(group.tensors))
    at = groups.index(largest)
    for group in reversed(groups[:at]):
        largest.matrices.extendleft(reversed(group.matrices))
    for group in groups[at + 1 :]:
        largest.matrices.extend(group.matrices)
    for group in groups:
        if group is not largest:
            group_of.update(dict.fromkeys(group.tensors, largest))
            largest.tensors += group.tensors
    return largest


def _place(info: TensorInfo) -> int:
    """Bytes from one tensor's start to the next's, both on a cache line, and never adjoining, so that file order is no
    matter."""
    return (info.decoded_nbytes // CACHE_LINE + 2) * CACHE_LINE


def plan_groups(
    matrices: Sequence[RoleMatrix], tensors: Mapping[str, TensorInfo], pairs: Iterable[tuple[str, str]] = ()
) -> list[ReadGroup]:
    """Group matrices that share tensors, in the order in which the tensors lie in the files.

    The tensors of each of ``pairs``, all of them in some matrix, come in one group too, since they are to be compared.
    """
    group_of: dict[str, _Group] = {}
    for matrix in matrices:
        cut_from = matrix.tensors
        shared = {id(group): group for name in cut_from if (group := group_of.get(name)) is not None}
        group = _joined(list(shared.values()), group_of)
        group.matrices.append(matrix)
        for name in cut_from:
            if name not in group_of:
                group_of[name] = group
                group.tensors.append(name)
    for first, second in pairs:
        if group_of[first] is not group_of[second]:
            _joined([group_of[first], group_of[second]], group_of)
    planned = []
    for group in {id(group): group for group in group_of.values()}.values():
        names = dict.fromkeys(name for matrix in group.matrices for name in matrix.tensors)
        infos = sorted((tensors[name] for name in names), key=lambda info: (info.file, info.offset))
        planned.append(ReadGroup(tuple(infos), tuple(group.matrices)))
    return _in_file_order(planned)


def with_others(
    groups: Sequence[ReadGroup], others: Iterable[TensorInfo], *, memory: int | None = None
) -> tuple[list[ReadGroup], list[TensorInfo]]:
    """The ``groups`` and, in file order among them, one without matrices for each of ``others``; and those of these
    that are left out: they ask for more memory than any group does and than ``memory`` allows (None: `LOOKED_AT`).
    """
    allowed = LOOKED_AT if memory is None else memory - _ahead(memory)
    most = max(allowed, *(group.buffer_bytes for group in groups)) if groups else allowed
    more = [ReadGroup((info,), ()) for info in others]
    left_out = [group.tensors[0] for group in more if group.buffer_bytes > most]
    return _in_file_order([*groups, *(group for group in more if group.buffer_bytes <= most)]), left_out


def _ahead(memory: int | None) -> int:
    """Bytes asked of a network ahead of need."""
    return AHEAD if memory is None else min(AHEAD, memory // 4)


def _in_file_order(groups: Iterable[ReadGroup]) -> list[ReadGroup]:
    return sorted(groups, key=lambda group: (group.tensors[0].file, group.tensors[0].offset))


@dataclass(eq=False)
class Held:
    """A group whose tensors are in memory, in their stored dtype: views of a buffer that is used again when all its
    ``uses``, each the block of a ``with`` in any thread, have ended.
    """

    group: ReadGroup
    stored: dict[str, Array]
    _give_back: Callable[[], None]
    uses: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> None:
        """Nothing: the tensors are there already."""

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.uses -= 1
            last = self.uses == 0
        if last:
            self.stored.clear()  # whoever kept the dict, or this, must not keep the memory
            give_back, self._give_back = self._give_back, _nothing
            give_back()


def _nothing() -> None:
    """What is left to be given back."""


def read_groups(
    checkpoint: Checkpoint,
    groups: Sequence[ReadGroup],
    *,
    memory: int | None = None,
    look: Callable[[Held], None] | None = None,
) -> Generator[Future[Held], None, None]:
    """Each group, as the future of its reading by a thread, which shows it to ``look`` and goes on with the next few.

    ``memory`` bounds the bytes of tensors held at once, those on their way included (None: twice the largest tensor,
    and some more): a group waits until there is room for it. Raises UsageError where a group does not fit in it. A
    future fails as reading does, and with OutOfMemory where the machine has no memory even for this group alone.
    """
    if not groups:
        return
    ahead = _ahead(memory)
    if memory is None:
        room = 2 * max(_place(info) for group in groups for info in group.tensors) + SLACK
    else:
        room = memory - ahead
        _check_fits(groups, room, memory)
    buffers = Memory(room)

    def fill(group: ReadGroup) -> Held:
        buffer = _taken(buffers, group)
        stored, start = {}, 0
        for info in group.tensors:
            stored[info.name] = read(info.name, into=buffer[start:])
            start += _place(info)
        held = Held(group, stored, partial(buffers.give_back, buffer))
        if look:
            look(held)
        return held

    in_order = [info for group in groups for info in group.tensors]
    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="weightaudit-read") as reader,
        checkpoint.reader(in_order, ahead=ahead) as read,
        closing(buffers),  # before the thread is waited for
    ):
        begun: deque[tuple[Future[Held], int]] = deque()
        for group in groups:
            while len(begun) > MOST_AHEAD or sum(nbytes for _, nbytes in begun) > LEAD:
                yield begun.popleft()[0]
            begun.append((reader.submit(fill, group), group.buffer_bytes))
        for future, _ in begun:
            yield future


def _taken(buffers: Memory, group: ReadGroup) -> Array:
    """Memory for the group's tensors; OutOfMemory where the machine has not so much."""
    try:
        return buffers.take(group.buffer_bytes - CACHE_LINE)  # the space after the last is not needed
    except MemoryError as error:
        names = printable(", ".join(info.name for info in group.tensors))
        raise OutOfMemory(
            names,
            f"{group.buffer_bytes:,} bytes must be held at once, more than this machine has free",
            "Leave it out with --roles or --layers, or scan on a larger machine",
        ) from error


def _check_fits(groups: Sequence[ReadGroup], room: int, memory: int) -> None:
    largest = max(groups, key=lambda group: group.buffer_bytes)
    if largest.buffer_bytes > room:
        names = ", ".join(printable(info.name) for info in largest.tensors)
        least = largest.buffer_bytes + min(AHEAD, largest.buffer_bytes // 3 + 1)
        raise UsageError(
            f"memory {memory:,} bytes",
            f"{names} must be held at once and take{'s' * (len(largest.tensors) == 1)} {largest.buffer_bytes:,} bytes",
            f"Allow at least {-(-least // 1_000_000)} MB, or leave them out with --roles or --layers",
        )
