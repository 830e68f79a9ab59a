"""Frozen records that travel between rooms. Plain data: nothing here reads a file, and torch is never imported."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from weightaudit.dtypes import BY_NAME

if TYPE_CHECKING:
    import torch

    Reader = Callable[[str], torch.Tensor]

# The paper's roles first; a family may add names of its own (e.g. POOLER) in its spec.
EMBEDDING_ROLES = ("EMBED", "POSITION", "TOKEN_TYPE")
LAYER_ROLES = (
    *("Q_A", "KV_A", "Q", "K", "V", "O", "QKV", "XQ", "XK", "XV", "XO", "GATE", "M1", "M2"),
    *("SHARED_GATE", "SHARED_M1", "SHARED_M2"),
)


@dataclass(frozen=True)
class Encoding:
    """How the numbers of a logical tensor are stored: ``codec`` is a name of `weightaudit.checkpoint.codecs`.

    ``companions`` are the stored tensors that it reads beside the tensor's own bytes, each with what it is used for
    ("scale"); ``parameters`` what else it has to know, by name (a group size).
    """

    codec: str
    companions: tuple[tuple[str, TensorInfo], ...] = ()
    parameters: tuple[tuple[str, str | int], ...] = ()


PLAIN = Encoding("plain")
"""Numbers stored as numbers, one element after the other."""


@dataclass(frozen=True)
class TensorInfo:
    """One logical tensor of a checkpoint, and where it lies as headers say. Reading it is the checkpoint's job.

    ``dtype`` and ``shape`` are those of the numbers that a read gives, ``encoding`` how they are stored. ``offset`` is
    absolute in ``file``, in bytes; ``dtype`` is a name of `weightaudit.dtypes`. ``strides`` are in
    elements, None for a tensor stored contiguously, row by row. ``nbytes`` is the span from the first element to the
    end of the last: with strides some of it may belong to other tensors. Tensors of equal file, offset, span, shape and
    strides share their bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    offset: int
    nbytes: int
    strides: tuple[int, ...] | None = None
    encoding: Encoding = PLAIN

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def stored(self) -> tuple[TensorInfo, ...]:
        """What is read for it, in this order: its own bytes, then its companions."""
        return (self, *(companion for _, companion in self.encoding.companions))

    @property
    def decoded_nbytes(self) -> int:
        """Bytes of memory that its numbers take."""
        if self.encoding == PLAIN:
            return self.nbytes
        return self.parameters * BY_NAME[self.dtype].bits // 8


@dataclass(frozen=True)
class Rows:
    """Which rows of a fused (out, in) matrix belong to one role: ``count`` runs of ``size`` rows, ``stride`` apart.

    Row ``start + j * stride + i`` for j < count, i < size. A contiguous slice is one run.
    """

    start: int
    size: int
    count: int = 1
    stride: int = 0

    @property
    def total(self) -> int:
        """Number of rows selected."""
        return self.size * self.count


@dataclass(frozen=True)
class Part:
    """One piece of a role's matrix: a stored tensor, turned to (out, in) and cut.

    ``transposed`` says that the file stores (in, out), as GPT-2's Conv1D does; ``rows`` selects output rows after that
    turn, None takes all. ``index`` takes one of ``of`` matrices stacked in the tensor along its first dimension, before
    everything else; a tensor of more than two dimensions that stacks none is one matrix, of its first dimension by all
    others together.
    """

    tensor: str
    transposed: bool = False
    rows: Rows | None = None
    index: int | None = None
    of: int = 1

    def cut(self, stored: torch.Tensor) -> torch.Tensor:
        """View of ``stored`` as this part, (rows, in). No copy unless the rows come in several runs."""
        matrix = stored if stored.ndim == 2 else stored.flatten(1)
        if self.index is not None:
            matrix = stored.reshape(self.of, -1, stored.shape[-1])[self.index]
        if self.transposed:
            matrix = matrix.t()
        if self.rows is None:
            return matrix
        start, size, count, stride = self.rows.start, self.rows.size, self.rows.count, self.rows.stride
        if count == 1:
            return matrix[start : start + size]
        # One copy, whatever their number: a slice for each of a million runs of one row would take a hundred times it.
        runs = matrix[start : start + (count - 1) * stride + size].unfold(0, size, stride)
        return runs.transpose(1, 2).reshape(self.rows.total, -1).contiguous()


@dataclass(frozen=True)
class RoleMatrix:
    """One matrix of the model, oriented (out_features, in_features), and where its rows come from.

    Nothing is read until `load` or `blocks`. ``stack`` is "encoder" or "decoder" in encoder-decoder models, "vision",
    "video" or "audio" in a tower beside a language model, else ""; ``layer`` counts from 0, None outside the layers;
    ``expert`` numbers the experts of a mixture.
    """

    stack: str
    layer: int | None
    expert: int | None
    role: str
    parts: tuple[Part, ...]
    shape: tuple[int, int]
    dtype: str
    reader: Reader | None = field(default=None, repr=False, compare=False)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the stored tensors it is cut from, in row order, each once."""
        return tuple(dict.fromkeys(part.tensor for part in self.parts))

    @property
    def key(self) -> str:
        """Its name within the model, the same however the tensors are stored; its random start depends on it."""
        layer = "" if self.layer is None else str(self.layer)
        expert = "" if self.expert is None else str(self.expert)
        return f"{self.stack}/{layer}/{expert}/{self.role}"

    @property
    def parameters(self) -> int:
        """Number of entries."""
        return self.shape[0] * self.shape[1]

    def blocks(self) -> list[torch.Tensor]:
        """Its parts, read now, each (rows, in) in the stored dtype; their vertical stack is the matrix."""
        if self.reader is None:
            raise RuntimeError(f"matrix {self.key} is not bound to a checkpoint")
        stored = {name: self.reader(name) for name in self.tensors}
        return [part.cut(stored[part.tensor]) for part in self.parts]

    def load(self) -> torch.Tensor:
        """The matrix, read now: torch.Tensor of ``shape`` in the stored dtype.

        Example:
            >>> import weightaudit as wa
            >>> W = next(iter(wa.matrices("gpt2"))).load()  # doctest: +SKIP
        """
        blocks = self.blocks()
        if len(blocks) == 1:
            return blocks[0]
        import torch

        return torch.cat(blocks)


@dataclass(frozen=True)
class SpectrumDetail:
    """What a measurement says of the other singular values, from the passes it made anyway.

    ``singular_values`` are leading ones, descending: the interval singular_values[i] ± ``residual_bounds``[i] contains
    a singular value, on every route. The rest are estimates from a random start where ``estimated``, and exact up to
    rounding where not: ``density`` is (σ, share of the min(rows, cols) singular values), ascending, shares adding up
    to 1; ``entropy_effective_rank`` = exp(−Σ p log p), p = σ/Σσ (Roy & Vetterli 2007); ``participation_ratio`` =
    (Σσ²)²/Σσ⁴.
    """

    singular_values: tuple[float, ...]
    residual_bounds: tuple[float, ...]
    density: tuple[tuple[float, float], ...]
    entropy_effective_rank: float
    participation_ratio: float
    estimated: bool


@dataclass(frozen=True)
class EntryFacts:
    """What the entries, rows and columns of one matrix say, from the same pass that sums its squares.

    A row (output) or column (input) is dead where its norm is at most `DEAD` times the root mean square of all rows' or
    columns' norms; ``first_dead_row`` and ``first_dead_col`` number the first, None where there is none. ``at_limit``
    counts finite entries of the largest magnitude that the stored dtype has; ``subnormals`` entries other than zero
    below its smallest normal magnitude.
    """

    dead_rows: int
    dead_cols: int
    at_limit: int
    subnormals: int
    first_dead_row: int | None = None
    first_dead_col: int | None = None


DEAD = 1e-6
"""Relative norm at which a row or column counts as dead (dimensionless): what rounding in float32 hides of it."""


@dataclass(frozen=True)
class Spectrum:
    """What was measured of one matrix.

    ``spectral_norm`` ≤ σ₁ ≤ ``spectral_norm_upper``, so ``stable_rank`` = ‖W‖_F²/spectral_norm² is the upper end of the
    stable rank and ``stable_rank_lower`` the lower (Rudelson & Vershynin 2007). ``norm_ratio`` = ‖W‖_F/spectral_norm.
    ``method`` is "exact" or "krylov"; ``passes`` counts reads of the whole matrix; ``converged`` says that
    (spectral_norm_upper/spectral_norm)² − 1 ≤ tol. Norms are NaN where ``nonfinite`` > 0; ratios are NaN for a zero
    matrix. ``detail`` is there where it was asked for and W is finite and not zero; ``entries`` where W is finite. Of a
    product that is measured by its factors no entry is read: ``max_abs`` is NaN, ``zeros`` and ``entries`` are None;
    there is no ``detail`` either where its terms cancel to nothing but rounding.
    """

    frobenius_norm: float
    spectral_norm: float
    spectral_norm_upper: float
    stable_rank: float
    stable_rank_lower: float
    norm_ratio: float
    method: str
    passes: int
    converged: bool
    nonfinite: int
    zeros: int | None
    max_abs: float
    detail: SpectrumDetail | None = None
    entries: EntryFacts | None = None

    @property
    def inverse_stable_rank(self) -> float:
        """spectral_norm²/‖W‖_F², in (0, 1]; the lower end of the inverse stable rank."""
        return 1.0 / self.stable_rank


@dataclass(frozen=True)
class LayerRow:
    """One row of the report: a matrix and what was measured of it.

    ``digest`` is a BLAKE3 hash of its shape, dtype and stored entries: matrices with equal digests are equal. It is ""
    where the matrix only repeats others (QKV beside Q, K and V).
    """

    matrix: RoleMatrix
    spectrum: Spectrum
    digest: str = ""


Status = Literal["analysed", "ignored", "unmapped", "tied", "not selected"]


@dataclass(frozen=True)
class CoverageEntry:
    """What became of one tensor of the checkpoint.

    ``detail`` says why: the ignoring rule, the tensor it is tied to, or why it is unmapped; ``roles`` what it was
    analysed as. ``buffer`` says that its elements are no parameters of the model (masks, position numbers), and so
    count in no share. ``file`` is the weight file that holds it.
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


Contradiction = Literal["missing", "extra", "misshapen"]


@dataclass(frozen=True)
class Discrepancy:
    """Where a checkpoint and its config contradict each other.

    ``missing``: the config describes it and the checkpoint lacks it. ``extra``: a layer or expert beyond those of the
    config; ``misshapen``: a tensor of another shape than the config makes it; both are unmapped in the ledger. ``says``
    is one plain sentence with the numbers; ``layers`` are those concerned, () for the whole model.
    """

    kind: Contradiction
    says: str
    stack: str = ""
    layers: tuple[int, ...] = ()
    expert: int | None = None
    role: str = ""
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelMap:
    """What the architecture room makes of names, shapes and config values.

    ``matrices`` are in report order; ``coverage`` has every tensor of the checkpoint, in name order. ``dimensions`` are
    the numbers of the config that the family uses (``layers, hidden, ff, heads, …``). ``guessed`` says that roles came
    from the structural fallback, ``nearest`` names the known families closest to an unknown model type. ``ties`` are
    (tensor, the tensor it repeats) that the config declares and whose values are still to be compared; ``tied`` is
    whether the config ties the output head to the embedding, None where that is not known. ``discrepancies`` are
    contradictions between config and checkpoint, ``notes`` what else the reader should know of the map.
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


Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""Gravest first."""


@dataclass(frozen=True)
class Finding:
    """Something a person should know or do about the weights.

    ``id`` and ``title`` are the rule's; ``detail`` says in one sentence what was found here, with its numbers;
    ``value`` is what the rule measures and ``threshold`` what it was held against; ``advice`` is what to do. A finding
    about the whole model has no place.
    """

    id: str
    severity: Severity
    title: str
    stack: str = ""
    layer: int | None = None
    expert: int | None = None
    role: str = ""
    tensors: tuple[str, ...] = ()
    value: float | None = None
    threshold: float | None = None
    advice: str = ""
    detail: str = ""


@dataclass(frozen=True)
class SourceFile:
    """A file of the model that was opened."""

    name: str
    nbytes: int


@dataclass(frozen=True)
class PassedOver:
    """A weight file of the model that was not taken, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class ModelIdentity:
    """Which model this is: ``name`` labels every row; ``location`` is where the bytes were read (path or URL).

    ``files`` are those opened, in the file format ``format``; ``passed_over`` the other weight files beside them;
    ``loaded_otherwise`` are sentences on why a program may load other weights than these.
    """

    name: str
    revision: str
    location: str
    files: tuple[SourceFile, ...]
    format: str = ""
    passed_over: tuple[PassedOver, ...] = ()
    loaded_otherwise: tuple[str, ...] = ()
