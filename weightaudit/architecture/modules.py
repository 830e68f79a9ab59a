"""Modules beside the model that its files list, such as the last linear maps of a sentence transformer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from weightaudit.architecture.conventions import common_rule
from weightaudit.architecture.coverage import entry_of, why_not_a_matrix
from weightaudit.records import CoverageEntry, ModelMap, Part, RoleMatrix, TensorInfo

DENSE = re.compile(r"[^.]+\.linear\.weight")
"""The matrix of a Dense module, within its folder."""
ROLE = "DENSE"


def split_modules(tensors: Mapping[str, TensorInfo]) -> tuple[dict[str, TensorInfo], dict[str, TensorInfo]]:
    """The model's own tensors, and those of modules: their files are in folders, after which they are called."""
    modules = {name: info for name, info in tensors.items() if _is_modules(info)}
    return {name: info for name, info in tensors.items() if name not in modules}, modules


def _is_modules(info: TensorInfo) -> bool:
    folder, inside, _ = info.file.rpartition("/")
    return bool(inside) and info.name.startswith(f"{folder}.")


def with_modules(model_map: ModelMap, tensors: Mapping[str, TensorInfo]) -> ModelMap:
    """``model_map`` with the ``tensors`` of modules: a Dense's matrix is DENSE, a second one's DENSE_2."""
    if not tensors:
        return model_map
    matrices: list[RoleMatrix] = []
    entries: list[CoverageEntry] = []
    for name in sorted(tensors):
        info = tensors[name]
        if len(info.shape) < 2:
            entries.append(entry_of(info, "ignored", common_rule(info)))
            continue
        why = why_not_a_matrix(info) if DENSE.fullmatch(name) else "a module's tensor without a role"
        if why:
            entries.append(entry_of(info, detail=why))
            continue
        role = f"{ROLE}_{len(matrices) + 1}" if matrices else ROLE
        shape, scheme = (info.shape[0], info.shape[1]), info.encoding.scheme
        matrices.append(RoleMatrix("", None, None, role, (Part(name),), shape, info.dtype, scheme))
        entries.append(entry_of(info, "analysed", roles=(role,)))
    return replace(
        model_map,
        matrices=tuple(sorted((*model_map.matrices, *matrices), key=lambda matrix: matrix.place.order)),
        coverage=tuple(sorted((*model_map.coverage, *entries), key=lambda entry: entry.tensor)),
    )
