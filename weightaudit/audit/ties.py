"""Tied weights stored twice: are they the same values, so that they count once?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from weightaudit.arrays import Array
from weightaudit.records import RoleMatrix, TensorInfo

CHUNK = 1 << 18
"""Entries compared at once, in whole rows: what comes of each takes a byte."""


@dataclass
class Ties:
    """What is known of the ties that a config declares, each (tensor, the tensor it repeats).

    ``confirmed`` maps a tensor to the one measured in its place, ``broken`` are declared ties that do not hold, and
    ``open`` pairs are to be compared when both are in memory. A pair that is not asked for whole is ``believed``: to
    compare it would take reading what nobody wants.
    """

    confirmed: dict[str, str] = field(default_factory=dict)
    believed: dict[str, str] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)
    open: list[tuple[str, str]] = field(default_factory=list)

    def compare(self, stored: Mapping[str, Array]) -> None:
        """Settle the open pairs whose tensors are in ``stored``. Bytes are compared, so equal NaNs are equal."""
        for tensor, original in [pair for pair in self.open if pair[0] in stored]:
            self.open.remove((tensor, original))
            if _same_bytes(stored[tensor], stored[original]):
                self.confirmed[tensor] = original
            else:
                self.broken.append((tensor, original))

    def without_copies(self, matrices: Iterable[RoleMatrix]) -> tuple[RoleMatrix, ...]:
        """Those of ``matrices`` that are not known to repeat another."""
        return tuple(matrix for matrix in matrices if not set(matrix.tensors) <= self.confirmed.keys())


def classify_ties(
    declared: Iterable[tuple[str, str]], tensors: Mapping[str, TensorInfo], asked: Collection[str], *, guessed: bool
) -> Ties:
    """What headers alone say of the ``declared`` ties, in a scan of the tensors ``asked``.

    Where the map is ``guessed`` a tie is only possible, and is not believed unseen.
    Of equal tensors the original is measured, or the first that was asked for where it was not. Ties of ties (an output
    head to an embedding that is tied itself) are ties to the last original.
    """
    ties = Ties()
    for original, copies in _groups(declared).items():
        members = [original, *copies]
        kept = next((tensor for tensor in members if tensor in asked), original)
        for tensor in members:
            if tensor == kept:
                continue
            first, second = tensors[tensor], tensors[kept]
            if _place(first) == _place(second):
                ties.confirmed[tensor] = kept
            elif (first.dtype, first.shape) != (second.dtype, second.shape):
                ties.broken.append((tensor, kept))
            elif tensor in asked:
                ties.open.append((tensor, kept))
            elif not guessed:
                ties.believed[tensor] = kept
    return ties


def _groups(declared: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Last original → all that repeat it, in the order declared."""
    original_of = dict(declared)
    groups: dict[str, list[str]] = {}
    for tensor in original_of:
        last, seen = original_of[tensor], {tensor}
        while last in original_of and last not in seen:
            seen.add(last)
            last = original_of[last]
        if last != tensor:
            groups.setdefault(last, []).append(tensor)
    return groups


def _place(info: TensorInfo) -> tuple[object, ...]:
    return info.file, info.offset, info.nbytes, info.dtype, info.shape, info.strides, info.encoding


def _same_bytes(first: Array, second: Array) -> bool:
    """Of one shape and dtype, whatever their strides: a single entry, or one entry repeated, may have any."""
    # Equal as integers are equal as bytes.
    one, other = (np.atleast_1d(tensor).view(f"u{tensor.dtype.itemsize}") for tensor in (first, second))
    step = max(1, CHUNK * len(one) // max(1, one.size))
    return all(np.array_equal(one[top : top + step], other[top : top + step]) for top in range(0, len(one), step))
