"""`measure`: the validated door to the spectral engine, and the few lines that join its parts."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from weightaudit.config import DEFAULTS, Method
from weightaudit.errors import UsageError
from weightaudit.records import Spectrum, SpectrumDetail
from weightaudit.spectral.block_matrix import BlockMatrix, merged
from weightaudit.spectral.exact import exact
from weightaudit.spectral.hashing import digest_of
from weightaudit.spectral.krylov import MAX_PASSES, krylov, rng_for
from weightaudit.spectral.operators.dense import engine_for
from weightaudit.spectral.options import check_options
from weightaudit.spectral.rounding import UNIT
from weightaudit.spectral.spectrum import Interval
from weightaudit.spectral.statistics import Statistics

ONE_AT_A_TIME = threading.Lock()
"""Held by each measurement: it sets torch's thread count for a while, which all threads of the process share."""

BLOCK = 4
"""Columns of the random start: the kernel's own width. Passes times time a pass is flat from 2 to 4 (see
weightaudit.spectral.kernels.WIDTH), and the more columns, the less a tiny delta costs."""

# Milliseconds on two cores of a Zen 5, fitted to matrices of 32² to 1536×384 in float32; only ratios matter. The same
# for every device and thread count, so that the choice depends on the matrix alone.
EIGENSOLVER = 1.3e-7  # × n³
GRAM = 3e-8  # × m·n²
PASS_FIXED = 0.2  # orthogonalisation and certificate of one Krylov pass
PASS = 3e-7  # × m·n
PASSES = 12.0  # of trained weights at tol = 1e-2

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def measure(
    matrix: Any,
    *,
    tol: float = DEFAULTS.tol,
    delta: float = DEFAULTS.delta,
    method: Method = DEFAULTS.method,
    seed: int = DEFAULTS.seed,
    name: str = "",
    device: str = DEFAULTS.device,
    spectrum: bool = DEFAULTS.spectrum,
    digest: str | None = None,
) -> Spectrum:
    """Norms and stable rank of one matrix W, with a certified interval on its spectral norm.

    ``matrix``: (rows, cols) torch tensor or numpy array of float64, float32, float16 or bfloat16, strided as it likes;
    or a sequence of such with equal column counts, the vertical blocks of one matrix, which are never concatenated.
    ``tol`` bounds the relative width of the interval on σ₁²; ``delta`` is the probability that its upper end is too
    low; the random start is a function of ``seed``, ``name`` and the entries, so that no matrix can be made to mislead
    it. ``digest`` is `weightaudit.spectral.digest` of the blocks, where it has been taken already; a wrong one voids
    ``delta``. ``spectrum`` asks for ``detail``, at no further pass. Nothing is written into ``matrix``.

    A matrix with infinite or NaN entries gets NaN norms and their count; one without entries is a zero matrix. Raises
    UsageError for anything that is not such a matrix, and for options out of range.

    Example:
        >>> import numpy as np
        >>> s = measure(np.diag([3.0, 2.0, 1.0])[:, :2])
        >>> round(s.spectral_norm, 6), round(s.frobenius_norm**2, 6)
        (3.0, 13.0)
    """
    check_options(tol=tol, delta=delta, method=method, seed=seed, device=device)
    with ONE_AT_A_TIME:
        # Merged where they lie, so that the device changes nothing.
        given = BlockMatrix(merged(_blocks(matrix)))
        stack = BlockMatrix(tuple(block.to(torch.device(device)) for block in given.blocks))

        def start() -> np.random.Generator:
            return rng_for(seed, name, digest or digest_of(given))

        return _measure(stack, float(tol), float(delta), method, start, bool(spectrum))


def _measure(
    stack: BlockMatrix,
    tol: float,
    delta: float,
    method: Method,
    start: Callable[[], np.random.Generator],
    spectrum: bool,
) -> Spectrum:
    route = choose_algorithm(method, stack.rows, stack.cols, tol)
    with torch.no_grad(), engine_for(stack) as engine:
        stats = engine.statistics()
        if stats.nonfinite:
            interval = Interval(math.nan, math.nan, 0)
        elif stats.max_abs == 0.0:
            interval = Interval(0.0, 0.0, 0)
        elif route == "exact":
            interval = exact(stack, stats.scale, stats.frob_sq)
        else:
            gram, rng = engine.gram(stats.scale), start()
            interval = krylov(gram, stats.frob_sq, block=BLOCK, tol=tol, delta=delta, rng=rng)
    known = interval.spectrum if spectrum else None
    detail = known.detail(stats.frob_sq, stats.scale) if known else None
    return _spectrum(stats, interval, route, tol, detail)


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


def _spectrum(stats: Statistics, interval: Interval, route: str, tol: float, detail: SpectrumDetail | None) -> Spectrum:
    """The record, unscaled. Square roots and quotients round outwards."""
    frob = math.sqrt(stats.frob_sq)
    lower = math.sqrt(interval.lower) * (1.0 - 4.0 * UNIT)
    upper = math.sqrt(interval.upper) * (1.0 + 4.0 * UNIT)
    zero, unknown = upper == 0.0, math.isnan(upper)
    return Spectrum(
        frobenius_norm=frob / stats.scale,
        spectral_norm=lower / stats.scale,
        spectral_norm_upper=upper / stats.scale,
        stable_rank=math.nan if zero else (frob / lower) ** 2,
        stable_rank_lower=math.nan if zero or unknown else max(1.0, (frob / upper) ** 2),
        norm_ratio=math.nan if zero else frob / lower,
        method=route,
        passes=stats.passes + interval.passes,
        converged=zero or (upper / lower) ** 2 - 1.0 <= tol,
        nonfinite=stats.nonfinite,
        zeros=stats.zeros,
        max_abs=stats.max_abs,
        detail=detail,
        entries=stats.entries,
    )


def _blocks(matrix: Any) -> list[torch.Tensor]:
    """``matrix`` as tensors, checked."""
    many = isinstance(matrix, Sequence) and not isinstance(matrix, str | bytes)
    given = list(matrix) if many else [matrix]
    if not given:
        raise UsageError("matrix", "an empty sequence of blocks", "Give at least one 2-D tensor")
    blocks = [_tensor(one, f"block {i}" if many else "matrix") for i, one in enumerate(given)]
    for i, block in enumerate(blocks):
        if block.shape[1] != blocks[0].shape[1] or block.dtype != blocks[0].dtype:
            raise UsageError(
                f"block {i}",
                f"{tuple(block.shape)} {block.dtype} cannot be stacked under "
                f"{tuple(blocks[0].shape)} {blocks[0].dtype}",
                "Blocks need one column count and one dtype",
            )
    return blocks


def _tensor(value: Any, what: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        tensor = value.detach().resolve_neg()
    elif isinstance(value, np.ndarray):
        tensor = _from_numpy(value, what)
    else:
        raise UsageError(what, f"a {type(value).__name__} is no matrix", "Give a torch tensor or a numpy array")
    if tensor.is_meta:
        raise UsageError(what, "a meta tensor has no entries", "Load the weights first")
    if tensor.layout != torch.strided:
        raise UsageError(what, f"its layout is {tensor.layout}", "Make it dense first: matrix.to_dense()")
    if tensor.dtype not in FLOATS:
        raise UsageError(
            what, f"its dtype is {tensor.dtype}", "Convert it to float64, float32, float16 or bfloat16 first"
        )
    if tensor.ndim != 2:
        raise UsageError(what, f"its shape is {tuple(tensor.shape)}", "A matrix has two dimensions")
    return tensor


def _from_numpy(array: np.ndarray[Any, Any], what: str) -> torch.Tensor:
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise UsageError(what, f"its dtype is {array.dtype}", "Convert it to float64, float32 or float16 first")
    if isinstance(array, np.ma.MaskedArray):
        raise UsageError(what, "a masked array has no values under its mask", "Fill it first: matrix.filled(0)")
    size = array.dtype.itemsize
    # torch knows neither foreign byte order nor strides that are negative or no multiples of the size.
    if not array.dtype.isnative or any(stride < 0 or stride % size for stride in array.strides):
        array = array.astype(array.dtype.newbyteorder("="), order="K")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and is not written
        return torch.from_numpy(array)
