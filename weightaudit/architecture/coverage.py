"""The account of a checkpoint: every tensor comes out analysed, ignored by a rule, or unmapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from weightaudit.architecture.assembly import Piece, assemble
from weightaudit.architecture.nearest import nearest_families
from weightaudit.architecture.registry import for_model_type
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import MappingError
from weightaudit.records import CoverageEntry, Discrepancy, ModelMap, RoleMatrix, Status, TensorInfo
from weightaudit.text import printable

_NO_WEIGHTS = {"complex": "complex numbers", "bool": "true or false"}
"""Kinds of dtypes that are no numbers of a weight, packed or not."""
MAX_NAME = 1024
"""Characters. No model has a longer tensor name, and patterns take time that grows with its square."""


class Coverage:
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
        self._ignored.pop(name, None)
        self._unmapped[name] = why

    def left(self) -> list[str]:
        """Names that could not be mapped so far, in order, but for those that are too long for anything."""
        return sorted(name for name in self._unmapped if len(name) <= MAX_NAME)

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
        empty: bool = False,
    ) -> ModelMap:
        """The whole account. Raises MappingError where not one matrix was found, unless it may be ``empty``."""
        matrices = assemble(self.pieces)
        if not matrices and not empty:
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
        if name in roles:
            return entry_of(info, "analysed", roles=roles[name])
        if name in self._ignored:
            rule, buffer = self._ignored[name]
            return entry_of(info, "ignored", rule, buffer=buffer)
        return entry_of(info, detail=self._unmapped[name])


def entry_of(
    info: TensorInfo,
    status: Status = "unmapped",
    detail: str = "",
    *,
    roles: tuple[str, ...] = (),
    buffer: bool = False,
) -> CoverageEntry:
    """The line of a tensor: what headers say, and what became of it."""
    return CoverageEntry(
        info.name,
        info.shape,
        info.dtype,
        info.parameters,
        status,
        detail,
        roles,
        buffer,
        file=info.file,
        scheme=info.encoding.scheme,
        parts=tuple(part.name for _, part in info.encoding.parts) if info.quantised or info.factored else (),
        stored_bytes=info.stored_nbytes if info.quantised or info.factored else 0,
    )


def why_not_a_matrix(info: TensorInfo, *, stacked: bool = False, flat: bool = False) -> str:
    """Why a tensor with a role's name cannot be measured as a matrix; "" if it can.

    ``stacked``: it may hold several in three dimensions; ``flat``: all its dimensions but the first are one.
    """
    if why := info.why_unread:
        return why
    dtype = BY_NAME.get(info.dtype)
    if dtype is None or not dtype.analysable:
        kind = _NO_WEIGHTS.get(dtype.kind, "quantised") if dtype is not None else "quantised"
        return f"{kind}: stored as {info.dtype}"
    if len(info.shape) != 2 and not (stacked and len(info.shape) == 3) and not (flat and len(info.shape) > 2):
        return f"not 2-D: shape {info.shape}"
    return "empty" if 0 in info.shape else ""


def is_packed(info: TensorInfo) -> bool:
    """Whether a tensor holds numbers that a quantisation method packs, or of a dtype that only such use."""
    dtype = BY_NAME.get(info.dtype)
    return bool(info.why_unread) or dtype is None or not (dtype.analysable or dtype.kind in ("bool", "complex"))


def _roles_by_tensor(matrices: Collection[RoleMatrix]) -> dict[str, tuple[str, ...]]:
    roles: dict[str, list[str]] = {}
    for matrix in matrices:
        for name in matrix.tensors:
            roles.setdefault(name, []).append(matrix.role)
    return {name: tuple(found) for name, found in roles.items()}


def nothing_mapped(tensors: Mapping[str, TensorInfo], unmapped: Mapping[str, str], model_type: str) -> MappingError:
    """The error for a checkpoint of which nothing could be mapped: it names the likeliest cause.

    ``unmapped`` has the reason for each tensor that was left, ``model_type`` is the config's."""
    cause = f"not one of {len(tensors)} could be mapped to a matrix of the model"
    hint = (
        "Check that these files hold a language model's weights. `weightaudit archs` lists the families; "
        "--all measures the matrices of any model."
    )
    # A vector would be no matrix whatever its name; it is an example only where there is no better.
    matrices = {name: why for name, why in unmapped.items() if len(tensors[name].shape) > 1} or unmapped
    if matrices:
        why = Counter(matrices.values()).most_common(1)[0][0]
        name = min(name for name, reason in matrices.items() if reason == why)
        cause += f"; for example {printable(name)}: {why}"
    kinds = Counter(_kind(tensors[name]) for name in matrices)
    likely = _likely_family(model_type, tensors)
    if 2 * sum(".lora_" in name for name in tensors) > len(tensors):
        hint = "These are an adapter's: scan its base model, or the adapter merged into it and saved."
    elif likely:
        cause += f". config.json says {printable(model_type)}; the names look like {likely}"
        hint = "Check that config.json and the weights belong together."
    elif 2 * kinds["complex"] > len(matrices):
        hint = "Complex matrices are not measured: scan a real-valued checkpoint."
    elif 2 * (kinds["quantised"] + kinds["complex"]) > len(matrices):
        hint = "The weights are quantised: scan the unquantised checkpoint."
    return MappingError("tensors of the checkpoint", cause, hint)


def _kind(info: TensorInfo) -> str:
    if info.why_unread:
        return "quantised"
    dtype = BY_NAME.get(info.dtype)
    if dtype is not None and dtype.analysable:
        return "measurable"
    return "complex" if dtype is not None and dtype.kind == "complex" else "quantised"


def _likely_family(model_type: str, tensors: Mapping[str, TensorInfo]) -> str:
    """The family whose names these are, where the config names another known one; else ""."""
    said = for_model_type(model_type)
    near = nearest_families("", tensors)
    return near[0] if said is not None and near and said.name not in near else ""
