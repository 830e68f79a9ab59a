"""What the names, shapes and config of a checkpoint say of its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weightaudit.records.matrix import RoleMatrix
from weightaudit.records.quantisation import Scheme

Status = Literal["analysed", "ignored", "unmapped", "tied", "not selected"]


@dataclass(frozen=True)
class CoverageEntry:
    """What became of one tensor of the checkpoint.

    ``detail`` says why: the ignoring rule, the tensor it is tied to, or why it is unmapped; ``roles`` what it was
    analysed as. ``buffer`` says that its elements are no parameters of the model (masks, position numbers), and so
    count in no share. ``file`` is the weight file that holds it. ``scheme`` says how it is quantised, None where it is
    not, and ``parts`` are the stored tensors that hold its codes, scales and whatever else it is decoded from, of
    ``stored_bytes`` together: 0 of what is not quantised.
    """

    tensor: str
    shape: tuple[int, ...]
    dtype: str
    parameters: int
    status: Status
    detail: str = ""
    roles: tuple[str, ...] = ()
    buffer: bool = False
    file: str = ""
    scheme: Scheme | None = None
    parts: tuple[str, ...] = ()
    stored_bytes: int = 0


Contradiction = Literal["missing", "extra", "misshapen", "placeholder"]


@dataclass(frozen=True)
class Discrepancy:
    """Where a checkpoint and its config contradict each other.

    ``missing``: the config describes it and the checkpoint lacks it. ``extra``: a layer or expert beyond those of the
    config; ``misshapen``: a tensor of another shape or dtype than the config makes it; most of both are unmapped.
    ``placeholder``: tensors of which sharded training has left the names only. ``says`` is one plain
    sentence with the numbers; ``layers`` are those concerned, () for the whole model.
    """

    kind: Contradiction
    says: str
    stack: str = ""
    layers: tuple[int, ...] = ()
    expert: int | None = None
    role: str = ""
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wrapping:
    """What a wrapper of the model has left in names of tensors: `re.sub` of ``pattern`` by "" takes it off.

    ``names`` are those that carry it, as they are stored, ``plain`` the same as a loader expects them.
    """

    pattern: str
    names: tuple[str, ...]
    plain: tuple[str, ...]


@dataclass(frozen=True)
class ModelMap:
    """What the architecture room makes of names, shapes and config values.

    ``matrices`` are in report order; ``coverage`` has every tensor of the checkpoint, in name order. ``dimensions`` are
    the numbers of the config that the family uses (``layers, hidden, ff, heads, …``). ``guessed`` says that roles came
    from the structural fallback, ``nearest`` names the known families closest to an unknown model type. ``ties`` are
    (tensor, the tensor it repeats) that the config declares and whose values are still to be compared; ``tied`` is
    whether the config ties the output head to the embedding, None where that is not known. ``discrepancies`` are
    contradictions between config and checkpoint, ``notes`` what else the reader should know of the map. ``wrapping`` is
    what the names carry that a loader does not expect, None for nothing. ``spec`` is the user's own spec that it was
    made by, its file's name and hash.
    """

    family: str
    model_type: str
    guessed: bool
    dimensions: dict[str, int]
    matrices: tuple[RoleMatrix, ...]
    coverage: tuple[CoverageEntry, ...]
    nearest: tuple[str, ...] = ()
    ties: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    tied: bool | None = None
    discrepancies: tuple[Discrepancy, ...] = ()
    wrapping: Wrapping | None = None
    spec: str = ""
