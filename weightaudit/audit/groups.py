"""What is read together, and in which order.

Roles that share stored tensors (Q, K, V and QKV) form one group. Groups go in file order, so that a disk reads forward.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from types import MappingProxyType

from weightaudit.architecture.attention_plan import AttentionPlan
from weightaudit.arrays import CACHE_LINE
from weightaudit.audit.pieces import pieces_of
from weightaudit.checkpoint import buffer_nbytes
from weightaudit.records import RoleMatrix, TensorInfo


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
        return self.scratch + sum(place(info) for info in self.read)


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


def place(info: TensorInfo) -> int:
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


def in_file(info: TensorInfo) -> tuple[str, int]:
    """Sort key: where it lies."""
    return info.file, info.offset


def groups_in_file_order(groups: Iterable[ReadGroup]) -> list[ReadGroup]:
    """The groups by where the first tensor of each lies; where something changes matrices, by where these lie.

    Matrices are what is large. Those of one expert lie together, their changes among those of its layer's others.
    """
    return sorted(
        groups, key=lambda group: in_file(next((one for one in group.read if not one.factored), group.read[0]))
    )
