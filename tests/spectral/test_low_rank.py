"""s·B·A by its factors, against exact arithmetic and against the product where that can be formed."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from tests.spectral.planted import DTYPES
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from weightaudit.config import Method
from weightaudit.errors import UsageError
from weightaudit.records import Spectrum
from weightaudit.spectral import LowRank, measure
from weightaudit.spectral.rounding import product_error

METHODS: tuple[Method, ...] = ("exact", "krylov")


def factors(m: int, r: int, n: int, dtype: str = "f64", seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    both = [torch.randn(shape, generator=g, dtype=torch.float64).to(DTYPES[dtype]) for shape in ((m, r), (r, n))]
    return both[0], both[1]


def exactly(B: torch.Tensor, A: torch.Tensor, scale: float = 1.0) -> list[mpmath.mpf]:
    """All singular values of scale·B·A, descending, to 60 digits."""
    with mpmath.workdps(60):
        W = mpmath.mpf(scale) * mpmath.matrix(B.double().tolist()) * mpmath.matrix(A.double().tolist())
        return sorted(mpmath.svd_r(W if W.rows >= W.cols else W.T, compute_uv=False), reverse=True)


def assert_exact(s: Spectrum, B: torch.Tensor, A: torch.Tensor, scale: float = 1.0) -> None:
    singular = exactly(B, A, scale)
    with mpmath.workdps(60):
        frob = mpmath.sqrt(mpmath.fsum(x**2 for x in singular))
        assert s.spectral_norm <= singular[0] <= s.spectral_norm_upper
        assert s.stable_rank_lower <= (frob / singular[0]) ** 2 * (1 + mpmath.mpf(2) ** -50)
        assert s.stable_rank >= (frob / singular[0]) ** 2 * (1 - mpmath.mpf(2) ** -50)


@pytest.mark.parametrize(
    ("shape", "dtype", "method"),
    covering(
        [(7, 2, 5), (5, 2, 7), (1, 1, 1), (1, 3, 6), (6, 3, 1), (4, 9, 3), (6, 1, 6)], [*DTYPES], METHODS, together=1
    ),
)
def test_exact_arithmetic(shape: tuple[int, int, int], dtype: str, method: Method) -> None:
    B, A = factors(*shape, dtype)
    s = measure(LowRank(B, A, scale=-0.3), method=method)
    assert_exact(s, B, A, 0.3)
    assert s.converged
    assert s.method == method
    assert s.spectral_norm_upper / s.spectral_norm - 1 < (1e-11 if method == "exact" else 1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_factors_of_two_dtypes_strided_and_in_blocks(method: Method) -> None:
    B, A = factors(90, 4, 70, "bf16")
    A = A.double() / 3
    sigma = float(torch.linalg.matrix_norm(B.double() @ A, 2))
    for first in (B, B.split([30, 60]), VIEWS["transposed storage"](B)):
        s = measure(LowRank(first, VIEWS["padded columns"](A).numpy()), method=method)
        assert s.spectral_norm <= sigma * (1 + 1e-14)
        assert s.spectral_norm_upper >= sigma * (1 - 1e-14)


@pytest.mark.parametrize(
    ("powers", "method"),
    covering([(30, -30), (-30, 30), (150, -150), (-300, 300), (30, 30), (-30, -30)], METHODS, together=1),
)
def test_columns_of_very_different_sizes_and_the_rows_that_undo_them(powers: tuple[int, int], method: Method) -> None:
    B, A = factors(7, 3, 5)
    B[:, 1] *= 10.0 ** powers[0]
    A[1] *= 10.0 ** powers[1]
    s = measure(LowRank(B, A), method=method)
    assert_exact(s, B, A)
    assert s.converged


@pytest.mark.parametrize(("scale", "method"), covering([1e-30, 1e30, -1e-250, 1e250], METHODS, together=1))
def test_scale(scale: float, method: Method) -> None:
    B, A = factors(7, 3, 5, "f32")
    s = measure(LowRank(B, A, scale), method=method)
    assert_exact(s, B, A, abs(scale))
    assert s.converged


@pytest.mark.parametrize(("left", "method"), covering([1e-2, 1e-6, 1e-9, 1e-12, 1e-15], METHODS, together=1))
def test_large_terms_that_cancel(left: float, method: Method) -> None:
    """What is left of the product is known the less well the smaller it is, and the interval says so."""
    B, A = factors(7, 2, 5)
    B, A = torch.cat([B, -B], 1), torch.cat([A, A * (1 + left)])
    s = measure(LowRank(B, A), method=method)
    assert_exact(s, B, A)
    assert s.converged == (left >= 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_terms_that_cancel_to_nothing(method: Method) -> None:
    B, A = factors(70, 2, 50)
    s = measure(LowRank(torch.cat([B, -B], 1), torch.cat([A, A])), method=method, spectrum=True)
    assert s.detail is None  # it would be of what rounding left
    assert s.spectral_norm == 0.0
    assert 0.0 < s.spectral_norm_upper < 1e-8
    assert (s.converged, s.nonfinite) == (False, 0)
    assert s.stable_rank == pytest.approx(50)  # all that is certain of it
    assert s.stable_rank_lower == 1.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (1, 1)])
def test_an_untrained_adapter_is_zero(shape: tuple[int, int], method: Method) -> None:
    B, A = factors(shape[0], 3, shape[1])
    for operator in (LowRank(torch.zeros_like(B), A), LowRank(B, A, scale=0.0), LowRank(B[:, :0], A[:0])):
        s = measure(operator, method=method, spectrum=True)
        assert (s.frobenius_norm, s.spectral_norm, s.spectral_norm_upper) == (0.0, 0.0, 0.0)
        assert s.converged
        assert s.detail is None
        assert math.isnan(s.stable_rank)


@pytest.mark.parametrize("method", METHODS)
def test_rank_deficient_factors(method: Method) -> None:
    B, A = factors(60, 6, 40)
    B[:, 3:] = B[:, :3] @ torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [3.0, 0.0, 1.0]], dtype=torch.float64)
    A[5] = 0.0
    singular = torch.linalg.svdvals(B @ A)
    s = measure(LowRank(B, A), method=method, spectrum=True)
    assert s.spectral_norm <= float(singular[0]) * (1 + 1e-14)
    assert s.spectral_norm_upper >= float(singular[0]) * (1 - 1e-14)
    assert s.detail is not None
    assert len(s.detail.singular_values) == 3
    for sigma, bound, true in zip(s.detail.singular_values, s.detail.residual_bounds, singular, strict=False):
        assert abs(sigma - float(true)) <= bound + 1e-13


def test_the_whole_spectrum_of_the_exact_route() -> None:
    B, A = factors(80, 5, 60)
    singular = torch.linalg.svdvals(B @ A)[:5]
    s = measure(LowRank(B, A), spectrum=True)
    assert s.detail is not None
    assert s.detail.singular_values == pytest.approx(singular.tolist(), rel=1e-13)
    assert max(s.detail.residual_bounds) < 1e-9
    assert s.detail.participation_ratio == pytest.approx(float((singular**2).sum() ** 2 / (singular**4).sum()))
    value, share = s.detail.density[0]
    assert (value, share) == pytest.approx((0.0, 55 / 60))
    assert (s.zeros, s.entries, s.passes) == (None, None, 1)
    assert math.isnan(s.max_abs)


def test_what_is_not_finite_in_the_factors() -> None:
    """0·∞ is NaN, so an infinite number in B takes its row, one in A its column."""
    B, A = factors(9, 3, 7)
    B[2, 0], B[2, 1], B[5, 2] = math.inf, math.nan, -math.inf
    A[1, 4] = math.nan
    s = measure(LowRank(B, A))
    assert s.nonfinite == int((~torch.isfinite(B @ A)).sum()) == 2 * 7 + 9 - 2
    assert math.isnan(s.spectral_norm_upper)
    assert not s.converged


def test_every_part_keys_the_start() -> None:
    B, A = factors(9, 3, 7)
    other = B.clone()
    other[8, 2] = -other[8, 2]
    made = (LowRank(B, A), LowRank(other, A), LowRank(B, A * 2), LowRank(B, A, 2.0), LowRank(A.t(), B.t()))
    assert len({operator.digest() for operator in made}) == 5


@pytest.mark.parametrize(
    ("B", "A", "scale", "says"),
    [
        (torch.ones(3, 4), torch.ones(3, 4), 1.0, "low-rank product: (3, 4) times (3, 4) is not defined. B needs as"),
        (torch.ones(3, 4), torch.ones(4), 1.0, "factor A: its shape is (4,). A matrix has two dimensions"),
        (torch.ones(3, 4, dtype=torch.int8), torch.ones(4, 2), 1.0, "factor B: its dtype is torch.int8"),
        (torch.ones(3, 4), torch.ones(4, 2), math.nan, "scale: nan is not a finite number"),
        (torch.ones(3, 4), torch.ones(4, 2), "2", "scale: '2' is not a finite number"),
        (torch.ones(3, 4), torch.ones(4, 2), True, "scale: True is not a finite number"),
    ],
)
def test_what_is_no_product(B: torch.Tensor, A: torch.Tensor, scale: float, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        LowRank(B, A, scale)
    assert says in str(caught.value)


def test_a_product_beyond_float64() -> None:
    B, A = factors(5, 2, 4)
    with pytest.raises(UsageError, match="leaves the range of float64"):
        measure(LowRank(B * 1e200, A * 1e200))


def test_products_are_off_by_what_is_said_and_by_more_than_a_stored_matrix_would_be() -> None:
    B, A = factors(40, 2, 30)
    B, A = torch.cat([B, -B], 1), torch.cat([A, A * (1 + 1e-10)])
    operator = LowRank(B, A)
    stats = operator.statistics()
    gram = operator.gram(stats.scale)
    X = np.linalg.qr(np.random.default_rng(1).standard_normal((gram.n, 3)))[0]
    with mpmath.workdps(60):
        W = mpmath.mpf(stats.scale) * mpmath.matrix(B.tolist()) * mpmath.matrix(A.tolist())
        M = W.T * W
        off = [mpmath.norm(mpmath.matrix(gram(x[:, None]).tolist()) - M * mpmath.matrix(x.tolist())) for x in X.T]
    largest = float(torch.linalg.svdvals(B.double() @ A)[0] * stats.scale) ** 2
    bound = largest * product_error(gram.m, gram.n, stats.frob_sq / largest)
    assert bound < max(off) <= bound * gram.amplification
