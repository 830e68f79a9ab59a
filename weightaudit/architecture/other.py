"""Matrices of which nothing tells what they do: each has the role OTHER, at the name of its tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from weightaudit.architecture.coverage import MAX_NAME, nothing_mapped, why_not_a_matrix
from weightaudit.records import OTHER, CoverageEntry, ModelMap, Part, RoleMatrix, TensorInfo


def with_other(model_map: ModelMap, tensors: Mapping[str, TensorInfo], *, empty: bool = False) -> ModelMap:
    """``model_map``, and each floating-point tensor of two dimensions or more that it has no role for, as OTHER.

    Buffers are left: they are no parameters. A kernel of a convolution, (out, in, …), is one matrix of its first
    dimension by all others, and (1, m, n) is the (m, n) that it holds. Raises MappingError where nothing is a matrix,
    unless the map may be ``empty``.
    """
    found: dict[str, RoleMatrix] = {}
    for entry in model_map.coverage:
        info = tensors[entry.tensor]
        if entry.status in ("unmapped", "ignored") and not entry.buffer and _is_matrix(info):
            found[entry.tensor] = _matrix(info)
    if not found and not model_map.matrices and not empty:
        left = {entry.tensor: entry.detail for entry in model_map.coverage if entry.status == "unmapped"}
        raise nothing_mapped(tensors, left, model_map.model_type)

    def settled(entry: CoverageEntry) -> CoverageEntry:
        return replace(entry, status="analysed", roles=(OTHER,)) if entry.tensor in found else entry

    matrices = sorted((*model_map.matrices, *found.values()), key=lambda matrix: matrix.place.order)
    return replace(model_map, matrices=tuple(matrices), coverage=tuple(map(settled, model_map.coverage)))


def _is_matrix(info: TensorInfo) -> bool:
    stacked_product = info.factored and len(info.shape) > 2
    return len(info.name) <= MAX_NAME and not stacked_product and not why_not_a_matrix(info, flat=True)


def _matrix(info: TensorInfo) -> RoleMatrix:
    first, *rest = info.shape
    part, shape = Part(info.name), (first, math.prod(rest))
    if first == 1 and len(rest) == 2:
        part, shape = Part(info.name, index=0), (rest[0], rest[1])
    return RoleMatrix("", None, None, OTHER, (part,), shape, info.dtype, info.encoding.scheme)
