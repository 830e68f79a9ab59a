"""By-products against the dense SVD: bounds always hold, estimates scatter around the truth, and no pass is added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.spectral.planted import DTYPES, SPECTRA, planted
from tests.support.covering import covering, in_turn
from weightaudit.config import Method
from weightaudit.records import SpectrumDetail
from weightaudit.spectral import digest, measure
from weightaudit.spectral.block_matrix import BlockMatrix
from weightaudit.spectral.krylov import SPECTRUM_PASSES, gaussian_start, krylov
from weightaudit.spectral.operators import dense
from weightaudit.spectral.operators.panels import PanelGram
from weightaudit.spectral.spectrum import LEADING, USEFUL, Projection, dimensions, resolved

SHAPES = {"tall": (150, 90), "wide": (90, 150), "square": (110, 110)}
REFERENCE_ERROR = 1e-14


def singular_values(stored: torch.Tensor) -> np.ndarray:
    """Descending, by LAPACK in float64; scaled so that nothing overflows."""
    W = stored.to(torch.float64)
    scale = float(W.abs().max())
    return torch.linalg.svdvals(W / scale).numpy() * scale


def entropy_rank(sigma: np.ndarray) -> float:
    p = sigma[sigma > 0] / sigma.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def participation(sigma: np.ndarray) -> float:
    sigma = sigma / sigma[0]
    return float((sigma**2).sum() ** 2 / (sigma**4).sum())


def detail_of(matrix: torch.Tensor | Sequence[torch.Tensor], **options: object) -> SpectrumDetail:
    detail = measure(matrix, spectrum=True, **options).detail  # type: ignore[arg-type]
    assert detail
    return detail


def assert_bounds_hold(detail: SpectrumDetail, sigma: np.ndarray) -> None:
    assert len(detail.singular_values) == len(detail.residual_bounds) <= LEADING
    assert list(detail.singular_values) == sorted(detail.singular_values, reverse=True)
    for value, bound in zip(detail.singular_values, detail.residual_bounds, strict=True):
        assert 0 < bound <= USEFUL * value * (1 + 1e-12)
        assert np.abs(sigma - value).min() <= bound + REFERENCE_ERROR * sigma[0]


@pytest.mark.parametrize(
    ("spectrum", "shape", "dtype", "method"),
    [
        *covering([*SPECTRA], [*SHAPES], [*DTYPES], ["krylov"], together=1),
        *covering(["two close", "heavy-tailed"], [*SHAPES], [*DTYPES], ["exact"], together=1),
    ],
)
@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_bound_holds_a_singular_value(spectrum: str, shape: str, dtype: str, method: Method, seeds: int) -> None:
    W = torch.tensor(planted(*SHAPES[shape], spectrum)).to(DTYPES[dtype])
    sigma = singular_values(W)
    for seed in range(seeds):
        detail = detail_of(W, method=method, seed=seed)
        assert_bounds_hold(detail, sigma)
        assert detail.singular_values[0] == pytest.approx(sigma[0], rel=1e-2)
        assert detail.estimated == (method == "krylov")


@pytest.mark.parametrize("seeds", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tol", [0.3, 1e-4])
def test_bounds_of_early_and_late_stops_hold(tol: float, seeds: int) -> None:
    W = torch.tensor(planted(200, 150, "linear"))
    for seed in range(seeds):
        assert_bounds_hold(detail_of(W, method="krylov", tol=tol, seed=seed), singular_values(W))


@pytest.mark.parametrize("seeds", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_bounds_are_not_met_by_slack_alone(seeds: int) -> None:
    """Some true distance comes near its bound, so a bound a tenth as large would not hold."""
    W = torch.tensor(planted(200, 150, "linear"))
    sigma, used = singular_values(W), 0.0
    for seed in range(seeds):
        detail = detail_of(W, method="krylov", tol=0.3, seed=seed)
        pairs = zip(detail.singular_values, detail.residual_bounds, strict=True)
        used = max([used, *(float(np.abs(sigma - value).min()) / bound for value, bound in pairs)])
    assert 0.1 < used <= 1.0


@pytest.mark.parametrize(("shape", "method"), in_turn([*SHAPES], ["krylov", "exact"]))
def test_blocks(shape: str, method: Method) -> None:
    W = torch.tensor(planted(*SHAPES[shape], "heavy-tailed"))
    apart, whole = (detail_of(M, method=method) for M in ([W[:31].clone(), W[31:].clone()], W))
    assert_bounds_hold(apart, singular_values(W))
    assert apart.participation_ratio == pytest.approx(whole.participation_ratio, rel=1e-8)
    assert apart.entropy_effective_rank == pytest.approx(whole.entropy_effective_rank, rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "method", "route"), covering([*SHAPES], ["krylov", "exact"], ["fused", "panels"], together=1)
)
def test_asking_moves_no_number_and_costs_what_estimates_want(
    shape: str, method: Method, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if route == "panels":
        monkeypatch.setattr(dense, "fused", None)
    W = torch.tensor(planted(*SHAPES[shape], "heavy-tailed"))
    plain, asked = measure(W, method=method), measure(W, method=method, spectrum=True)
    assert plain.detail is None
    assert asked.detail is not None
    assert replace(asked, detail=None, passes=plain.passes) == plain
    statistics = 1  # is a pass of its own
    assert asked.passes == (plain.passes if method == "exact" else max(plain.passes, statistics + SPECTRUM_PASSES))
    assert measure(W, method=method, spectrum=True) == asked


@pytest.mark.parametrize("count", [6, *(pytest.param(count, marks=pytest.mark.slow) for count in (12, 40))])
def test_an_upper_end_that_further_passes_contradict_is_none(count: int) -> None:
    """At so large a δ the event fails in half of these; what ten passes find must not lie above the end that fewer
    gave."""
    rng = np.random.default_rng(3)
    for seed in range(count):
        found = measure(rng.standard_normal((10, 19)), method="krylov", delta=0.5, seed=seed, spectrum=True)
        assert found.detail is not None
        least = found.detail.singular_values[0] - found.detail.residual_bounds[0]
        assert least <= found.spectral_norm_upper


@pytest.mark.parametrize(("spectrum", "shape"), covering([*SPECTRA], [*SHAPES], together=1))
def test_exact_route_is_the_whole_spectrum(spectrum: str, shape: str) -> None:
    W = torch.tensor(planted(*SHAPES[shape], spectrum))
    sigma, detail = singular_values(W), detail_of(W, method="exact")
    sigma = np.where(sigma > 1e-12, sigma, 0.0)
    nodes = np.array([node for node, _ in detail.density])
    shares = np.array([share for _, share in detail.density])
    assert not detail.estimated
    assert detail.participation_ratio == pytest.approx(participation(sigma), rel=1e-12)
    # Squaring costs the small ones their last digits.
    assert detail.entropy_effective_rank == pytest.approx(entropy_rank(sigma), rel=1e-6)
    assert shares.sum() == pytest.approx(1.0, rel=1e-12)
    assert list(nodes) == sorted(nodes)
    counts = np.rint(shares * len(sigma)).astype(int)
    np.testing.assert_allclose(np.repeat(nodes, counts), sigma[::-1], atol=1e-7)
    kept = len(detail.singular_values)
    np.testing.assert_allclose(detail.singular_values, sigma[:kept], rtol=1e-10)


@pytest.mark.parametrize(("scale", "method"), covering([1e30, 1e-30, 1e250, 1e-250], ["exact", "krylov"], together=1))
def test_scale_moves_lengths_and_nothing_else(scale: float, method: Method) -> None:
    W = torch.tensor(planted(80, 70, "heavy-tailed"))
    power = 2.0 ** round(math.log2(scale))
    same = digest([W])  # for the same start
    one, scaled = (detail_of(matrix, method=method, digest=same) for matrix in (W, W * power))
    assert_bounds_hold(scaled, singular_values(W * power))
    np.testing.assert_allclose(np.array(scaled.singular_values) / power, one.singular_values, rtol=1e-12)
    np.testing.assert_allclose(np.array(scaled.density)[:, 0] / power, np.array(one.density)[:, 0], rtol=1e-9)
    np.testing.assert_allclose(np.array(scaled.density)[:, 1], np.array(one.density)[:, 1], rtol=1e-9)
    assert scaled.participation_ratio == pytest.approx(one.participation_ratio, rel=1e-10)
    assert scaled.entropy_effective_rank == pytest.approx(one.entropy_effective_rank, rel=1e-10)


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_scaled_half_and_single(dtype: str, scale: float) -> None:
    W = torch.tensor(planted(80, 70, "heavy-tailed") * scale).to(DTYPES[dtype])
    assert_bounds_hold(detail_of(W, method="krylov"), singular_values(W))


@pytest.mark.parametrize(("rank", "shape"), covering([1, 2, 3, 5, 9, 20], [(90, 60), (60, 90), (70, 70)], together=1))
@pytest.mark.parametrize("seeds", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_low_rank_ends_the_krylov_space_and_leaves_nothing_to_estimate(
    rank: int, shape: tuple[int, int], seeds: int
) -> None:
    """T has dropped directions; every nonzero singular value is found, so the estimates are exact."""
    g = torch.Generator().manual_seed(rank)
    W = torch.randn(shape[0], rank, generator=g).double() @ torch.randn(rank, shape[1], generator=g).double()
    sigma = singular_values(W)
    for seed in range(seeds):
        detail = detail_of(W, method="krylov", tol=1e-9, seed=seed)
        assert_bounds_hold(detail, sigma)
        assert detail.participation_ratio == pytest.approx(participation(sigma), rel=1e-6)
        assert detail.entropy_effective_rank == pytest.approx(entropy_rank(sigma[:rank]), rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (3, 3), (5, 4)])
def test_tiny_matrices_are_spanned_whole(shape: tuple[int, int]) -> None:
    W = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma, detail = singular_values(W), detail_of(W, method="krylov", tol=1e-9)
    assert_bounds_hold(detail, sigma)
    assert detail.participation_ratio == pytest.approx(participation(sigma), rel=1e-6)
    assert detail.entropy_effective_rank == pytest.approx(entropy_rank(sigma), rel=1e-6)


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_no_spectrum_of_nothing_and_of_nan(method: Method) -> None:
    broken = torch.ones(20, 30)
    broken[3, 4] = torch.nan
    for W in (torch.zeros(20, 30), torch.zeros(0, 5), broken):
        assert measure(W, method=method, spectrum=True).detail is None


@pytest.mark.parametrize("seeds", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("spectrum", "shape"), covering([*SPECTRA], [*SHAPES], together=1))
def test_every_estimate_is_consistent(spectrum: str, shape: str, seeds: int) -> None:
    """Shares add up to 1, and no effective rank leaves the range that its definition gives it."""
    W = torch.tensor(planted(*SHAPES[shape], spectrum))
    for seed in range(seeds):
        s = measure(W, method="krylov", seed=seed, spectrum=True)
        assert s.detail
        nodes, shares = np.array(s.detail.density).T
        assert shares.sum() == pytest.approx(1.0, rel=1e-9)
        assert (shares > 0).all()
        assert (np.diff(nodes) > 0).all()
        assert nodes[0] >= 0
        full = min(W.shape)
        assert s.stable_rank_lower * (1 - 1e-6) <= s.detail.participation_ratio <= full * 1.1
        assert 1 - 1e-9 <= s.detail.entropy_effective_rank <= full * (1 + 1e-9)


# Spectrum, shape: (largest error of the mean, of one run), relative. Quadrature errs low on the entropy rank where
# singular values come close to zero.
RUNS = 40
FEW_OR_MANY = [10, pytest.param(RUNS, marks=pytest.mark.slow)]
"""Runs whose mean is held to the same bounds: of few it scatters twice as far, and a bias is seen all the same."""
ENTROPY = {
    ("heavy-tailed", (300, 150)): (0.02, 0.05),
    ("heavy-tailed", (150, 300)): (0.04, 0.12),
    ("linear", (200, 200)): (0.02, 0.06),
    ("geometric", (200, 150)): (0.06, 0.12),
}


@pytest.mark.parametrize("runs", FEW_OR_MANY)
@pytest.mark.parametrize(
    ("spectrum", "shape"),
    [pytest.param(*case, marks=[] if case[1] == (150, 300) else pytest.mark.slow) for case in ENTROPY],
)
def test_entropy_rank_is_near(spectrum: str, shape: tuple[int, int], runs: int) -> None:
    W = torch.tensor(planted(*shape, spectrum))
    true = entropy_rank(singular_values(W))
    errors = np.array(
        [detail_of(W, method="krylov", seed=seed).entropy_effective_rank / true - 1 for seed in range(runs)]
    )
    mean, single = ENTROPY[spectrum, shape]
    assert abs(errors.mean()) < mean
    assert np.abs(errors).max() < single


@pytest.mark.parametrize("runs", [4, *(pytest.param(runs, marks=pytest.mark.slow) for runs in (10, RUNS))])
@pytest.mark.parametrize(
    ("spectrum", "shape"),
    [
        ("heavy-tailed", (150, 300)),
        *(
            pytest.param(spectrum, shape, marks=pytest.mark.slow)
            for spectrum in ("linear", "heavy-tailed", "two close")
            for shape in ((300, 150), (150, 300), (200, 200))
            if (spectrum, shape) != ("heavy-tailed", (150, 300))
        ),
    ],
)
def test_participation_ratio_scatters_around_the_truth(spectrum: str, shape: tuple[int, int], runs: int) -> None:
    W = torch.tensor(planted(*shape, spectrum))
    true = participation(singular_values(W))
    inverse = np.array(
        [true / detail_of(W, method="krylov", seed=seed).participation_ratio - 1 for seed in range(4 * runs)]
    )
    # Calibration and the choice of what counts as resolved leave a bias of the order of one dimension in n·b.
    assert abs(inverse.mean()) < 4 * inverse.std() / math.sqrt(len(inverse)) + 2.0 / (4 * max(shape))
    assert inverse.std() < 0.04


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, *(pytest.param(runs, marks=pytest.mark.slow) for runs in (10, RUNS))])
@pytest.mark.parametrize("spectrum", ["linear", pytest.param("heavy-tailed", marks=pytest.mark.slow)])
def test_distribution_is_that_of_the_singular_values(spectrum: str, runs: int) -> None:
    """The mean distribution over starts differs from the true one by less than a step of a single rule."""
    W = torch.tensor(planted(200, 150, spectrum))
    sigma = singular_values(W)
    grid = np.linspace(0.05, 1.0, 40) * sigma[0]
    mean, step = np.zeros_like(grid), 0.0
    for seed in range(runs):
        nodes, shares = np.array(detail_of(W, method="krylov", seed=seed).density).T
        step = max(step, shares.max())
        mean += np.array([shares[nodes <= x].sum() for x in grid]) / runs
    true = np.array([(sigma <= x).mean() for x in grid])
    assert np.abs(mean - true).max() < step < 0.25
    assert np.abs(mean - true).mean() < 0.03


@pytest.mark.parametrize("runs", [20, *(pytest.param(runs, marks=pytest.mark.slow) for runs in (50, 200))])
@pytest.mark.parametrize(
    ("shape", "passes"),
    [
        pytest.param(shape, passes, marks=[] if (shape, passes) == ((60, 40), 3) else pytest.mark.slow)
        for shape in ((60, 40), (40, 60))
        for passes in (1, 2, 3)
    ],
)
def test_rule_is_exact_to_twice_the_passes_and_right_in_the_mean(
    shape: tuple[int, int], passes: int, runs: int
) -> None:
    """Σ weight·node^d = tr GᵀM^d G for d ≤ 2·passes, whatever the start; b·tr M^d is the mean of that."""
    W = planted(*shape, "linear")
    M = W.T @ W
    powers = [np.linalg.matrix_power(M, d) for d in range(2 * passes + 2)]
    sums = []
    for seed in range(runs):
        gram = PanelGram(BlockMatrix((W,)), True, 1.0)
        options = {"block": 4, "tol": 1e-12, "delta": 1e-6, "max_passes": passes}
        found = krylov(gram, float(M.trace()), rng=np.random.default_rng(seed), **options).spectrum  # type: ignore[arg-type]
        assert isinstance(found, Projection)
        G = gaussian_start(gram.n, 4, np.random.default_rng(seed))
        nodes, seen = found.rule()
        sums.append(
            [
                math.fsum(w * node**d for node, w in zip(nodes, seen.sum(axis=0), strict=True))
                for d in range(2 * passes + 2)
            ]
        )
        if seed < 5:
            exact = [float((G * (power @ G)).sum()) for power in powers]
            assert sums[-1][:-1] == pytest.approx(exact[:-1], rel=1e-9)
            assert sums[-1][-1] != pytest.approx(exact[-1], rel=1e-9)
    means, deviations = np.mean(sums, axis=0), np.std(sums, axis=0) / math.sqrt(len(sums))
    for d in range(2 * passes + 1):
        assert abs(means[d] - 4 * float(powers[d].trace())) < 4 * deviations[d]


def test_resolved_counts_leading_groups_smaller_than_the_block() -> None:
    tight = [1e-9] * 6
    assert resolved([9.0, 8.0, 7.0, 3.0, 2.0, 1.0], tight, 4) == 5
    # Four copies may be a sample of more; so nothing from them on.
    assert resolved([9.0, 5.0, 5.0, 5.0, 5.0, 1.0], tight, 4) == 1
    assert resolved([9.0, 5.0, 5.0, 5.0, 2.0, 1.0], tight, 4) == 5
    # Residuals that bridge the gap join neighbours.
    assert resolved([9.0, 8.0, 7.0, 6.0, 5.0, 1.0], [1e-9, 0.2, 0.2, 0.2, 0.2, 0.2], 4) == 1


def test_dimensions_keep_count_and_trace_and_give_zeros_to_the_least() -> None:
    values, seen = [4.0, 2.0, 1.0, 0.0], [5.0, 11.0, 20.0, 44.0]
    weights = dimensions(values, seen, 12, null=8, trace=20.0)
    assert math.fsum(weights) == pytest.approx(12.0)
    assert math.fsum(w * v for w, v in zip(weights, values, strict=True)) == pytest.approx(20.0)
    assert min(weights) >= 0
    # No linear factor with positive weights reaches a trace beyond the largest value: count alone is kept.
    unreachable = dimensions(values, seen, 12, null=8, trace=100.0)
    assert math.fsum(unreachable) == pytest.approx(12.0)
    assert min(unreachable) >= 0
    assert dimensions([], [], 0, null=0, trace=0.0) == []
