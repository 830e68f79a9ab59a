"""A − B against exact arithmetic where float64 has to be right to its last bit: tiny, equal, cancelling, far apart."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product

import mpmath
import pytest
import torch

from tests.spectral.engines import by, by_kernel
from tests.spectral.misleading import BLOCK, misleading
from tests.spectral.planted import DTYPES, planted
from tests.spectral.views import VIEWS
from tests.support.covering import covering, some_of
from weightaudit.config import Method
from weightaudit.errors import UsageError
from weightaudit.records import Spectrum
from weightaudit.spectral import Difference, measure
from weightaudit.spectral.krylov import gaussian_start, rng_for

METHODS: tuple[Method, ...] = ("exact", "krylov")


def exactly(A: torch.Tensor, B: torch.Tensor) -> tuple[mpmath.mpf, mpmath.mpf]:
    """(σ₁, ‖·‖_F) of A − B, to 60 digits."""
    with mpmath.workdps(60):
        pairs = zip(A.double().tolist(), B.double().tolist(), strict=True)
        D = mpmath.matrix([[mpmath.mpf(a) - mpmath.mpf(b) for a, b in zip(*rows, strict=True)] for rows in pairs])
        return max(mpmath.svd_r(D, compute_uv=False)), mpmath.sqrt(mpmath.fsum(x**2 for x in D))


def assert_exact(s: Spectrum, A: torch.Tensor, B: torch.Tensor) -> None:
    """The interval holds the exact numbers, without any allowance."""
    sigma, frob = exactly(A, B)
    with mpmath.workdps(60):
        assert s.spectral_norm <= sigma <= s.spectral_norm_upper
        assert s.stable_rank_lower <= (frob / sigma) ** 2 * (1 + mpmath.mpf(2) ** -50)
        assert s.stable_rank >= (frob / sigma) ** 2 * (1 - mpmath.mpf(2) ** -50)
        assert abs(s.frobenius_norm / frob - 1) < 1e-14
    assert s.converged


def random(dtype: str, rows: int, cols: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, cols, generator=g, dtype=torch.float64).to(DTYPES[dtype])


def name(dtype: str) -> str:
    return str(DTYPES[dtype]).removeprefix("torch.")


after = dict(zip(DTYPES, [*DTYPES][1:] + [*DTYPES][:1], strict=True))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("first", "second", "who"),
    [
        *(by_kernel(name(first), name(second), first, second, "kernel") for first in DTYPES for second in DTYPES),
        *(
            pytest.param(first, second, "panels", marks=[] if second == after[first] else pytest.mark.slow)
            for first in DTYPES
            for second in DTYPES
        ),
    ],
)
def test_different_dtypes(first: str, second: str, who: str, method: Method) -> None:
    """What casting does to weights, or almost: cancelling to the resolution of the coarser one."""
    A = random(first, 7, 5)
    B = A.to(DTYPES[second], copy=True)
    B[2, 3] += 1
    with by(who):
        assert_exact(measure(Difference(A, B), method=method), A, B)


@pytest.mark.parametrize(("dtype", "size", "method"), covering([*DTYPES], [1.0, 1e-4], METHODS, together=1))
def test_one_entry_by_its_last_bit(dtype: str, size: float, method: Method) -> None:
    A = (random(dtype, 60, 40).double() * size).to(DTYPES[dtype])
    B = A.clone()
    B[33, 7] = torch.nextafter(B[33, 7], B[33, 7] * 2) if dtype != "f64" else math.nextafter(float(B[33, 7]), 1e9)
    step = abs(float(B[33, 7].double() - A[33, 7].double()))
    s = measure(Difference(A, B), method=method)
    assert s.spectral_norm <= step <= s.spectral_norm_upper
    assert s.converged
    assert s.frobenius_norm == pytest.approx(step, rel=1e-15)
    assert (s.max_abs, s.zeros) == (step, 60 * 40 - 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_matrices_leave_exactly_nothing(dtype: str) -> None:
    A = random(dtype, 30, 50)
    A[0, 0], A[1, 1] = 0.0, torch.finfo(A.dtype).max
    for B in (A, A.clone(), VIEWS["transposed storage"](A), A.double()):
        B = B.clone()
        B[0, 0] = -0.0
        s = measure(Difference(A, B))
        assert (s.frobenius_norm, s.spectral_norm, s.spectral_norm_upper, s.max_abs) == (0.0, 0.0, 0.0, 0.0)
        assert (s.zeros, s.converged, s.nonfinite) == (1500, True, 0)
        assert math.isnan(s.stable_rank)


@pytest.mark.parametrize(("relative", "method"), covering([1e-2, 1e-5, 1e-7, 1e-10, 1e-14], METHODS, together=1))
def test_a_tiny_change_of_large_weights(relative: float, method: Method) -> None:
    A = random("f64", 7, 6)
    B = A * (1 + relative * random("f64", 7, 6, seed=1))
    assert_exact(measure(Difference(A, B), method=method), A, B)


@pytest.mark.parametrize(("gap", "method"), covering([1e-16, 1e-3, 1e-12, 1e-20, 1e-300], METHODS, together=1))
def test_entries_of_very_different_magnitudes(gap: float, method: Method) -> None:
    """The difference is no float64 number there: it is rounded, and the interval is for the exact one."""
    A, B = random("f64", 6, 5), random("f64", 6, 5, seed=1) * gap
    assert_exact(measure(Difference(A, B), method=method), A, B)
    assert_exact(measure(Difference(B, A), method=method), B, A)


@pytest.mark.parametrize(("scale", "method"), covering([1e-30, 1e30, 1e-160, 1e150, 2.0**-1060], METHODS, together=1))
def test_scales(scale: float, method: Method) -> None:
    A, B = random("f64", 6, 5) * scale, random("f64", 6, 5, seed=1) * scale
    if scale > 1e-300:
        assert_exact(measure(Difference(A, B), method=method), A, B)
    else:  # subnormal: the difference is exact, and the norms are rounded to subnormal numbers
        s = measure(Difference(A, B), method=method)
        assert s.frobenius_norm == pytest.approx(float(exactly(A, B)[1]), rel=1e-3)


def test_the_error_bound_covers_the_rounding_of_each_entry() -> None:
    """1 − 2⁻⁵⁴ lies halfway between float64 numbers, so nearly all of what the bound allows is taken."""
    A, B = torch.ones(40, 30, dtype=torch.float64), torch.full((40, 30), -(2.0**-53), dtype=torch.float64)
    operator = Difference(A, B)
    rounded = next(operator.matrix.panels(True))
    exact = [
        [Fraction(a) - Fraction(b) for a, b in zip(*rows, strict=True)]
        for rows in zip(A.tolist(), B.tolist(), strict=True)
    ]
    off = sum(
        (Fraction(r) - e) ** 2 for rows in zip(rounded.tolist(), exact, strict=True) for r, e in zip(*rows, strict=True)
    )
    assert 0.9 * operator.statistics().error <= math.sqrt(off) <= operator.statistics().error


@pytest.mark.parametrize("method", METHODS)
def test_all_that_is_told_allows_for_the_error(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a matrix known to within E every singular value and the Frobenius norm may be E larger or smaller."""
    A, B = random("f64", 20, 12), random("f64", 20, 12, seed=1)
    sigma, frob = (float(number) for number in exactly(A, B))
    stats = Difference(A, B).statistics()
    error = 0.1 * sigma
    monkeypatch.setattr(Difference, "statistics", lambda self: replace(stats, error=error * stats.scale))
    s = measure(Difference(A, B), method=method)
    assert s.spectral_norm <= (sigma - error) * (1 + 1e-14)
    assert s.spectral_norm_upper >= (sigma + error) * (1 - 1e-14)
    assert s.stable_rank >= ((frob + error) / (sigma - error)) ** 2 * (1 - 1e-14)
    assert s.stable_rank_lower <= ((frob - error) / (sigma + error)) ** 2 * (1 + 1e-14)


def test_a_difference_of_half_precision_is_not_taken_in_half_precision() -> None:
    A = random("bf16", 200, 150)
    B = (A.double() * (1 + 0.01 * random("f64", 200, 150, seed=1))).to(torch.bfloat16)
    here = measure(Difference(A, B), tol=1e-4)
    rounded = measure((A.float() * 3 - (B.float() * 3).to(torch.bfloat16).float()) / 3, tol=1e-4)
    sigma = float(torch.linalg.matrix_norm(A.double() - B.double(), 2))
    assert here.spectral_norm <= sigma <= here.spectral_norm_upper
    assert not rounded.spectral_norm <= sigma <= rounded.spectral_norm_upper


@pytest.mark.parametrize(
    ("view", "method"),
    some_of(product(VIEWS, METHODS), ("transposed storage", "exact"), ("scattered", "krylov")),
)
def test_layouts_and_blocks(view: str, method: Method) -> None:
    A, B = random("f32", 150, 90), random("bf16", 150, 90, seed=1)
    sigma = float(torch.linalg.matrix_norm(A.double() - B.double(), 2))
    apart = [block.clone() for block in B.split([70, 80])]
    for first in (A, list(A.split([48, 52, 50])), A.numpy(), A.t().contiguous().t()):
        for second in (VIEWS[view](B), [VIEWS[view](block) for block in apart]):
            s = measure(Difference(second, first), method=method)
            assert s.spectral_norm <= sigma * (1 + 1e-14)
            assert sigma * (1 - 1e-14) <= s.spectral_norm_upper
            assert s.converged
    whole = measure(Difference(B, A), method=method, spectrum=True)
    assert measure(Difference(B.split(50), A.split([48, 52, 50])), method=method, spectrum=True) == whole


def test_leading_singular_values_and_dead_rows() -> None:
    A = torch.tensor(planted(150, 90, "geometric"))
    B = A.clone()
    B[:100] *= 0.5  # rows 100 and on are equal
    for method in METHODS:
        s = measure(Difference(A, B), method=method, spectrum=True)
        singular = torch.linalg.svdvals(A - B)
        assert s.detail is not None
        assert s.entries is not None
        for sigma, bound in zip(s.detail.singular_values, s.detail.residual_bounds, strict=True):
            assert (singular - sigma).abs().min() <= bound + 1e-15
        assert (s.entries.dead_rows, s.entries.first_dead_row) == (50, 100)
        assert s.zeros is not None
        assert s.zeros >= 50 * 90


def test_what_is_not_finite() -> None:
    A, B = torch.ones(5, 4, dtype=torch.float64), torch.zeros(5, 4, dtype=torch.float64)
    A[0, 0] = B[0, 0] = math.inf
    A[1, 1], B[2, 2] = math.nan, -math.inf
    A[3, 3], B[3, 3] = 1.7e308, -1.7e308  # the difference leaves float64
    s = measure(Difference(A, B))
    assert (s.nonfinite, s.converged) == (4, False)
    assert math.isnan(s.spectral_norm)
    assert math.isnan(s.spectral_norm_upper)


def test_a_start_that_nobody_can_choose_entries_for() -> None:
    """Keyed by both: to change a bit of either is to draw it anew. The attack works on a start that is known."""
    zero = torch.zeros(300, 200, dtype=torch.float64)
    keys = {Difference(a, b).digest() for a, b in ((zero, zero), (zero, zero + 1), (zero + 1, zero), (zero, -zero))}
    assert len(keys) == 4
    known = Difference(zero, zero).digest()
    W = misleading((300, 200), gaussian_start(200, BLOCK, rng_for(0, "W", known)))
    fooled = measure(Difference(W, zero), method="krylov", name="W", tol=0.1, digest=known)
    assert fooled.spectral_norm_upper < 1.49
    s = measure(Difference(W, zero), method="krylov", name="W", tol=0.1)
    assert s.spectral_norm <= 1.5 * (1 + 1e-12)
    assert s.spectral_norm_upper >= 1.5 * (1 - 1e-12)


@pytest.mark.parametrize(
    ("A", "B", "says"),
    [
        (torch.ones(3, 4), torch.ones(4, 3), "difference: (3, 4) minus (4, 3) is not defined. Give two of one shape"),
        (torch.ones(3, 4), torch.ones(3), "second matrix: its shape is (3,). A matrix has two dimensions"),
        ("W", torch.ones(3, 4), "first matrix: a str is no matrix. Give a torch tensor or a numpy array"),
        (torch.ones(3, 4), [torch.ones(2, 4), torch.ones(1, 5)], "block 1 of second matrix: (1, 5) torch.float32"),
        (torch.ones(3, 4, device="meta"), torch.ones(3, 4), "first matrix: a meta tensor has no entries"),
    ],
)
def test_what_is_no_difference(A: object, B: object, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Difference(A, B)
    assert says in str(caught.value)
