"""What is measured of one matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

from weightaudit.records.adapter import AdapterFacts
from weightaudit.records.full_spectrum import FullSpectrum
from weightaudit.records.matrix import RoleMatrix
from weightaudit.records.quantisation import CodeFacts


@dataclass(frozen=True)
class SpectrumDetail:
    """What a measurement says of the other singular values, from the passes it made anyway.

    ``singular_values`` are leading ones, descending: the interval singular_values[i] ± ``residual_bounds``[i] contains
    a singular value, on every route. The rest are estimates from a random start where ``estimated``, and exact up to
    rounding where not: ``density`` is (σ, share of the min(rows, cols) singular values), ascending, shares adding up
    to 1; ``entropy_effective_rank`` = exp(−Σ p log p), p = σ/Σσ (Roy & Vetterli 2007); ``participation_ratio`` =
    (Σσ²)²/Σσ⁴; ``nuclear_norm`` = Σσ and ``schatten_4`` = (Σσ⁴)^¼, in the weights' unit. What ends in ``_error`` is the
    standard error of the estimate before it, by the jackknife over the columns of the start; 0 where it is none.
    """

    singular_values: tuple[float, ...]
    residual_bounds: tuple[float, ...]
    density: tuple[tuple[float, float], ...]
    entropy_effective_rank: float
    participation_ratio: float
    estimated: bool
    nuclear_norm: float = math.nan
    schatten_4: float = math.nan
    entropy_effective_rank_error: float = math.nan
    participation_ratio_error: float = math.nan
    nuclear_norm_error: float = math.nan
    schatten_4_error: float = math.nan


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


@dataclass(frozen=True)
class Dispersion:
    """How far the rows, the columns and the entries of one matrix are from being alike, from the same pass.

    ``rows`` and ``cols`` are the variances of the squared norms of the rows and columns relative to their mean,
    ``kurtosis`` is the mean fourth power of the entries over the square of their mean square: all three of the matrix
    without its dead rows and columns, and the same for any multiple of it.
    """

    rows: float
    cols: float
    kurtosis: float


DEAD = 1e-6
"""Relative norm at which a row or column counts as dead (dimensionless): what rounding in float32 hides of it."""


@dataclass(frozen=True)
class Spectrum:
    """What was measured of one matrix W.

    Norms are NaN where ``nonfinite`` > 0; ratios are NaN for a zero matrix.

    Attributes
    ----------
    frobenius_norm
        ‖W‖_F, the square root of the sum of squared entries.
    spectral_norm, spectral_norm_upper
        Ends of the interval that holds σ₁, the largest singular value.
    stable_rank, stable_rank_lower
        Ends of the interval that holds ‖W‖_F²/σ₁² (Rudelson & Vershynin 2007); ``stable_rank`` is the upper one, since
        it divides by the lower end of σ₁.
    norm_ratio
        ‖W‖_F/spectral_norm.
    method
        "exact" or "krylov".
    passes
        Reads of the whole matrix.
    converged
        Whether (spectral_norm_upper/spectral_norm)² − 1 ≤ tol.
    nonfinite
        Entries that are NaN or infinite.
    zeros
        Entries that are exactly zero; None of a product that is measured by its factors, of which no entry is read.
    max_abs
        Largest finite magnitude of an entry; NaN of such a product.
    detail
        Other singular values, where they were asked for and W is finite and not zero; None of a product whose terms
        cancel to nothing but rounding.
    entries
        Dead rows and columns and the like, where W is finite; None of a product.
    dispersion
        How alike its rows, columns and entries are, where W is finite and not zero; None of a product.
    full
        Every singular value, where all were asked for and W is finite, not zero and not too large.
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
    dispersion: Dispersion | None = None
    full: FullSpectrum | None = None

    @property
    def inverse_stable_rank(self) -> float:
        """spectral_norm²/‖W‖_F², in (0, 1]; the lower end of the inverse stable rank."""
        return 1.0 / self.stable_rank


@dataclass(frozen=True)
class TensorFacts:
    """What the entries of a tensor without a role are: a norm's, a bias's, one that could not be mapped.

    ``nan``, ``infinite`` and ``zeros`` count entries, ``max_abs`` is the largest finite magnitude and ``mean_square``
    the mean of the finite entries' squares, of complex ones of their parts: 0 and 0 where there are none, NaN of
    integers, of which only zeros are counted.
    """

    nan: int
    infinite: int
    zeros: int
    max_abs: float
    mean_square: float

    @property
    def nonfinite(self) -> int:
        """Entries that are no finite number."""
        return self.nan + self.infinite


@dataclass(frozen=True)
class BaseFacts:
    """A matrix Q beside the matrix W of the same place in a base; of an adapter Q − W is its product.

    All are 0 where Q − W is 0; else NaN where W is 0, and where an entry of either is not finite.

    Attributes
    ----------
    relative_frobenius
        ‖Q − W‖_F/‖W‖_F.
    relative_spectral, relative_spectral_upper
        Ends of the interval that holds ‖Q − W‖₂/‖W‖₂.
    effective
        What was measured of the weights that base and adapter make together; None of what is no adapter.
    """

    relative_frobenius: float
    relative_spectral: float
    relative_spectral_upper: float
    effective: Spectrum | None = None


@dataclass(frozen=True)
class LayerRow:
    """One row of the report: a matrix and what was measured of it.

    ``digest`` is a BLAKE3 hash of its shape, dtype and stored entries: matrices with equal digests are equal. It is ""
    where the matrix only repeats others (QKV beside Q, K and V). ``codes`` is what the codes of the tensor that it is
    cut from are, None where it is not quantised, or cut from several. ``bits_per_weight`` are the stored bits for each
    element of the tensors that it is cut from, scales and all; NaN where none of them is quantised. ``adapter`` is what
    the factors say of the change that an adapter makes, None of a matrix that is stored itself.
    ``base`` is how far it is from the same matrix of a base, None where there is none to compare with.
    """

    matrix: RoleMatrix
    spectrum: Spectrum
    digest: str = ""
    codes: CodeFacts | None = None
    bits_per_weight: float = math.nan
    adapter: AdapterFacts | None = None
    base: BaseFacts | None = None
