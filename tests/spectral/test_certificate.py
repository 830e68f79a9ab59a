"""The upper end fails as seldom as promised, and these checks notice when it does not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from itertools import islice
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.special import bdtr, gammaincinv

from weightaudit.spectral.certificate import Certificate
from weightaudit.spectral.chi_squared import chi2_quantile
from weightaudit.spectral.krylov import krylov
from weightaudit.spectral.spectrum import Interval
from weightaudit.spectral.tensors import Device

DELTA = 0.1
RUNS = [100, pytest.param(1000, marks=pytest.mark.slow)]
"""Starts of a sharp bound. Each is held to its own event, so that a hundred tell what a thousand would have to be
counted for: one that fails with probability 0.15 is noticed with 99 %."""
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


def failures(runs: int, probability: float) -> int:
    """How many a bound that fails with DELTA does not exceed, with this probability."""
    return int(np.searchsorted(bdtr(np.arange(runs + 1), runs, DELTA), probability))


def limit(runs: int) -> int:
    """A right bound exceeds this many failures with probability 1e-6."""
    return failures(runs, 1 - 1e-6)


def squares(delta: float, block: int) -> float:
    """The quantile of χ² by scipy, not by us."""
    return float(2 * gammaincinv(block / 2, delta))


def starts(
    eigenvalues: np.ndarray, *, block: int, passes: int, delta: float = DELTA, ritz: bool = False
) -> Iterator[tuple[bool, float]]:
    """Of one start after the other, whether its upper end is below λ₁ = 1, and ‖x₁ᵀG‖² in units of the DELTA-quantile
    that it exceeds on the event; below 1 the bound may fail. The Ritz value stands in for the bound if ``ritz``."""
    q = squares(DELTA, block)
    for seed in itertools.count():
        found = interval(eigenvalues, seed, block=block, passes=passes, delta=delta)
        assert found.lower <= 1.0
        first = np.random.default_rng(seed).standard_normal((N, block))[0]
        yield (found.lower if ritz else found.upper) < 1.0 - 1e-10, float(first @ first / q)


CASES = [
    ("spike", 1, 1),
    ("spike", 4, 1),
    ("spike", 4, 2),
    ("two close", 1, 2),
    ("two close", 4, 1),
    ("linear", 4, 3),
    ("geometric", 1, 3),
    ("geometric", 4, 3),
    ("flat", 4, 1),
]
FEW = [("spike", 4, 2), ("two close", 4, 1), ("geometric", 1, 3), ("geometric", 4, 3)]
"""Each block, and each number of passes; one pass over a spike is counted exactly."""


@pytest.mark.parametrize(
    ("spectrum", "block", "passes", "runs"),
    [
        *((*case, 25) for case in FEW),
        *(pytest.param(*case, runs, marks=pytest.mark.slow) for case in CASES for runs in (100, 1000)),
    ],
)
def test_the_upper_end_fails_at_most_delta_of_the_time(spectrum: str, block: int, passes: int, runs: int) -> None:
    """And never on the event; of few starts the one after this, whose bound is sharp, looks at more."""
    tried = list(islice(starts(HARD[spectrum], block=block, passes=passes), runs))
    assert not [size for fails, size in tried if fails and size >= 1.0]
    assert sum(fails for fails, _ in tried) <= limit(runs)


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("block", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_one_spike_after_one_pass_fails_exactly_delta_of_the_time(block: int, runs: int) -> None:
    """There p vanishes on all other eigenvalues, so the bound fails when, and only when, ‖x₁ᵀG‖² < q: it is sharp."""
    tried = list(islice(starts(HARD["spike"], block=block, passes=1), runs))
    # The search leaves the end up to 1e-3 of the gap above where it might be.
    assert all(fails == (size < 1.0) for fails, size in tried if not 0.99 < size < 1.0)
    assert failures(runs, 1e-6) <= sum(fails for fails, _ in tried) <= limit(runs)


WRONG: dict[str, dict[str, Any]] = {"Ritz value": {"ritz": True}, "quantile too large": {"delta": 0.5}}


@pytest.mark.parametrize("wrong", [*WRONG, "another block"])
@pytest.mark.parametrize(("spectrum", "passes"), [("spike", 1), ("geometric", 3)])
def test_the_check_notices_a_wrong_bound(
    wrong: str, spectrum: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the first hundred starts."""
    if wrong == "another block":
        monkeypatch.setattr(
            "weightaudit.spectral.certificate.chi2_quantile", lambda delta, block: chi2_quantile(delta, block + 2)
        )
    tried = islice(starts(HARD[spectrum], block=4, passes=passes, **WRONG.get(wrong, {})), 100)
    assert any(fails and size >= 1.0 for fails, size in tried)


@pytest.mark.parametrize(
    ("spectrum", "passes", "wrong", "runs"),
    [
        ("spike", 1, "Ritz value", 100),
        *(
            pytest.param(spectrum, passes, wrong, 1000, marks=pytest.mark.slow)
            for spectrum, passes in (("spike", 1), ("geometric", 3))
            for wrong in WRONG
        ),
    ],
)
def test_so_does_a_count_of_failures(spectrum: str, passes: int, wrong: str, runs: int) -> None:
    """Of so many starts, which ends as soon as there are too many."""
    tried = islice(starts(HARD[spectrum], block=4, passes=passes, **WRONG[wrong]), runs)
    failures = (1 for fails, _ in tried if fails)
    assert sum(islice(failures, limit(runs) + 1)) > limit(runs)


def christoffel(eigenvalues: np.ndarray, G: np.ndarray, degree: int, mu: float) -> float:
    """The least eigenvalue of v(μ)ᵀ𝓗⁻¹v(μ) with the moments 𝓗_ij = GᵀM^(i+j)G, in 60 digits: no Lanczos."""
    b = G.shape[1]
    with mpmath.workdps(60):
        start = mpmath.matrix(G.tolist())
        moments = []
        for power in range(2 * degree + 1):
            moments.append(start.T * mpmath.diag([mpmath.mpf(float(t)) ** power for t in eigenvalues]) * start)
        moment = mpmath.matrix(b * (degree + 1), b * (degree + 1))
        powers = mpmath.matrix(b * (degree + 1), b)
        for i in range(degree + 1):
            for r in range(b):
                powers[b * i + r, r] = mpmath.mpf(mu) ** i
                for j in range(degree + 1):
                    for c in range(b):
                        moment[b * i + r, b * j + c] = moments[i + j][r, c]
        inverse = mpmath.inverse(moment)
        return float(min(mpmath.eigsy(powers.T * inverse * powers, eigvals_only=True)))


@pytest.mark.parametrize(
    ("spectrum", "passes"),
    [
        pytest.param(spectrum, passes, marks=[] if passes < 3 else pytest.mark.slow)
        for spectrum in ("linear", "geometric")
        for passes in (1, 2, 3, 5)
    ],
)
def test_upper_end_is_the_root_of_the_christoffel_equation(spectrum: str, passes: int) -> None:
    eigenvalues, seed, block, delta = HARD[spectrum], 5, 3, 1e-6
    found = interval(eigenvalues, seed, block=block, passes=passes, delta=delta)
    G = np.random.default_rng(seed).standard_normal((N, block))
    q = squares(delta, block)

    def excess(mu: float) -> float:
        return christoffel(eigenvalues, G, passes, mu) * q - 1.0

    # The search left the end at most 1e-3 of the gap above the root.
    gap = found.upper - found.lower
    assert excess(found.upper + 1e-6 * gap) >= 0
    assert excess(found.upper - 2e-3 * gap) <= 0


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_the_residual_alone_never_bounds_better(passes: int) -> None:
    """λ₁ ≤ θ + ‖residual‖·‖R₁‖/√q, by dense algebra."""
    eigenvalues, seed, block, delta = HARD["linear"], 5, 3, 1e-6
    found = interval(eigenvalues, seed, block=block, passes=passes, delta=delta)
    G = np.random.default_rng(seed).standard_normal((N, block))
    Q = np.linalg.qr(np.hstack([eigenvalues[:, None] ** power * G for power in range(passes)]))[0]
    MQ = eigenvalues[:, None] * Q
    residual = np.linalg.norm(MQ - Q @ (Q.T @ MQ), 2)
    ritz = np.linalg.eigvalsh(Q.T @ MQ)[-1]
    size = np.linalg.norm(np.linalg.qr(G)[1], 2)
    assert found.upper < ritz + residual * size / np.sqrt(squares(delta, block))


def beta_squared(T: np.ndarray, R1: np.ndarray, mu: float) -> float:
    """The most that ‖x₁ᵀG‖² may be where λ₁ is ``mu``: over all unit (z, w) with (μ − T)z = Cᵀw, from their basis."""
    N = T.shape[1]
    basis = np.linalg.svd(np.hstack([mu * np.eye(N) - T[:N], -T[N:].T]))[2][N:].T
    return float(np.linalg.norm(R1.T @ basis[: len(R1)], 2) ** 2)


def test_what_is_excluded_is_excluded_from_there_on() -> None:
    """β need not fall: here λ are excluded below others that are not, and the upper end is above them all."""
    T, R1 = np.array([[0.0, 0.0], [0.0, 0.9], [0.007, 0.007], [0.7, -0.7]]), np.diag([1.0, 0.01])
    certificate = Certificate(R1, 1e-2)
    grid = np.linspace(0.92, 10.0, 200)
    allowed = np.array([beta_squared(T, R1, mu) >= certificate.q for mu in grid])
    last = int(np.flatnonzero(allowed)[-1])
    assert not allowed[0]
    assert certificate.excludes(grid[0], T, 0.9, 1e-14)
    assert grid[last] <= certificate.upper_end(T, 0.9, 1e-14) <= grid[last + 1] * 1.002


@pytest.mark.parametrize(
    "scale", [1e-200, 1e200, *(pytest.param(scale, marks=pytest.mark.slow) for scale in (1e-30, 1e30))]
)
def test_the_scale_of_the_matrix_is_no_matter(scale: float) -> None:
    T = np.diag(np.full(42, 0.5)) + np.diag(np.full(40, 0.2), 2) + np.diag(np.full(40, 0.2), -2)
    certificate, T = Certificate(5.0 * np.eye(2), DELTA), T[:, :40]
    theta = np.linalg.eigvalsh(T[:40])[-1]
    upper = certificate.upper_end(T, theta, 1e-14)
    assert certificate.excludes(1.01 * upper, T, theta, 1e-14)
    with np.errstate(all="raise", under="ignore"):
        assert certificate.upper_end(scale * T, scale * theta, scale * 1e-14) == pytest.approx(scale * upper, rel=1e-9)
        assert certificate.excludes(scale * 1.01 * upper, scale * T, scale * theta, scale * 1e-14)


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
