"""Two sets of weights beside each other, as far as their headers and samples of their bytes tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from weightaudit.checkpoint.index import is_index, shards_without_index
from weightaudit.dtypes import BY_NAME
from weightaudit.records import FileFault, TensorInfo
from weightaudit.source import ByteSource
from weightaudit.source.base import STANDARD_WEIGHTS
from weightaudit.text import listed, plural, printable

SAMPLE = 1024
"""Bytes at the start of a tensor that are compared."""
MAX_SAMPLED = 4096
"""Tensors of which a sample is compared: all of most models."""
MAX_NAMED = 50
"""Tensors that a fault names at most."""

Sources = Mapping[str, ByteSource]
"""Open files by their names."""


def other_sets(files: Collection[str], weights: str) -> Iterator[str]:
    """The files or indexes under the usual names, beside ``weights``, that some loader takes for the model's weights.

    Where only an index lacks, its name stands for its shards, as in `select_weights`.
    """
    usual = [name for names in STANDARD_WEIGHTS for name in names]
    if weights not in usual:
        return
    for name in usual:
        if name != weights and (name in files or (is_index(name) and shards_without_index(name, files))):
            yield name


def difference(
    weights: str,
    taken: Mapping[str, TensorInfo],
    sources: Sources,
    name: str,
    other: Mapping[str, TensorInfo],
    beside: Sources,
) -> FileFault | None:
    """What the set ``other``, called ``name``, has otherwise than the one that was ``taken``; None for nothing.

    A tensor that repeats another one of its file, a buffer, a prefix of all names and other names for as many numbers
    (experts stacked or not) are no difference: formats and versions of libraries differ in these. Of equal shapes and
    data types a sample of the bytes is compared; of what is quantised the first bytes of its codes, where both are
    quantised alike. That one is quantised and the other is not, or otherwise, is a difference of its own.
    """
    if not taken or not other:
        return None
    taken, other = _aligned(taken, other)
    shapes = [one for one in taken if one in other and taken[one].shape != other[one].shape]
    only_taken, only_other = _alone(taken, other), _alone(other, taken)
    if _parameters(taken, only_taken) == _parameters(other, only_other):
        only_taken, only_other = [], []
    stored = [one for one in taken if one in other and taken[one].encoding.scheme != other[one].encoding.scheme]
    values = [] if shapes else list(_other_values(taken, sources, other, beside))
    said = [
        f"{plural(len(names), noun, 'matrices' if noun == 'matrix' else '')} {what}, such as '{printable(names[0])}'"
        for names, noun, what in (
            (shapes, "tensor", "of another shape"),
            (stored, "tensor", "quantised otherwise"),
            (only_other, "matrix", "more"),
            (only_taken, "matrix", "fewer"),
            (values, "tensor", "of other values"),
        )
        if names
    ]
    if not said:
        return None
    says = (
        f"{printable(name)} beside {printable(weights)}, which was read, is another set of weights: it has "
        f"{listed(said)}."
    )
    return FileFault("two-sets", says, tuple((*shapes, *stored, *only_other, *only_taken, *values)[:MAX_NAMED]))


def _aligned(
    one: Mapping[str, TensorInfo], other: Mapping[str, TensorInfo]
) -> tuple[Mapping[str, TensorInfo], Mapping[str, TensorInfo]]:
    """Both, the prefix of one's names taken off where more are called alike then: a loader accepts it or its lack."""
    ways = ((one, other), (_without_prefix(one), other), (one, _without_prefix(other)))
    return max(ways, key=lambda way: len(way[0].keys() & way[1].keys()))


def _without_prefix(tensors: Mapping[str, TensorInfo]) -> Mapping[str, TensorInfo]:
    ((prefix, _),) = Counter(name.partition(".")[0] for name in tensors).most_common(1)
    return {name.removeprefix(f"{prefix}."): info for name, info in tensors.items()}


def _alone(one: Mapping[str, TensorInfo], other: Mapping[str, TensorInfo]) -> list[str]:
    """Matrices of ``one`` that ``other`` lacks, but for those that repeat a tensor that it has."""
    there = {_bytes_of(info) for name, info in one.items() if name in other}
    return [
        name
        for name, info in one.items()
        if name not in other
        and len(info.shape) in (2, 3)
        and info.dtype in BY_NAME
        and BY_NAME[info.dtype].analysable
        and _bytes_of(info) not in there
    ]


def _parameters(tensors: Mapping[str, TensorInfo], names: Collection[str]) -> int:
    """Of the tensors called ``names``, those that share their bytes counted once."""
    return sum({_bytes_of(tensors[name]): tensors[name].parameters for name in names}.values())


def _bytes_of(info: TensorInfo) -> tuple[str, int, int]:
    return info.file, info.offset, info.nbytes


def _other_values(
    taken: Mapping[str, TensorInfo], sources: Sources, other: Mapping[str, TensorInfo], beside: Sources
) -> Iterator[str]:
    comparable = (
        name
        for name, info in taken.items()
        if name in other
        and (info.dtype, info.strides, info.nbytes) == (other[name].dtype, other[name].strides, other[name].nbytes)
        and info.encoding.parameters == other[name].encoding.parameters
        and info.encoding.scheme == other[name].encoding.scheme
    )
    for name in islice(comparable, MAX_SAMPLED):
        if _sample(sources, taken[name]) != _sample(beside, other[name]):
            yield name


def _sample(sources: Sources, info: TensorInfo) -> bytes:
    data = bytearray(min(info.nbytes, SAMPLE))
    sources[info.file].read_into(info.offset, memoryview(data))
    return bytes(data)
