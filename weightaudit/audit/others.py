"""Tensors without a role: which of them a whole scan looks at, and what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from weightaudit.dtypes import BY_NAME
from weightaudit.records import CoverageEntry, ModelMap, TensorFacts, TensorInfo

CHUNK = 1 << 20
"""Entries looked at at once: what is made of them is 8 MB."""


def to_be_looked_at(model_map: ModelMap, tensors: Mapping[str, TensorInfo]) -> Iterator[TensorInfo]:
    """Everything that holds numbers that a model computes with and that is not measured: one NaN spoils every output.

    Floating-point tensors of any rank and name, buffers too; of integers what could not be mapped and is no vector,
    for quantised weights are stored so.
    """
    for entry in model_map.coverage:
        if entry.status in ("ignored", "unmapped") and entry.parameters and _holds_numbers(entry):
            yield tensors[entry.tensor]


def _holds_numbers(entry: CoverageEntry) -> bool:
    dtype = BY_NAME.get(entry.dtype)
    if dtype is None or dtype.torch_name is None or not hasattr(torch, dtype.torch_name):
        return False
    if dtype.kind == "integer":
        return entry.status == "unmapped" and not entry.buffer and len(entry.shape) >= 2
    return dtype.kind != "bool"


def facts_of(tensor: torch.Tensor) -> TensorFacts:
    """What the entries of a tensor of any dtype and shape are."""
    flat = (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).reshape(-1)
    if not flat.is_floating_point():
        other_than_zero = [int(torch.count_nonzero(_countable(chunk))) for chunk in _chunks(flat)]
        zeros = flat.numel() - sum(other_than_zero)
        return TensorFacts(0, 0, zeros, float("nan"), float("nan"))
    nan = infinite = zeros = 0
    largest = total = 0.0
    for chunk in _chunks(flat):
        values = chunk.to(torch.float64).abs()  # a copy
        finite = torch.isfinite(values)
        if not bool(finite.all()):
            missing = int(torch.isnan(values).sum())
            nan, infinite = nan + missing, infinite + values.numel() - missing - int(finite.sum())
            values = values[finite]
        if values.numel():
            zeros += values.numel() - int(torch.count_nonzero(values))
            largest = max(largest, float(values.max()))
            total += float(values.square_().sum())
    count = flat.numel() - nan - infinite
    return TensorFacts(nan, infinite, zeros, largest, total / count if count else 0.0)


def _chunks(flat: torch.Tensor) -> Iterator[torch.Tensor]:
    for start in range(0, len(flat), CHUNK):
        yield flat[start : start + CHUNK]


def _countable(integers: torch.Tensor) -> torch.Tensor:
    """The same as integers that torch computes with: of unsigned ones beyond a byte it has little but the name."""
    signed = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
    return integers.view(signed.get(integers.dtype, integers.dtype))
