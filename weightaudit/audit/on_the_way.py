"""Tensors without a matrix, which are read on the way to those that have one: they are only looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from weightaudit.audit.groups import ReadGroup, groups_in_file_order, place
from weightaudit.audit.room import asked_ahead, kept_of
from weightaudit.checkpoint import Checkpoint
from weightaudit.records import TensorInfo

LOOKED_AT = 1 << 30
"""Bytes of the largest tensor without a matrix that is held to be looked at, where none of those with one is larger."""
TOGETHER = 1 << 20
"""Bytes of neighbours without a matrix that come in one group: of a model there may be hundreds of thousands, and each
group has a price.
"""


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
        allowed = memory - asked_ahead(memory) - kept_of(groups_in_file_order([*groups, *more]), checkpoints, memory)
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
        nbytes = 0 if alone else sum(map(place, group.tensors))
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
