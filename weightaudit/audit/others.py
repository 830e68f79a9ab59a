"""Numbers without a role: which of them a whole scan looks at, and what it sees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from weightaudit.arrays import Array
from weightaudit.dtypes import BY_NAME
from weightaudit.records import CoverageEntry, ModelMap, TensorFacts, TensorInfo

CHUNK = 1 << 16
"""Entries looked at at once: what is made of them stays in a core's cache."""


def to_be_looked_at(
    model_map: ModelMap, tensors: Mapping[str, TensorInfo]
) -> Iterator[tuple[CoverageEntry, TensorInfo]]:
    """Everything that holds numbers that a model computes with and that is not measured: one NaN spoils every output.

    Floating-point tensors of any rank and name, buffers too; of integers what could not be mapped and is no vector,
    for quantised weights are stored so. Of what is stored in a way that nothing decodes it is the stored tensors, each
    with a line of its own in the place of the one in the coverage table.
    """
    for entry in model_map.coverage:
        if entry.status not in ("ignored", "unmapped"):
            continue
        info = tensors[entry.tensor]
        parts = info.stored if info.why_unread else (info,)
        for part in parts:
            own = _line_of(part, entry) if info.why_unread else entry
            if own.parameters and _holds_numbers(own):
                yield own, part


def _line_of(part: TensorInfo, whole: CoverageEntry) -> CoverageEntry:
    """The line of a stored ``part`` of the tensor that ``whole`` tells of."""
    return replace(
        whole,
        tensor=part.name,
        shape=part.shape,
        dtype=part.dtype,
        parameters=part.parameters,
        file=part.file,
        scheme=None,
        parts=(),
        stored_bytes=0,
    )


def _holds_numbers(entry: CoverageEntry) -> bool:
    dtype = BY_NAME.get(entry.dtype)
    if dtype is None or dtype.packed:
        return False
    if dtype.kind == "integer":
        return entry.status == "unmapped" and not entry.buffer and len(entry.shape) >= 2
    return dtype.kind != "bool"


def facts_of(tensor: Array) -> TensorFacts:
    """What the entries of a tensor of any dtype and shape are."""
    flat = tensor.reshape(-1)
    if BY_NAME[tensor.dtype.name].kind in ("integer", "bool"):
        zeros = sum(chunk.size - int(np.count_nonzero(chunk)) for chunk in _chunks(flat))
        return TensorFacts(0, 0, zeros, float("nan"), float("nan"))
    nan = infinite = zeros = finite = 0
    largest = total = 0.0
    with np.errstate(all="ignore"):
        for chunk in _chunks(flat):
            entries = chunk.astype(np.float32) if chunk.dtype.itemsize < 4 else chunk
            values = entries  # of complex numbers their parts
            if chunk.dtype.kind == "c":
                values = np.ascontiguousarray(chunk).view(chunk.real.dtype)
            zeros += entries.size - int(np.count_nonzero(entries))
            size = max(-float(values.min()), float(values.max()))
            if not math.isfinite(size):
                missing = int(np.isnan(entries).sum())
                nan, infinite = nan + missing, infinite + entries.size - missing - int(np.isfinite(entries).sum())
                values = values[np.isfinite(values)]
                size = float(np.abs(values).max(initial=0.0))
            finite += values.size
            largest = max(largest, size)
            total += float(np.square(values, dtype=np.float64).sum())
    return TensorFacts(nan, infinite, zeros, largest, total / finite if finite else 0.0)


def _chunks(flat: Array) -> Iterator[Array]:
    for start in range(0, len(flat), CHUNK):
        yield flat[start : start + CHUNK]
