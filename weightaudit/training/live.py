"""The matrices of a model that is being trained: which part of a module they are of, and why there may be none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weightaudit.architecture import map_model
from weightaudit.arrays import as_array
from weightaudit.audit.selection import select
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import MappingError, UsageError
from weightaudit.records import RoleMatrix, TensorInfo
from weightaudit.text import listed, printable

if TYPE_CHECKING:
    import torch

    from weightaudit.arrays import Array

_WRAPPED_AS = ("_orig_mod", "module")
"""Where torch.compile and the wrappers for data-parallel training keep the model."""
_WRAPPERS = ("OptimizedModule", "DistributedDataParallel", "DataParallel", "DeepSpeedEngine")
_SHARDING = ("FullyShardedDataParallel", "FSDPModule")
MOST_NAMED = 8


def watched(module: torch.nn.Module, submodule: str | None) -> torch.nn.Module:
    """The part of ``module`` that is watched: ``submodule``, or the outermost model of transformers in it, or all.

    UsageError where there is no such part, or several that nobody chose from.
    """
    plain = unwrapped(module)
    if submodule is not None:
        try:
            return unwrapped(plain.get_submodule(submodule))
        except AttributeError as error:
            raise UsageError("submodule", f"the model has no part '{printable(submodule)}'", _parts(plain)) from error
    found = list(_models(plain, ""))
    if len(found) > 1:
        names = listed((name for name, _ in found), MOST_NAMED)
        raise UsageError("submodule", f"several models are trained together: {names}", "Name one: submodule='…'")
    return found[0][1] if found else plain


def unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """The model itself within torch.compile's and the wrappers for data-parallel training."""
    while type(module).__name__ in _WRAPPERS:
        inner = next((getattr(module, name) for name in _WRAPPED_AS if hasattr(module, name)), None)
        if inner is None:
            break
        module = inner
    return module


def _models(module: torch.nn.Module, name: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """The outermost models of transformers, with their names."""
    if hasattr(getattr(module, "config", None), "model_type"):
        yield name, module
        return
    for child, inner in module.named_children():
        yield from _models(unwrapped(inner), f"{name}.{child}" if name else child)


def _parts(module: torch.nn.Module) -> str:
    return f"It has {listed((name for name, _ in module.named_children()), MOST_NAMED) or 'no parts'}"


def why_not_whole(module: torch.nn.Module) -> str:
    """Why no process has the whole weights of ``module``, in words; "" where this one has."""
    for inner in module.modules():
        kinds = {kind.__name__ for kind in type(inner).__mro__}
        if not kinds.isdisjoint(_SHARDING) and "NO_SHARD" not in str(getattr(inner, "sharding_strategy", "")):
            return "its weights are sharded over processes (FSDP)"
    for name, parameter in module.named_parameters():
        if hasattr(parameter, "ds_id") and parameter.numel() != getattr(parameter, "ds_numel", parameter.numel()):
            return "its weights are sharded over processes (DeepSpeed ZeRO-3)"
        if hasattr(parameter, "placements") and hasattr(parameter, "to_local"):
            return "its weights are distributed over processes (DTensor)"
        if parameter.is_meta:
            return f"its weights are not in memory ({printable(name)} is on the meta device)"
    return ""


def matrices_of(
    module: torch.nn.Module, roles: tuple[str, ...] | None, layers: tuple[int, ...] | None
) -> tuple[RoleMatrix, ...]:
    """The matrices of these roles and layers, in report order, each read from the live weights; without ``roles`` and
    ``layers`` those of the layers, but for a QKV that repeats Q, K and V.

    Raises MappingError or ConfigError where the module is no model that can be mapped, or has no layers, UsageError
    for roles and layers that it does not have.
    """
    mapped = _mapped(module)
    if roles is None and layers is None:
        split = {matrix.place.module for matrix in mapped if matrix.role == "Q"}
        chosen = tuple(
            matrix
            for matrix in mapped
            if matrix.layer is not None and not (matrix.role == "QKV" and matrix.place.module in split)
        )
        if not chosen:
            raise MappingError("the model", "no matrix of it is known to stand in a layer", "Name roles='…' of it")
        return chosen
    return select(_Chosen(mapped), roles, layers)  # type: ignore[arg-type]  # has what `select` looks at


class _Chosen:
    def __init__(self, matrices: tuple[RoleMatrix, ...]) -> None:
        self.matrices = matrices


def _mapped(module: torch.nn.Module) -> tuple[RoleMatrix, ...]:
    """Every matrix of ``module``, bound to its live weights."""
    held = {name: parameter for name, parameter in module.named_parameters() if _name(parameter) in BY_NAME}
    infos = {
        name: TensorInfo(name, _name(held[name]), tuple(held[name].shape), "", 0, held[name].nbytes) for name in held
    }
    found = map_model(_config(module), infos)
    return tuple(replace(matrix, reader=_reader(held)) for matrix in found.matrices)


def _config(module: torch.nn.Module) -> Mapping[str, Any] | None:
    config = getattr(module, "config", None)
    known: Mapping[str, Any] | None = config.to_dict() if hasattr(config, "to_dict") else None
    return known


def _reader(held: Mapping[str, torch.Tensor]) -> Callable[[str], Array]:
    return lambda name: as_array(held[name].detach().cpu())


def _name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
