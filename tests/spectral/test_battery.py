"""One battery for every route and operator: the interval holds the float64 truth, and is as narrow as it says."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from tests.spectral.held import HELD
from tests.spectral.planted import DTYPES, SPECTRA, planted, truth
from tests.support.covering import covering
from weightaudit.config import Method
from weightaudit.records import Spectrum
from weightaudit.spectral import measure

# LAPACK's own σ₁ is off by a few units in the 15th digit.
REFERENCE_ERROR = 1e-14

METHODS: tuple[Method, ...] = ("exact", "krylov")
SHAPES = {"tall": (150, 90), "wide": (90, 150)}


def assert_holds(s: Spectrum, stored: torch.Tensor, tol: float, reference_error: float = REFERENCE_ERROR) -> None:
    sigma, frob = truth(stored)
    assert s.spectral_norm <= sigma * (1 + reference_error)
    assert s.spectral_norm_upper >= sigma * (1 - reference_error)
    assert s.converged
    assert (s.spectral_norm_upper / s.spectral_norm) ** 2 - 1 <= tol
    assert s.frobenius_norm == pytest.approx(frob, rel=1e-12)
    assert s.stable_rank_lower <= (frob / sigma) ** 2 * (1 + 1e-12)
    assert s.stable_rank >= (frob / sigma) ** 2 * (1 - 1e-12)
    # The ratio is an upper end, and counts what rounding does to a difference or a product before it is measured.
    ratio = s.frobenius_norm / s.spectral_norm
    assert ratio * (1 - 1e-14) <= s.norm_ratio <= ratio * (1 + (1e-14 if s.entries else 1e-7))
    if s.method == "exact":
        assert s.spectral_norm == pytest.approx(sigma, rel=1e-10 if s.entries else 1e-9)


@pytest.mark.parametrize(
    ("route", "spectrum", "dtype", "shape"),
    [
        case
        for method in METHODS[::-1]
        for case in covering([*product(HELD, [method])], [*SPECTRA], [*DTYPES], [*SHAPES], together=1)
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_interval_holds_the_truth(route: tuple[str, Method], spectrum: str, dtype: str, shape: str) -> None:
    """By either method of each of those that hold a matrix; each spectrum, each dtype and each shape once."""
    held, method = route
    operator, W = HELD[held](torch.tensor(planted(*SHAPES[shape], spectrum)).to(DTYPES[dtype]))
    assert_holds(measure(operator, method=method, name=spectrum), W, 1e-2)


@pytest.mark.parametrize(("shape", "dtype", "method"), covering([*SHAPES], [*DTYPES], METHODS, together=1))
def test_blocks_are_one_matrix(shape: str, dtype: str, method: Method) -> None:
    W = torch.tensor(planted(*SHAPES[shape], "heavy-tailed")).to(DTYPES[dtype])
    third = W.shape[0] // 3
    apart = [W[:third].clone(), W[third : 2 * third].t().contiguous().t(), W[2 * third :].clone()]
    whole, split = measure(W, method=method), measure(apart, method=method)
    assert_holds(split, W, 1e-2)
    # Same start, same matrix: the two differ by rounding only.
    assert split.spectral_norm == pytest.approx(whole.spectral_norm, rel=1e-11)
    assert split.spectral_norm_upper == pytest.approx(whole.spectral_norm_upper, rel=1e-9)
    assert (split.passes, split.zeros, split.max_abs) == (whole.passes, whole.zeros, whole.max_abs)


@pytest.mark.parametrize(
    ("held", "dtype", "scale", "method"),
    covering([*HELD], ["f64", "f32", "bf16"], [1e30, 1e-30], METHODS[::-1], together=1),
)
def test_scale_of_weights(held: str, dtype: str, scale: float, method: Method) -> None:
    operator, W = HELD[held](torch.tensor(planted(80, 70, "heavy-tailed") * scale).to(DTYPES[dtype]))
    assert_holds(measure(operator, method=method), W, 1e-2)


@pytest.mark.parametrize(
    ("held", "scale", "method"),
    covering([*HELD], [1e300, 1e116, 1e-90, 1e-160, 1e-300], METHODS[::-1], together=1),
)
def test_powers_outside_float64(held: str, scale: float, method: Method) -> None:
    operator, W = HELD[held](torch.from_numpy(planted(80, 70, "two close") * scale))
    assert_holds(measure(operator, method=method), W, 1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_float16_at_its_largest(method: Method) -> None:
    W = torch.full((70, 90), 65504.0, dtype=torch.float16)
    W[::3] = -65504.0
    s = measure(W, method=method)
    assert_holds(s, W, 1e-2)
    assert s.max_abs == 65504.0


@pytest.mark.parametrize(("dtype", "method"), covering(["f32", "bf16", "f16"], METHODS, together=1))
def test_subnormal_entries_count(dtype: str, method: Method) -> None:
    tiny = torch.finfo(DTYPES[dtype]).smallest_normal / 4
    W = torch.full((40, 30), tiny, dtype=torch.float64).to(DTYPES[dtype])
    s = measure(W, method=method)
    assert s.zeros == 0
    assert_holds(s, W, 1e-2)


@pytest.mark.parametrize(
    ("held", "shape", "method"),
    covering([*HELD], [(1, 1), (1, 300), (300, 1), (2, 2), (9, 5)], METHODS, together=1),
)
def test_small_shapes(held: str, shape: tuple[int, int], method: Method) -> None:
    operator, W = HELD[held](torch.randn(shape, generator=torch.Generator().manual_seed(3)))
    s = measure(operator, method=method)
    assert_holds(s, W, 1e-2)
    if 1 in shape:
        assert s.stable_rank == pytest.approx(1.0, abs=1e-9)
        assert s.stable_rank_lower == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize(
    ("held", "shape", "method"),
    covering([*HELD], [(40, 30), (1, 1), (0, 5), (5, 0), (0, 0)], METHODS, together=1),
)
def test_zero_and_empty(held: str, shape: tuple[int, int], method: Method) -> None:
    s = measure(HELD[held](torch.zeros(shape))[0], method=method)
    assert (s.spectral_norm, s.spectral_norm_upper, s.frobenius_norm) == (0.0, 0.0, 0.0)
    assert math.isnan(s.stable_rank)
    assert math.isnan(s.stable_rank_lower)
    assert math.isnan(s.norm_ratio)
    assert s.converged
    if held != "low rank":
        assert (s.zeros, s.max_abs) == (math.prod(shape), 0.0)


@pytest.mark.parametrize(("dtype", "method"), covering([*DTYPES], METHODS, together=1))
def test_nonfinite_entries_are_counted(dtype: str, method: Method) -> None:
    W = torch.ones(60, 50, dtype=DTYPES[dtype])
    W[0, 0], W[7, 8], W[59, 49], W[3, :2] = math.nan, math.inf, -math.inf, 0.0
    W[5, 5] = -3.0
    s = measure(W, method=method)
    assert (s.nonfinite, s.zeros, s.max_abs, s.converged) == (3, 2, 3.0, False)
    for value in (s.frobenius_norm, s.spectral_norm, s.spectral_norm_upper, s.stable_rank, s.norm_ratio):
        assert math.isnan(value)
    assert math.isnan(s.stable_rank_lower)


@pytest.mark.parametrize(
    ("seed", "runs"), [(0, 20), *(pytest.param(seed, 100, marks=pytest.mark.slow) for seed in range(4))]
)
def test_random_small_matrices(seed: int, runs: int) -> None:
    """Shapes, spectra, scales and tolerances at random: no exception, no interval that misses, none too wide."""
    rng = np.random.default_rng(seed)
    for run in range(runs):
        m, n = (int(side) for side in rng.integers(1, 60, size=2))
        k = min(m, n)
        singular = 10.0 ** rng.uniform(-rng.choice([0.01, 1, 5, 12]), 0, size=k)
        singular[rng.integers(1, k + 1) :] = rng.choice([0.0, singular[-1]])
        U, V = (torch.linalg.qr(torch.tensor(rng.standard_normal((side, k))))[0] for side in (m, n))
        W = (U * torch.tensor(singular)) @ V.t() * 10.0 ** rng.integers(-300, 300)
        if rng.random() < 0.3:
            W = torch.round(2 * W / W.abs().max())
        tol = 10.0 ** -rng.integers(1, 7)
        assert_holds(measure(W, method="krylov", tol=tol, seed=run), W, tol)


@pytest.mark.parametrize(
    ("held", "spectrum", "tol"),
    covering([*HELD], ["flat", "two close", "heavy-tailed"], [1e-1, 1e-4, 1e-6], together=1),
)
def test_tolerance_is_reached(held: str, spectrum: str, tol: float) -> None:
    operator, W = HELD[held](torch.tensor(planted(150, 90, spectrum)))
    assert_holds(measure(operator, tol=tol, method="krylov"), W, tol)


def test_a_wider_tolerance_takes_fewer_passes() -> None:
    W = torch.randn(400, 300, generator=torch.Generator().manual_seed(1))
    passes = [measure(W, tol=tol, method="krylov").passes for tol in (0.3, 0.03, 0.003)]
    assert passes[0] < passes[1] < passes[2]


def test_results_are_python_numbers() -> None:
    s = measure(np.eye(70), method="krylov")
    for value in (s.frobenius_norm, s.spectral_norm, s.spectral_norm_upper, s.stable_rank, s.max_abs):
        assert type(value) is float
    assert type(s.passes) is int
    assert type(s.zeros) is int
    assert type(s.converged) is bool
