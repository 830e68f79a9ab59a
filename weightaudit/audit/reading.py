"""Read each tensor once, for every role cut from it, and let go; the next are read while others are computed.

Roles that share stored tensors (Q, K, V and QKV) form one group. Groups go in file order, so that a disk reads forward,
each into memory that others have given back. Where the bytes come over a network they are asked for some way ahead of
that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from types import MappingProxyType

from weightaudit.architecture.attention_plan import AttentionPlan
from weightaudit.arrays import CACHE_LINE, Array, Product, on_cache_lines
from weightaudit.audit.memory import Memory
from weightaudit.audit.opening import saying_so
from weightaudit.checkpoint import Checkpoint, Reading, buffer_nbytes
from weightaudit.errors import OutOfMemory, UsageError
from weightaudit.logs import size, step
from weightaudit.records import CodeFacts, Part, RoleMatrix, TensorInfo
from weightaudit.text import plural, printable

BESIDE = 1_000_000_000
"""Bytes held at once beside the largest tensor, at most, of tensors up to its size."""
SLACK = 64_000_000
"""Bytes held at once beyond these; a group of several that is larger is held alone."""
LOOKED_AT = 1 << 30
"""Bytes of the largest tensor without a matrix that is held to be looked at, where none of those with one is larger."""
LEAD = 16_000_000
"""Bytes of groups that are read before their turn, besides the next one."""
MOST_AHEAD = 64
"""Groups that are read before their turn, at most."""
AHEAD = 64_000_000
"""Bytes asked of a network ahead of need, where no limit on memory leaves less."""
TRIES = 8
"""How often the memory that a scan needs is looked for: the more there is, the larger the blocks that are kept."""
TOGETHER = 1 << 20
"""Bytes of neighbours without a matrix that come in one group: of a model there may be hundreds of thousands, and each
group has a price.
"""


@dataclass(frozen=True)
class ReadGroup:
    """Tensors to be read together and the matrices cut from them; none from one that is only looked at.

    ``beside`` are the tensors that these are compared with, of each of the other models; ``scratch`` bytes more are
    held to do it in. ``attentions`` are those whose heads are measured; ``looked_at`` are the names of the norms and
    biases among the tensors that a whole scan looks at.
    """

    tensors: tuple[TensorInfo, ...]
    matrices: tuple[RoleMatrix, ...]
    beside: tuple[tuple[TensorInfo, ...], ...] = ()
    scratch: int = 0
    attentions: tuple[AttentionPlan, ...] = ()
    looked_at: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[TensorInfo, ...]:
        """All that is read for it, in order."""
        return (*self.tensors, *chain.from_iterable(self.beside))

    @property
    def nbytes(self) -> int:
        """Bytes read for it."""
        return sum(info.stored_nbytes for info in self.read)

    @cached_property
    def buffer_bytes(self) -> int:
        """Bytes that it takes in a buffer."""
        return self.scratch + sum(_place(info) for info in self.read)


@dataclass(frozen=True)
class Beside:
    """What a matrix is compared with: ``tensors`` of each of the other models, and ``scratch`` bytes, on cache lines,
    to do it in."""

    tensors: tuple[tuple[TensorInfo, ...], ...] = ()
    scratch: int = 0


_NOTHING = Beside()
_Name = tuple[int, str]
"""Which model a tensor is of, the first being that whose matrices these are, and its name: two may have the same."""


@dataclass(eq=False)
class _Group:
    """Matrices that share tensors, in the order in which they came together, and these tensors."""

    matrices: deque[RoleMatrix] = field(default_factory=deque)
    tensors: list[_Name] = field(default_factory=list)


def _joined(groups: Sequence[_Group], group_of: dict[_Name, _Group]) -> _Group:
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
    return (buffer_nbytes(info) // CACHE_LINE + 2) * CACHE_LINE


def plan_groups(
    matrices: Sequence[RoleMatrix],
    tensors: Mapping[str, TensorInfo],
    pairs: Iterable[tuple[str, str]] = (),
    beside: Mapping[str, Beside] = MappingProxyType({}),
) -> list[ReadGroup]:
    """Group matrices that share tensors, in the order in which the tensors lie in the files.

    The tensors of each of ``pairs``, all of them in some matrix, come in one group too, since they are to be compared,
    and so do those of other models that are to be read ``beside`` a matrix, by its key.
    """
    group_of: dict[_Name, _Group] = {}
    pieces: dict[_Name, TensorInfo] = {}
    models = 1
    for matrix in matrices:
        own_pieces = pieces_of(matrix, tensors, apart=matrix.key in beside)
        of_models = (own_pieces, *beside.get(matrix.key, _NOTHING).tensors)
        read = {(model, info.name): info for model, own in enumerate(of_models) for info in own}
        models = max(models, len(of_models))
        pieces |= read
        cut_from = tuple(read)
        shared = {id(group): group for name in cut_from if (group := group_of.get(name)) is not None}
        group = _joined(list(shared.values()), group_of)
        group.matrices.append(matrix)
        for name in cut_from:
            if name not in group_of:
                group_of[name] = group
                group.tensors.append(name)
    for first, second in pairs:
        if group_of[0, first] is not group_of[0, second]:
            _joined([group_of[0, first], group_of[0, second]], group_of)
    planned = []
    for group in {id(group): group for group in group_of.values()}.values():
        own, *others = (
            tuple(sorted((pieces[name] for name in group.tensors if name[0] == model), key=in_file))
            for model in range(models)
        )
        scratch = sum(beside.get(matrix.key, _NOTHING).scratch for matrix in group.matrices)
        planned.append(ReadGroup(own, tuple(group.matrices), tuple(others), scratch))
    return groups_in_file_order(planned)


def pieces_of(matrix: RoleMatrix, tensors: Mapping[str, TensorInfo], *, apart: bool = True) -> list[TensorInfo]:
    """What is read for ``matrix``, each once.

    A change of stacked experts is read for each of them ``apart``, its left factor each time: beside what it changes
    that is little, and what all experts change would have to be held at once.
    """
    found = (
        _piece(part, tensors) if apart or not tensors[part.tensor].factored else tensors[part.tensor]
        for part in matrix.parts
    )
    return list({info.name: info for info in found}.values())


def in_file(info: TensorInfo) -> tuple[str, int]:
    """Sort key: where it lies."""
    return info.file, info.offset


def _piece(part: Part, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    """What is read for ``part``: of a tensor that stacks matrices the bytes of its own, where they are told apart."""
    info = tensors[part.tensor]
    own = None if part.index is None else info.at(part.index, part.of)
    return info if own is None or own.name in tensors else own


def cut(matrix: RoleMatrix, stored: Mapping[str, Array]) -> list[Array]:
    """The blocks of ``matrix``, views of what has been read for it."""
    blocks = []
    for part in matrix.parts:
        whole = stored.get(part.tensor)
        alone = replace(part, index=None, of=1)
        blocks.append(alone.cut(stored[f"{part.tensor}[{part.index}]"]) if whole is None else part.cut(whole))
    return blocks


def cut_products(matrix: RoleMatrix, products: Mapping[str, Product]) -> list[Product]:
    """The blocks of ``matrix`` by their factors; [] where it is no change that an adapter makes."""
    blocks = []
    for part in matrix.parts:
        if (whole := products.get(part.tensor)) is not None:
            blocks.append(part.cut_product(whole))
        elif (alone := products.get(f"{part.tensor}[{part.index}]")) is not None:
            blocks.append(replace(part, index=None, of=1).cut_product(alone))
    return blocks


def with_others(
    groups: Sequence[ReadGroup],
    others: Iterable[ReadGroup],
    *,
    memory: int | None = None,
    checkpoints: Sequence[Checkpoint] = (),
) -> tuple[list[ReadGroup], list[TensorInfo]]:
    """The ``groups`` and, in file order among them, the ``others``, each of a tensor without a matrix; and the tensors
    of those that are left out: they ask for more memory than any group does and than ``memory`` allows (None:
    `LOOKED_AT`), of which reading them all from ``checkpoints`` in this order keeps some.
    """
    more = list(others)
    allowed = LOOKED_AT
    if memory is not None:
        allowed = memory - _ahead(memory) - _kept(groups_in_file_order([*groups, *more]), checkpoints, memory)
    most = max(allowed, *(group.buffer_bytes for group in groups)) if groups else allowed
    left_out = [group.tensors[0] for group in more if group.buffer_bytes > most]
    return groups_in_file_order([*groups, *(group for group in more if group.buffer_bytes <= most)]), left_out


def neighbours_together(groups: Sequence[ReadGroup], *, memory: int | None = None) -> Iterator[ReadGroup]:
    """The groups in their order, those that follow one another and are of nothing but tensors to be looked at as one,
    as far as it takes no more memory than `TOGETHER`, nor, where ``memory`` is bounded, than the largest of them all.
    """
    most = TOGETHER
    if memory is not None:
        most = min(most, max((group.buffer_bytes for group in groups), default=0))
    tensors: list[TensorInfo] = []
    taken = 0
    for group in groups:
        alone = bool(group.matrices or group.beside or group.scratch or group.attentions)
        nbytes = 0 if alone else sum(map(_place, group.tensors))
        if tensors and (alone or taken + nbytes > most):
            yield ReadGroup(tuple(tensors), ())
            tensors, taken = [], 0
        if alone:
            yield group
        else:
            tensors += group.tensors
            taken += nbytes
    if tensors:
        yield ReadGroup(tuple(tensors), ())


def _ahead(memory: int | None) -> int:
    """Bytes asked of a network ahead of need."""
    return AHEAD if memory is None else min(AHEAD, memory // 4)


def _kept(groups: Sequence[ReadGroup], checkpoints: Sequence[Checkpoint], memory: int) -> int:
    """Bytes that came over a network and are kept, at most, until all groups that they are read for have come.

    ``checkpoints`` are that of the groups and those beside them.
    """
    share = _ahead(memory) // max(1, len(checkpoints))
    orders = _orders(groups, len(checkpoints))
    return sum(checkpoint.kept(order, ahead=share) for checkpoint, order in zip(checkpoints, orders, strict=True))


def _orders(groups: Sequence[ReadGroup], models: int) -> list[list[TensorInfo]]:
    """What is read of each of the ``models``, that of the groups and those beside it, in order."""
    read = [(group.tensors, *group.beside) for group in groups]
    return [[info for of in read if model < len(of) for info in of[model]] for model in range(models)]


def groups_in_file_order(groups: Iterable[ReadGroup]) -> list[ReadGroup]:
    """The groups by where the first tensor of each lies; where something changes matrices, by where these lie.

    Matrices are what is large. Those of one expert lie together, their changes among those of its layer's others.
    """
    return sorted(
        groups, key=lambda group: in_file(next((one for one in group.read if not one.factored), group.read[0]))
    )


@dataclass(frozen=True)
class Stored:
    """What is in memory of one model: ``arrays`` in their stored dtype and ``products`` by their factors, by name."""

    arrays: dict[str, Array] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)

    def read(self, info: TensorInfo, read: Reading, into: Array) -> None:
        """Read ``info`` into memory."""
        if info.factored:
            self.products[info.name] = read.product(info, into=into)
        else:
            self.arrays[info.name] = read(info, into=into)

    def clear(self) -> None:
        """Let go of it all."""
        self.arrays.clear()
        self.products.clear()


@dataclass(eq=False)
class Held:
    """A group whose tensors are in memory, ``own`` and those of each model ``beside``: views of a buffer that is used
    again when all its ``uses``, each the block of a ``with`` in any thread, have ended.
    """

    group: ReadGroup
    own: Stored
    _give_back: Callable[[], None]
    beside: tuple[Stored, ...] = ()
    uses: int = 1
    scratch: Array | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spare(self, nbytes: int) -> Array:
        """So many bytes of the ``scratch`` of the group, on a cache line, that nobody else is given."""
        with self._lock:
            if self.scratch is None or self.scratch.size < nbytes:
                raise ValueError(f"the group was planned without {nbytes} bytes to compute in")
            given, self.scratch = self.scratch[:nbytes], self.scratch[on_cache_lines(nbytes) :]
        return given

    def __enter__(self) -> None:
        """Nothing: the tensors are there already."""

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.uses -= 1
            last = self.uses == 0
        if last:
            for stored in (self.own, *self.beside):
                stored.clear()  # whoever kept the dicts, or this, must not keep the memory
            self.scratch = None
            give_back, self._give_back = self._give_back, _nothing
            give_back()


def _nothing() -> None:
    """What is left to be given back."""


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
    ahead = _ahead(memory)
    if memory is None:
        largest = max(sum(map(_largest, (group.tensors, *group.beside))) + group.scratch for group in groups)
        room = largest + min(largest, BESIDE) + SLACK
    else:
        kept = _kept(groups, checkpoints, memory)
        room = memory - ahead - kept
        _check_fits(groups, room, memory, kept, checkpoints)
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
                    start += _place(info)
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
        share = ahead // len(checkpoints)
        own, *others = _orders(groups, len(checkpoints))
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


def _largest(tensors: Iterable[TensorInfo]) -> int:
    return max(map(_place, tensors), default=0)


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
        held = nbytes + _kept(groups, checkpoints, memory)
        if (needed := held + min(AHEAD, held // 3 + 1)) <= memory:
            break
        memory = needed
    return memory
