"""The account of a checkpoint: every tensor comes out analysed, ignored by a rule, or unmapped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from weightaudit.architecture.assembly import Piece, assemble
from weightaudit.architecture.nothing import nothing_mapped
from weightaudit.dtypes import BY_NAME
from weightaudit.records import CoverageEntry, Discrepancy, ModelMap, RoleMatrix, TensorInfo

MAX_NAME = 1024
"""Characters. No model has a longer tensor name, and patterns take time that grows with its square."""


class Ledger:
    """Collects pieces and verdicts, then closes into a ModelMap."""

    def __init__(self, tensors: Mapping[str, TensorInfo]) -> None:
        self.tensors = tensors
        self.pieces: list[Piece] = []
        self._ignored: dict[str, tuple[str, bool]] = {}
        too_long = f"a name of more than {MAX_NAME} characters"
        self._unmapped = {name: too_long for name in tensors if len(name) > MAX_NAME}

    def names(self) -> list[str]:
        """Names to be mapped, in order."""
        return sorted(name for name in self.tensors if name not in self._unmapped)

    def ignore(self, name: str, rule: str, *, buffer: bool = False) -> None:
        """``name`` holds no matrix of a role, by ``rule``."""
        self._ignored[name] = (rule, buffer)

    def leave(self, name: str, why: str) -> None:
        """``name`` could not be mapped."""
        self._unmapped[name] = why

    def close(
        self,
        family: str,
        model_type: str,
        *,
        dimensions: dict[str, int],
        ties: Collection[tuple[str, str]],
        guessed: bool = False,
        nearest: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        tied: bool | None = None,
        discrepancies: tuple[Discrepancy, ...] = (),
    ) -> ModelMap:
        """The whole account. Raises MappingError where not one matrix was found."""
        matrices = assemble(self.pieces)
        if not matrices:
            raise nothing_mapped(self.tensors, self._unmapped, model_type)
        roles = _roles_by_tensor(matrices)
        return ModelMap(
            family=family,
            model_type=model_type,
            guessed=guessed,
            dimensions=dimensions,
            matrices=matrices,
            coverage=tuple(self._entry(self.tensors[name], roles) for name in sorted(self.tensors)),
            nearest=nearest,
            ties=tuple(ties),
            notes=notes,
            tied=tied,
            discrepancies=discrepancies,
        )

    def _entry(self, info: TensorInfo, roles: Mapping[str, tuple[str, ...]]) -> CoverageEntry:
        name = info.name
        entry = CoverageEntry(name, info.shape, info.dtype, info.parameters, "unmapped", file=info.file)
        if name in roles:
            return replace(entry, status="analysed", roles=roles[name])
        if name in self._ignored:
            rule, buffer = self._ignored[name]
            return replace(entry, status="ignored", detail=rule, buffer=buffer)
        return replace(entry, detail=self._unmapped[name])


def why_not_a_matrix(info: TensorInfo, *, stacked: bool = False, flat: bool = False) -> str:
    """Why a tensor with a role's name cannot be measured as a matrix; "" if it can.

    ``stacked``: it may hold several in three dimensions; ``flat``: all its dimensions but the first are one.
    """
    dtype = BY_NAME.get(info.dtype)
    if dtype is None or not dtype.analysable:
        kind = "complex numbers" if dtype is not None and dtype.kind == "complex" else "quantised"
        return f"{kind}: stored as {info.dtype}"
    if len(info.shape) != 2 and not (stacked and len(info.shape) == 3) and not (flat and len(info.shape) > 2):
        return f"not 2-D: shape {info.shape}"
    return "empty" if 0 in info.shape else ""


def _roles_by_tensor(matrices: Collection[RoleMatrix]) -> dict[str, tuple[str, ...]]:
    roles: dict[str, list[str]] = {}
    for matrix in matrices:
        for name in matrix.tensors:
            roles.setdefault(name, []).append(matrix.role)
    return {name: tuple(found) for name, found in roles.items()}
