"""The matrices of a model that is being trained: which part of a module they are of, and why there may be none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from weightaudit.audit.opening import map_of
from weightaudit.audit.selection import select
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.errors import MappingError, UsageError
from weightaudit.source.live import held_model, unwrapped
from weightaudit.text import listed, printable

if TYPE_CHECKING:
    import torch

    from weightaudit.arrays import Array

_SHARDING = ("FullyShardedDataParallel", "FSDPModule")
MOST_NAMED = 8


def watched(module: torch.nn.Module, submodule: str | None) -> torch.nn.Module:
    """The part of ``module`` that is watched: ``submodule``, or the outermost model of transformers in it, or all.

    UsageError where there is no such part, or several that nobody chose from.
    """
    plain: torch.nn.Module = unwrapped(module)
    if submodule is not None:
        try:
            part: torch.nn.Module = unwrapped(plain.get_submodule(submodule))
        except AttributeError as error:
            raise UsageError("submodule", f"the model has no part '{printable(submodule)}'", _parts(plain)) from error
        return part
    found = list(_models(plain, ""))
    if len(found) > 1:
        names = listed((name for name, _ in found), MOST_NAMED)
        raise UsageError("submodule", f"several models are trained together: {names}", "Name one: submodule='…'")
    return found[0][1] if found else plain


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


class LiveMatrices:
    """The matrices of ``module`` of these roles and layers, in report order; without ``roles`` and ``layers`` those of
    the layers, but for a QKV that repeats Q, K and V. They are those of a scan of the module: of a model with a PEFT
    adapter what that changes, and then ``adapter`` is true.

    Raises ModelError where the module is no model that can be mapped, or has no layers, UsageError for roles and layers
    that it does not have.
    """

    def __init__(
        self, module: torch.nn.Module, roles: tuple[str, ...] | None = None, layers: tuple[int, ...] | None = None
    ) -> None:
        self._module = module
        opened = self._opened()
        self.adapter = opened.identity.adapter is not None
        found = map_of(opened)
        if roles is not None or layers is not None:
            self.matrices = select(found, roles, layers)
            return
        split = {matrix.place.module for matrix in found.matrices if matrix.role == "Q"}
        self.matrices = tuple(
            matrix
            for matrix in found.matrices
            if matrix.layer is not None and not (matrix.role == "QKV" and matrix.place.module in split)
        )
        if not self.matrices:
            raise MappingError("the model", "no matrix of it is known to stand in a layer", "Name roles='…' of it")

    def reader(self) -> Callable[[str], Array]:
        """Reads tensors as they are now; after the next step of training another is needed."""
        return self._opened().read

    def _opened(self) -> Checkpoint:
        return open_checkpoint(held_model(self._module))
