"""The upper end fails as seldom as promised, and these checks notice when it does not."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.stats import binom, chi2

from weightaudit.spectral.certificate import HUGE, Certificate
from weightaudit.spectral.krylov import krylov
from weightaudit.spectral.spectrum import Interval
from weightaudit.spectral.tensors import Device

DELTA = 0.1
RUNS = 1000
# A right bound exceeds this many failures with probability 1e-6.
LIMIT = int(binom.ppf(1 - 1e-6, RUNS, DELTA))
NO_CEILING = 1e9
"""A Frobenius norm too large to help, so that only the certificate bounds."""


class Diagonal:
    """The Gram operator with given eigenvalues; a Gaussian start makes every symmetric M equal to one of these."""

    amplification = 1.0
    device: Device = "cpu"

    def __init__(self, eigenvalues: np.ndarray) -> None:
        self.eigenvalues = eigenvalues
        self.m = self.n = len(eigenvalues)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self.eigenvalues[:, None] * X


def interval(eigenvalues: np.ndarray, seed: int, *, block: int, passes: int, delta: float = DELTA) -> Interval:
    rng = np.random.default_rng(seed)
    return krylov(Diagonal(eigenvalues), NO_CEILING, block=block, tol=1e-12, delta=delta, rng=rng, max_passes=passes)


N = 40
# λ₁ = 1 in each.
HARD = {
    "spike": np.r_[1.0, np.full(N - 1, 0.5)],
    "two close": np.r_[1.0, 0.99, np.full(N - 2, 0.5)],
    "linear": 1.0 - np.arange(N) / N,
    "geometric": 0.8 ** np.arange(N),
    "flat": np.ones(N),
}


def failures(eigenvalues: np.ndarray, *, block: int, passes: int, delta: float = DELTA, ritz: bool = False) -> int:
    """Of RUNS starts, how many gave an upper end below λ₁ = 1; the Ritz value stands in for it if ``ritz``."""
    count = 0
    for seed in range(RUNS):
        found = interval(eigenvalues, seed, block=block, passes=passes, delta=delta)
        assert found.lower <= 1.0
        count += (found.lower if ritz else found.upper) < 1.0 - 1e-10
    return count


@pytest.mark.parametrize(
    ("spectrum", "block", "passes"),
    [
        ("spike", 1, 1),
        ("spike", 4, 1),
        ("spike", 4, 2),
        ("two close", 1, 2),
        ("two close", 4, 1),
        ("linear", 4, 3),
        ("geometric", 1, 3),
        ("geometric", 4, 3),
        ("flat", 4, 1),
    ],
)
def test_the_upper_end_fails_at_most_delta_of_the_time(spectrum: str, block: int, passes: int) -> None:
    assert failures(HARD[spectrum], block=block, passes=passes) <= LIMIT


@pytest.mark.parametrize("block", [1, 4])
def test_one_spike_after_one_pass_fails_exactly_delta_of_the_time(block: int) -> None:
    """There p vanishes on all other eigenvalues, so the bound fails when, and only when, ‖x₁ᵀG‖² < q: it is sharp."""
    low = binom.ppf(1e-6, RUNS, DELTA)
    assert low <= failures(HARD["spike"], block=block, passes=1) <= LIMIT


@pytest.mark.parametrize("wrong", [{"ritz": True}, {"delta": 0.5}], ids=["Ritz value", "quantile too large"])
@pytest.mark.parametrize(("spectrum", "passes"), [("spike", 1), ("geometric", 3)])
def test_the_check_notices_a_wrong_bound(wrong: dict[str, Any], spectrum: str, passes: int) -> None:
    assert failures(HARD[spectrum], block=4, passes=passes, **wrong) > LIMIT


def christoffel(eigenvalues: np.ndarray, G: np.ndarray, degree: int, mu: float) -> mpmath.mpf:
    """v(μ)ᵀH⁻¹v(μ) with the moments H_ij = tr(GᵀM^(i+j)G), in 60 digits: no Lanczos, no recurrence."""
    with mpmath.workdps(60):
        weights = [mpmath.fsum(mpmath.mpf(float(g)) ** 2 for g in row) for row in G]
        nodes = [mpmath.mpf(float(value)) for value in eigenvalues]
        moments = [
            mpmath.fsum(w * t**power for w, t in zip(weights, nodes, strict=True)) for power in range(2 * degree + 1)
        ]
        H = mpmath.matrix(degree + 1, degree + 1)
        for i in range(degree + 1):
            for j in range(degree + 1):
                H[i, j] = moments[i + j]
        v = mpmath.matrix([mpmath.mpf(mu) ** i for i in range(degree + 1)])
        return (v.T * mpmath.lu_solve(H, v))[0]


@pytest.mark.parametrize("passes", [2, 3, 4, 6])
@pytest.mark.parametrize("spectrum", ["linear", "geometric"])
def test_upper_end_is_the_root_of_the_christoffel_equation(spectrum: str, passes: int) -> None:
    eigenvalues, seed, block, delta = HARD[spectrum], 5, 3, 1e-6
    found = interval(eigenvalues, seed, block=block, passes=passes, delta=delta)
    G = np.random.default_rng(seed).standard_normal((N, block))
    q = chi2.ppf(delta, block)

    def excess(mu: float) -> float:
        return float(christoffel(eigenvalues, G, passes, mu) * q) - 1.0

    # Bisection left the end at most 1e-3 of the gap above the root.
    gap = found.upper - found.lower
    assert excess(found.upper + 1e-6 * gap) >= 0
    assert excess(found.upper - 2e-3 * gap) <= 0


def test_after_one_pass_the_residual_bounds_better() -> None:
    """λ₁ ≤ θ + ‖residual‖·‖R₁‖/√q, by dense algebra."""
    eigenvalues, seed, block, delta = HARD["linear"], 5, 3, 1e-6
    found = interval(eigenvalues, seed, block=block, passes=1, delta=delta)
    Q, R = np.linalg.qr(np.random.default_rng(seed).standard_normal((N, block)))
    MQ = eigenvalues[:, None] * Q
    residual = np.linalg.norm(MQ - Q @ (Q.T @ MQ), 2)
    ritz = np.linalg.eigvalsh(Q.T @ MQ)[-1]
    expected = ritz + residual * np.linalg.norm(R, 2) / np.sqrt(chi2.ppf(delta, block))
    assert found.upper == pytest.approx(expected, rel=1e-6)


def test_lower_end_is_the_ritz_value_of_the_krylov_space() -> None:
    eigenvalues, seed, block, passes = HARD["linear"], 2, 3, 4
    found = interval(eigenvalues, seed, block=block, passes=passes)
    G = np.random.default_rng(seed).standard_normal((N, block))
    space = np.hstack([eigenvalues[:, None] ** power * G for power in range(passes)])
    Q = np.linalg.qr(space / np.linalg.norm(space, axis=0))[0]
    ritz = np.linalg.eigvalsh(Q.T @ (eigenvalues[:, None] * Q))[-1]
    assert found.lower == pytest.approx(ritz, rel=1e-8)
    assert found.lower <= ritz


def test_smaller_delta_widens_and_more_passes_narrow() -> None:
    def upper(delta: float, passes: int) -> float:
        return interval(HARD["linear"], 0, block=4, passes=passes, delta=delta).upper

    assert upper(1e-2, 4) < upper(1e-6, 4) < upper(1e-12, 4)
    assert upper(1e-6, 3) > upper(1e-6, 4) > upper(1e-6, 5)


def test_christoffel_sum_is_guarded_against_overflow() -> None:
    certificate = Certificate(np.eye(2), DELTA)
    T = np.diag(np.full(42, 0.5)) + np.diag(np.full(40, 0.25), 2) + np.diag(np.full(40, 0.25), -2)
    for passes in range(1, 21):
        certificate.extend(T[: 2 * passes + 2, : 2 * passes])
    assert certificate.kernel(1e100) > HUGE
    assert certificate.kernel(1e5) < HUGE
    assert certificate.holds(1e100, 1.0, 1e-12)


def test_out_of_passes_is_said() -> None:
    found = interval(HARD["linear"], 0, block=1, passes=2)
    assert found.passes == 2
    assert found.upper / found.lower - 1 > 1e-3
    assert found.lower <= 1.0 <= found.upper


def test_products_that_are_nothing_but_rounding_say_nothing() -> None:
    """As those of factors that cancel may be: what is certain is 0 ≤ λ₁ ≤ ‖A‖_F²."""
    found = krylov(Diagonal(np.zeros(N)), 3.0, block=4, tol=1e-2, delta=DELTA, rng=np.random.default_rng(0))
    assert found.lower == 0.0
    assert 3.0 <= found.upper <= 3.0 * (1 + 2.0**-27)
