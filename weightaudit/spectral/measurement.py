"""`measure`: the validated door to the spectral engine, and the few lines that join its parts."""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from weightaudit.config import DEFAULTS, Method, Spectra
from weightaudit.records import FullSpectrum, Spectrum, SpectrumDetail
from weightaudit.spectral.inputs import block_matrix, device_of_blocks
from weightaudit.spectral.krylov import MAX_PASSES, SPECTRUM_PASSES, krylov, rng_for
from weightaudit.spectral.operators.base import Operator
from weightaudit.spectral.operators.dense import DenseOperator
from weightaudit.spectral.options import check_options
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.spectrum import Interval
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import device_called
from weightaudit.spectral.threads import one_blas_thread, usable_threads

if TYPE_CHECKING:
    from weightaudit.spectral.full.whole import Start

BLOCK = 4
"""Columns of the random start: the kernel's own width. Passes times time a pass is flat from 2 to 4 (see
weightaudit.spectral.kernel_abi.WIDTH), and the more columns, the less a tiny delta costs."""

# Milliseconds on two cores of a Zen 5, fitted to matrices of 32² to 1536×384 in float32; only ratios matter. The same
# for every device and thread count, so that the choice depends on the matrix alone.
EIGENSOLVER = 1.3e-7  # × n³
GRAM = 3e-8  # × m·n²
PASS = 3e-7  # × m·n
# By the bound for the block there are fewer passes, and the certificate of each takes longer: the one was counted, the
# other is the 0.2 of before times 1.75, what a pass over steep matrices of 96² to 768×192 took of what it had taken.
PASS_FIXED = 0.35  # orthogonalisation and certificate of one Krylov pass
PASSES = 8.4  # of trained weights at tol = 1e-2: 351 on the 42 layer matrices of MiniLM

PARALLEL_FROM = 1 << 18
"""Elements for each thread below which starting and waking it costs more than it saves."""


def measure(
    matrix: Any,
    *,
    tol: float = DEFAULTS.tol,
    delta: float = DEFAULTS.delta,
    method: Method = DEFAULTS.method,
    seed: int = DEFAULTS.seed,
    name: str = "",
    device: str | None = None,
    spectrum: Spectra = DEFAULTS.spectrum,
    digest: str | None = None,
    team: ThreadTeam | None = None,
) -> Spectrum:
    """Measure norms and stable rank of one matrix W, with a certified interval on its spectral norm.

    Nothing is written into ``matrix``. The random start is a function of ``seed``, ``name`` and the entries, so that no
    matrix can be made to mislead it.

    Parameters
    ----------
    matrix
        (rows, cols) torch tensor or numpy array of float64, float32, float16 or bfloat16 (of ml_dtypes), strided as
        it likes; or a sequence of such with equal column counts, the vertical blocks of one matrix, which are never
        concatenated; or an `Operator`, such as a `Difference` of two matrices or a `LowRank` product, which is never
        formed.
    tol
        Bound on the relative width of the interval on σ₁².
    delta
        Probability that the upper end of the interval is too low.
    method
        "exact", "krylov", or "auto" for the cheaper one by shape.
    seed
        Seed of the random start.
    name
        Name of the matrix; matrices of different names get different starts.
    device
        torch device that computes: "cpu", "cuda", "cuda:1"; None is where the matrix lies.
    spectrum
        Whether ``detail`` is wanted, for which ten passes are made at least; "full" wants ``full`` too, every singular
        value, which takes a dense eigensolver, twice. Of matrices whose smaller side is more than 16384 there is none.
    digest
        `weightaudit.spectral.digest` of the blocks, or an operator's own, where it has been taken already; a wrong one
        voids ``delta``.
    team
        Threads that take part in the passes over a large matrix when they are idle; None for threads of its own, as
        many as `compute_threads` says at most. They change no number.

    Returns
    -------
    Spectrum
        A matrix with infinite or NaN entries gets NaN norms and their count; one without entries is a zero matrix.

    Raises
    ------
    UsageError
        ``matrix`` is no such matrix, or an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> s = measure(np.diag([3.0, 2.0, 1.0])[:, :2])
    >>> round(s.spectral_norm, 6), round(s.frobenius_norm**2, 6)
    (3.0, 13.0)
    """
    device = device_of_blocks(matrix) if device is None else device
    check_options(tol=tol, delta=delta, method=method, seed=seed, device=device, spectrum=spectrum)
    operator = _operator(matrix)
    with (
        np.errstate(all="ignore"),  # what overflows is scaled, or counted as it is not finite; the caller may have any
        one_blas_thread,
        own_team(*operator.cost_shape) if team is None else nullcontext(team) as threads,
        operator.on(device_called(device), threads) as ready,
    ):

        @cache
        def own_digest() -> str:
            # Of the matrix as it was given, so that the device changes nothing.
            return digest or operator.digest()

        def start(purpose: str = "") -> np.random.Generator:
            return rng_for(seed, f"{name} {purpose}" if purpose else name, own_digest())

        return _measure(ready, float(tol), float(delta), method, start, spectrum, threads)


def frobenius_norm(matrix: Any, *, team: ThreadTeam | None = None) -> float:
    """‖W‖_F of a matrix as `measure` takes it, by one pass; NaN where an entry is not finite. UsageError as there."""
    operator = _operator(matrix)
    with (
        np.errstate(all="ignore"),
        one_blas_thread,
        own_team(*operator.cost_shape) if team is None else nullcontext(team) as threads,
        operator.on("cpu", threads) as ready,
    ):
        known = ready.statistics()
    return math.sqrt(known.frob_sq) / known.scale


def _operator(matrix: Any) -> Operator:
    """``matrix`` if it is one, else what is made of its blocks."""
    # Most are blocks, and to find all that an operator has missing in them takes a tenth of a small measurement.
    stored = isinstance(matrix, list | np.ndarray) or not isinstance(matrix, Operator)
    return DenseOperator(block_matrix(matrix)) if stored else matrix


def own_team(rows: int, cols: int) -> ThreadTeam:
    """Threads for a matrix of that cost."""
    return ThreadTeam(max(1, min(usable_threads(), rows * cols // PARALLEL_FROM)) - 1)


def team_for(largest: int, device: str = "cpu") -> ThreadTeam:
    """Threads that measure matrices beside one another, as many as may compute; the ``largest`` takes that many bytes.

    Where one thread may, and all are small, it is the caller's: handed over one by one to another, for which it waited,
    a scan of tiny models took an eighth longer. With larger ones it would be deaf to signals for too long. Another
    device is kept busy by one thread.
    """
    threads = usable_threads() if device == "cpu" else 1
    return ThreadTeam(0 if threads == 1 and device == "cpu" and largest <= 4 * PARALLEL_FROM else threads)


def _measure(
    operator: Operator,
    tol: float,
    delta: float,
    method: Method,
    start: Start,
    spectrum: Spectra,
    team: ThreadTeam,
) -> Spectrum:
    stats = operator.statistics()
    known = not stats.nonfinite and stats.frob_sq > stats.error**2
    whole = full = None
    if spectrum == "full" and known:
        from weightaudit.spectral.full.whole import full_spectrum, is_small_enough, whole_of

        if is_small_enough(operator):
            whole = whole_of(operator, stats, start, team)
            full = full_spectrum(operator, stats, whole)
    # All singular values say what is left to choose at no further pass.
    exact = whole is not None and method == "auto"
    algorithm = "exact" if exact else choose_algorithm(method, *operator.cost_shape, tol)
    if stats.nonfinite:
        interval = Interval(math.nan, math.nan, 0)
    elif not known:  # zero, or nothing but rounding
        interval = Interval(0.0, stats.frob_sq, 0)
    elif algorithm == "exact":
        interval = operator.spectrum(stats) if whole is None else whole.interval
    else:
        gram, rng = operator.gram(stats.scale), start()
        least = SPECTRUM_PASSES if spectrum else 0
        interval = krylov(gram, stats.frob_sq, block=BLOCK, tol=tol, delta=delta, rng=rng, least_passes=least)
    seen = interval.spectrum if spectrum else None
    detail = seen.detail(stats.frob_sq, stats.scale, stats.error) if seen else None
    return _spectrum(stats, interval, algorithm, tol, detail, full, operator.shape)


def choose_algorithm(method: Method, rows: int, cols: int, tol: float) -> Literal["exact", "krylov"]:
    """The route for a (rows, cols) matrix: ``method`` itself, or for "auto" the one that should be faster."""
    if method != "auto":
        return method
    m, n = max(rows, cols), min(rows, cols)
    # Passes grow like tol^(-1/2) on flat spectra and like log(1/tol) on steep ones.
    passes = PASSES * max(1.0, 1e-2 / tol) ** 0.25
    exact_cost = EIGENSOLVER * n**3 + GRAM * m * n**2
    krylov_cost = passes * (PASS_FIXED + PASS * m * n)
    return "exact" if exact_cost <= krylov_cost or passes > MAX_PASSES else "krylov"


def _spectrum(
    stats: Statistics,
    interval: Interval,
    algorithm: str,
    tol: float,
    detail: SpectrumDetail | None,
    full: FullSpectrum | None,
    shape: tuple[int, int],
) -> Spectrum:
    """The record, unscaled, of W from what is known of a matrix no further than ``stats.error`` from it: every singular
    value and the Frobenius norm move by that at most (Weyl). Square roots and quotients round outwards."""
    frob, error = math.sqrt(stats.frob_sq), stats.error
    lower = math.sqrt(interval.lower) * (1.0 - 4.0 * UNIT) - error
    upper = math.sqrt(interval.upper) * (1.0 + 4.0 * UNIT) + error
    zero, unknown = upper == 0.0, math.isnan(upper)
    if lower > 0.0 or unknown:
        norm_ratio = (frob + error) / lower
    else:
        lower, norm_ratio = 0.0, math.nan if zero else math.sqrt(min(shape)) * (1.0 + 4.0 * UNIT)  # ‖W‖_F ≤ √rank · σ₁
    return Spectrum(
        frobenius_norm=frob / stats.scale,
        spectral_norm=lower / stats.scale,
        spectral_norm_upper=upper / stats.scale,
        stable_rank=norm_ratio**2,
        stable_rank_lower=math.nan if zero or unknown else max(1.0, (max(0.0, frob - error) / upper) ** 2),
        norm_ratio=norm_ratio,
        method=algorithm,
        passes=stats.passes + interval.passes,
        converged=zero or (lower > 0.0 and (upper / lower) ** 2 - 1.0 <= tol),
        nonfinite=stats.nonfinite,
        zeros=stats.zeros,
        max_abs=stats.max_abs,
        detail=detail,
        entries=stats.entries,
        dispersion=stats.dispersion,
        full=full,
    )
