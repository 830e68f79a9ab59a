"""The error for a checkpoint of which nothing could be mapped: it names the likeliest cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from weightaudit.architecture.nearest import nearest_families
from weightaudit.architecture.registry import for_model_type
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import MappingError
from weightaudit.records import TensorInfo
from weightaudit.text import printable


def nothing_mapped(tensors: Mapping[str, TensorInfo], unmapped: Mapping[str, str], model_type: str) -> MappingError:
    """The error itself. ``unmapped`` has the reason for each tensor that was left, ``model_type`` is the config's."""
    cause = f"not one of {len(tensors)} could be mapped to a matrix of the model"
    hint = "Check that these files hold a language model's weights. `weightaudit archs` lists the families."
    # A vector would be no matrix whatever its name; it is an example only where there is no better.
    matrices = {name: why for name, why in unmapped.items() if len(tensors[name].shape) > 1} or unmapped
    if matrices:
        why = Counter(matrices.values()).most_common(1)[0][0]
        name = min(name for name, reason in matrices.items() if reason == why)
        cause += f"; for example {printable(name)}: {why}"
    kinds = Counter(_kind(tensors[name]) for name in matrices)
    likely = _likely_family(model_type, unmapped)
    if likely:
        cause += f". config.json says {printable(model_type)}; the names look like {likely}"
        hint = "Check that config.json and the weights belong together."
    elif 2 * kinds["complex"] > len(matrices):
        hint = "Complex matrices are not measured: scan a real-valued checkpoint."
    elif 2 * (kinds["quantised"] + kinds["complex"]) > len(matrices):
        hint = "The weights are quantised: scan the unquantised checkpoint."
    return MappingError("tensors of the checkpoint", cause, hint)


def _kind(info: TensorInfo) -> str:
    dtype = BY_NAME.get(info.dtype)
    if dtype is not None and dtype.analysable:
        return "measurable"
    return "complex" if dtype is not None and dtype.kind == "complex" else "quantised"


def _likely_family(model_type: str, names: Mapping[str, str]) -> str:
    """The family whose names these are, where the config names another known one; else ""."""
    said = for_model_type(model_type)
    near = nearest_families("", names)
    return near[0] if said is not None and near and near[0] != said.name else ""
