"""The checks of the theory: what they measure against independent computations, and that each can come out false."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from weightaudit.audit.progress import Progress, Silent
from weightaudit.errors import WeightauditError
from weightaudit.paper import nets
from weightaudit.paper.data import leaning
from weightaudit.paper.lemmas import (
    common,
    deep_linear,
    deep_relu,
    experiment,
    shallow,
    stationarity,
    stationary_points,
)
from weightaudit.paper.lemmas.experiment import LemmasConfig
from weightaudit.paper.lemmas.flow import Flow, balanced, gradient_flow
from weightaudit.paper.lemmas.tasks import largest_overlap, tasks, two_tasks
from weightaudit.paper.results import Claim, Result
from weightaudit.paper.training import descend, single_threaded

TINY = LemmasConfig(
    draws=5,
    depth=2,
    width=8,
    dimension=4,
    points=6,
    steps=1500,
    decays=(0.02,),
    shallow_width=6,
    shallow_steps=100,
    shallow_decays=(0.05,),
    epsilons=(0.0, 0.2),
    flow_decays=(0.05,),
    relu_depths=(2,),
    relu_widths=(6,),
)
SHORT = dataclasses.replace(TINY, draws=2, steps=30, shallow_steps=10, lifetimes=1.0, linear_rtol=1e-6)
"""Long enough for what does not depend on where training ends."""
IDS = (
    "alignment",
    "rank-one",
    "norm-preservation",
    "low-rank",
    "shallow-relu-length",
    "shallow-relu-merging",
    "deep-linear-merging",
    "deep-linear-merging-by-layer",
    "balance-kept",
    "deep-relu-merging",
    "hidden-activations-orthogonal",
    "deep-relu-merging-disjoint",
)


@pytest.fixture(scope="module")
def result() -> Result:
    return experiment.run(TINY, Silent())


@pytest.fixture(scope="module")
def descended(result: Result) -> pd.DataFrame:
    points = result.points[result.points["part"] == "descent"].dropna(axis=1, how="all")
    flags = ["sufficient_descent", "collapsed", "stationary"]
    return points.astype(dict.fromkeys(flags, bool))


def outcomes(result: Result) -> dict[str, str]:
    return {claim.id: claim.outcome for claim in result.claims}


# The whole experiment


def test_every_check_gives_its_claims_and_points(result: Result) -> None:
    assert tuple(claim.id for claim in result.claims) == IDS
    assert set(result.points["part"]) == {"descent", "shallow", "deep linear", "deep ReLU"}
    held = result.points[common.HELD]
    assert held.notna().all()
    assert held.astype(bool).any()
    assert not held.astype(bool).all()
    for claim in result.claims:
        assert claim.tolerance
        assert claim.why
        assert any("deviation" in name for name in claim.numbers), claim.id
    panels = [chart.panel for chart in result.charts]
    assert len(set(panels)) == len(panels)


def test_what_is_a_theorem_by_an_elementary_proof_holds_at_any_size(result: Result) -> None:
    found = outcomes(result)
    for name in ("rank-one", "norm-preservation", "low-rank", "shallow-relu-length", "shallow-relu-merging"):
        assert found[name] == "true", name
    assert found["deep-linear-merging"] == found["balance-kept"] == "true"


@pytest.mark.parametrize(
    ("part", "check"),
    [
        pytest.param("descent", stationary_points.check, marks=pytest.mark.slow),
        ("shallow", shallow.check),
        pytest.param("deep linear", deep_linear.check, marks=pytest.mark.slow),
        pytest.param("deep ReLU", deep_relu.check, marks=pytest.mark.slow),
    ],
)
def test_the_same_seed_gives_the_same_points(
    result: Result, part: str, check: Callable[[LemmasConfig, Progress], Result]
) -> None:
    with single_threaded():
        again = check(TINY, Silent())
    of_part = result.points[result.points["part"] == part].reset_index(drop=True)
    assert len(again.points) > 0
    pd.testing.assert_frame_equal(of_part[again.points.columns], again.points, check_exact=True, check_dtype=False)
    assert all(claim in result.claims for claim in again.claims)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_descents() -> None:
    with single_threaded():
        once, again = (stationarity.descents(SHORT, Silent()) for _ in range(2))
    assert len(once) > 0
    pd.testing.assert_frame_equal(once, again, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("check", [stationary_points.check, deep_linear.check])
def test_the_same_seed_gives_the_same_short_run(check: Callable[[LemmasConfig, Progress], Result]) -> None:
    with single_threaded():
        once, again = (check(SHORT, Silent()) for _ in range(2))
    assert len(once.points) > 0
    pd.testing.assert_frame_equal(once.points, again.points, check_exact=True)
    assert once.claims == again.claims


def test_another_seed_gives_others() -> None:
    a = tasks(TINY)
    b = tasks(dataclasses.replace(TINY, seed=1))
    assert not torch.equal(a.x, b.x)


@pytest.mark.slow
def test_too_few_draws_decide_nothing_but_failures() -> None:
    few = experiment.run(dataclasses.replace(TINY, draws=2), Silent())
    assert set(outcomes(few).values()) <= {"inconclusive", "false"}


def test_two_draws_of_these_decide_nothing_but_failures(result: Result, descended: pd.DataFrame) -> None:
    few = result.points[result.points["draw"] < 2]
    narrow, deep = (few[few["part"] == part].astype({common.HELD: bool}) for part in ("shallow", "deep linear"))
    found = [
        *stationary_points.claims(descended[descended["draw"] < 2], TINY),
        *(shallow.lemma_5(narrow), shallow.corollary_1(narrow), deep_linear.theorem_1(deep)),
    ]
    assert len(found) == 7
    assert {claim.outcome for claim in found} <= {"inconclusive", "false"}


def test_a_flow_that_takes_too_long_is_an_error_with_a_next_step() -> None:
    with pytest.raises(WeightauditError, match="100 evaluations"):
        deep_linear.check(dataclasses.replace(SHORT, evaluations=100, lifetimes=20.0), Silent())


def test_networks_that_collapse_or_diverge_prove_nothing() -> None:
    collapsing = dataclasses.replace(TINY, decays=(1.5,), steps=100)
    points = stationarity.descents(collapsing, Silent())
    assert points["collapsed"].any()
    assert not points["stationary"].any()
    diverging = stationarity.descents(dataclasses.replace(TINY, rate=1e4, steps=50), Silent())
    assert not diverging["stationary"].any()
    for config, found in ((collapsing, points), (TINY, diverging)):
        assert {claim.outcome for claim in stationary_points.claims(found, config)} == {"inconclusive"}


# Tasks


def test_separable_inputs_are_orthogonally_separable_and_the_blocks_orthogonal() -> None:
    config = dataclasses.replace(TINY, points=30, dimension=3)
    first, second = two_tasks(config, separable=True)
    for task in (first, second):
        torch.testing.assert_close(task.x.norm(dim=-1), torch.ones(5, 30, dtype=torch.float64))
        signed = task.y[:, :, None] * task.y[:, None, :] * (task.x @ task.x.mT)
        assert signed.min() > 0
    assert largest_overlap(first.x, second.x).max() == 0
    assert torch.equal(tasks(config).y.abs(), torch.ones(5, 30, dtype=torch.float64))


def test_leaning_inputs_overlap_by_epsilon() -> None:
    first, second = two_tasks(TINY)
    x = leaning(first.x, second.x, 0.3)
    torch.testing.assert_close(x.norm(dim=-1), torch.ones(5, 6, dtype=torch.float64))
    torch.testing.assert_close(largest_overlap(x, second.x), torch.full((5, 6), 0.3, dtype=torch.float64))


# Lemmas 1 to 4: what is measured


def test_measurements_against_autograd_and_numpy() -> None:
    generator = torch.Generator().manual_seed(5)
    weights = nets.initialise((4, 5, 3, 1), 2, generator=generator, dtype=torch.float64, scale=1.4)
    x = torch.randn(2, 8, 4, generator=generator, dtype=torch.float64)
    y = torch.where(torch.randn(2, 8, generator=generator) > 0, 1.0, -1.0).double()
    decay = torch.tensor([0.05, 0.3], dtype=torch.float64)
    found = stationarity.measured(weights, x, y, decay, "relu", rate=0.1)
    for i in range(2):
        own = [W[i].clone().requires_grad_() for W in weights]
        hidden = x[i].T
        for W in own[:-1]:
            hidden = torch.relu(W @ hidden)
        margins = y[i] * (own[-1] @ hidden)[0]
        loss = torch.log1p(torch.exp(-margins)).mean()
        lam = decay[i].item()
        objective = loss + lam / 2 * sum((W**2).sum() for W in own)
        (slope,) = (torch.cat([g.flatten() for g in torch.autograd.grad(objective, own, retain_graph=True)]),)
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, own)])
        theta = torch.cat([W.detach().flatten() for W in own])
        assert found["objective"][i].item() == pytest.approx(objective.item(), rel=1e-12)
        cosine = torch.nn.functional.cosine_similarity(theta, -gradient, dim=0)
        assert found["cosine"][i].item() == pytest.approx(cosine.item(), rel=1e-10)
        assert found["residual"][i].item() == pytest.approx((slope.norm() / (lam * theta.norm())).item(), rel=1e-10)

        arrays = [W.detach().numpy() for W in own]
        norms = np.array([np.linalg.norm(A) for A in arrays])
        spectra = [np.linalg.svd(A, compute_uv=False) for A in arrays]
        assert found["sigma_ratio"][i].item() == pytest.approx(max(s[1] / s[0] for s in spectra[:-1]))
        assert found["norm_spread"][i].item() == pytest.approx(norms.max() / norms.min())
        assert found["lhs"][i].item() == pytest.approx(np.mean([s[0] / n for s, n in zip(spectra, norms, strict=True)]))
        z = margins.detach().numpy()
        slopes = 1 / (1 + np.exp(z))
        radius, omega = np.linalg.norm(x[i].numpy(), axis=1).max(), norms.prod() ** (1 / 3)
        assert found["rhs"][i].item() == pytest.approx((lam / omega / radius / slopes.mean()) ** (1 / 3))
        assert found["rhs_loss"][i].item() == pytest.approx((lam / omega / radius / loss.item()) ** (1 / 3))
        radial = np.abs(1 - (slopes * z).mean() / (lam * norms**2)).max()
        assert found["radial_residual"][i].item() == pytest.approx(radial)


def test_sufficient_descent_tells_a_step_that_is_too_long() -> None:
    weights = nets.initialise((4, 5, 1), 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64, scale=1.4)
    x = torch.eye(4, dtype=torch.float64)[None]
    y = torch.ones(1, 4, dtype=torch.float64)
    decay = torch.tensor([0.1], dtype=torch.float64)
    for rate, expected in ((0.01, True), (50.0, False)):
        assert stationarity.measured(weights, x, y, decay, "linear", rate)["sufficient_descent"].item() is expected


def test_no_point_of_a_linear_network_is_further_from_rank_one_than_from_stationarity(descended: pd.DataFrame) -> None:
    linear = descended[descended["case"] == stationarity.LINEAR.name]
    assert linear["rank_one_excess"].max() < 1e-12
    relu = descended[descended["case"] == stationarity.SEPARABLE.name]
    assert relu["rank_one_excess"].max() > 0.1  # Lemma 2 is of linear networks alone


# Lemmas 1 to 4: verdicts


def test_alignment_comes_out_false_where_a_run_that_descended_ends_unaligned(descended: pd.DataFrame) -> None:
    assert stationary_points.alignment(descended, TINY).outcome == "true"
    end = descended["step"] == descended["step"].max()
    broken = descended.assign(residual=descended["residual"].where(~end, 0.3))
    assert stationary_points.alignment(broken, TINY).outcome == "false"
    unmet = broken.assign(sufficient_descent=False)
    assert stationary_points.alignment(unmet, TINY).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("check", "column", "value"),
    [
        (stationary_points.rank_one, "sigma_ratio", 0.01),
        (stationary_points.norm_preservation, "norm_spread", 1.01),
        (stationary_points.low_rank, "lhs", 0.05),
    ],
)
def test_a_single_stationary_point_can_make_a_claim_false(
    descended: pd.DataFrame, check: Callable[[pd.DataFrame, LemmasConfig], Claim], column: str, value: float
) -> None:
    judged_on = descended["stationary"] & (descended["case"] == stationarity.LINEAR.name)
    one = descended.index == descended.index[judged_on][0]
    elsewhere = descended.index == descended.index[~descended["stationary"]][0]
    assert check(descended.assign(**{column: descended[column].mask(elsewhere, value)}), TINY).outcome == "true"
    assert check(descended.assign(**{column: descended[column].mask(one, value)}), TINY).outcome == "false"


def test_lemma_4_fails_for_a_decay_that_the_networks_were_not_trained_with() -> None:
    """The bound is not idle: with ten times the λ that shaped the weights it is wrong."""
    task = tasks(TINY)
    start = nets.initialise((4, 4, 1), 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, scale=1.4)
    decay = torch.full((5,), 0.01, dtype=torch.float64)
    weights = descend(start, task.x, task.y, rate=0.5, decay=decay, steps=1500, activation="linear")
    told = stationarity.measured(weights, task.x, task.y, decay, "linear", 0.5)
    assert (told["lhs"] >= told["rhs"]).all()
    wrong = stationarity.measured(weights, task.x, task.y, 10 * decay, "linear", 0.5)
    assert (wrong["lhs"] < wrong["rhs"]).any()
    assert (wrong["residual"] > 0.5).all()


# Lemma 5 and Corollary 1


def shallow_run(W: Tensor, steps: tuple[int, ...], left: float, decay: float) -> shallow.Run:
    """Networks that have ``left`` of themselves after each step."""
    draws, h, _ = W.shape
    output = torch.ones(draws, h, dtype=torch.float64) / h**0.5
    states = {step: W * left**step for step in steps}
    return shallow.Run(decay, 1.0, output, states, states)


def test_lemma_5_comes_out_false_for_weights_that_do_not_decay() -> None:
    first, second = two_tasks(TINY)
    W = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for left, expected in ((0.9, "true"), (0.95, "false")):
        run = shallow_run(W, (0, 10, 20), left, decay=0.1)
        rows = shallow.measured(run, first.x, largest_overlap(first.x, second.x), epsilon=0.0)
        claim = shallow.lemma_5(pd.DataFrame(rows))
        assert claim.outcome == expected
        assert claim.numbers["points"] == 15


def test_lemma_5_counts_failures_outside_its_assumptions_apart() -> None:
    first, second = two_tasks(TINY)
    W = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    run = shallow_run(W, (0, 1), 1.0, decay=1.5)  # ηλ > 1
    claim = shallow.lemma_5(pd.DataFrame(shallow.measured(run, first.x, largest_overlap(first.x, second.x), 0.0)))
    assert claim.outcome == "inconclusive"
    assert claim.numbers["failures where they do not"] == 5


def test_the_shallow_descent_is_the_networks_own() -> None:
    """W's steps against autograd, and a as it was."""
    config = dataclasses.replace(TINY, draws=1, shallow_steps=3, shallow_decays=(0.2,))
    first, second = two_tasks(config)
    (run,) = shallow._runs(config, first, second, Silent())
    W = run.other[0][0].clone()
    for _ in range(3):
        W.requires_grad_()
        scores = torch.relu(second.x[0] @ W.T) @ run.output[0]
        objective = torch.log1p(torch.exp(-second.y[0] * scores)).mean() + 0.1 * (W**2).sum()
        (slope,) = torch.autograd.grad(objective, [W])
        W = (W - config.shallow_rate * slope).detach()
    torch.testing.assert_close(run.other[3][0], W, rtol=1e-12, atol=1e-14)
    assert run.output.norm().item() == pytest.approx(1.0)


def test_corollary_1_comes_out_false_where_a_gap_is_too_large(result: Result) -> None:
    points = result.points[result.points["part"] == "shallow"].astype({common.HELD: bool})
    assert shallow.corollary_1(points).outcome == "true"
    one = points.index == points.index[3]
    broken = points.assign(gap_failing=points["gap_failing"].mask(one, 1))
    assert shallow.corollary_1(broken).outcome == "false"


def test_at_epsilon_zero_lemma_5_is_an_equality_and_the_gap_grows_with_epsilon(result: Result) -> None:
    points = result.points[result.points["part"] == "shallow"]
    end = points[points["step"] == points["step"].max()]
    exact = end[end["epsilon"] == 0]
    np.testing.assert_allclose(exact["lhs"].astype(float), exact["rhs"].astype(float), rtol=1e-10)
    assert (exact["overlap"] == 0).all()
    leant = end[end["epsilon"] == 0.2]
    np.testing.assert_allclose(leant["overlap"].astype(float), 0.2, rtol=1e-12)
    assert leant["gap_largest"].min() > exact["gap_largest"].max()


# Theorem 1


@cache
def linear_rows(true_decay: float, told: float) -> pd.DataFrame:
    first, second = two_tasks(TINY)
    start = balanced((8, 4, 4, 1), 10, generator=torch.Generator().manual_seed(0), norm=1.0)
    flow = gradient_flow(
        start,
        torch.cat([first.x, second.x]),
        torch.cat([first.y, second.y]),
        torch.full((10,), true_decay, dtype=torch.float64),
        (0.0, 40.0, 80.0),
        "linear",
        rtol=1e-9,
        atol=1e-12,
        most=100_000,
    )
    tests = [(epsilon, leaning(first.x, second.x, epsilon)) for epsilon in (0.0, 0.2)]
    return pd.DataFrame(deep_linear.measured("balanced", flow, told, first, second, tests))


def test_theorem_1_comes_out_false_for_a_flow_with_less_decay_than_told() -> None:
    assert deep_linear.theorem_1(linear_rows(0.05, 0.05)).outcome == "true"
    broken = linear_rows(0.0, 0.4)
    assert broken[common.HELD].all()
    assert deep_linear.theorem_1(broken).outcome == "false"


def test_theorem_1_is_not_judged_on_starts_that_are_not_balanced(result: Result) -> None:
    points = result.points[result.points["part"] == "deep linear"].astype({common.HELD: bool})
    gaussian = points["case"] == "Gaussian"
    assert not points[gaussian][common.HELD].any()
    assert points[~gaussian][common.HELD].all()
    broken = points.assign(failing=points["failing"].mask(gaussian, 1))
    assert deep_linear.theorem_1(broken).outcome == "true"


def test_the_objective_never_rises_along_the_flow(result: Result) -> None:
    points = result.points[result.points["part"] == "deep linear"]
    for _, run in points.groupby(["case", "draw", "epsilon"]):
        objective = run.sort_values("time")["objective"].to_numpy(dtype=float)
        assert (np.diff(objective) <= 1e-9).all()


def test_sums_of_layers_are_judged_apart() -> None:
    rows = linear_rows(0.05, 0.05)
    assert deep_linear.layer_by_layer(rows.assign(layerwise_relative_gap=1e-5)).outcome == "true"
    assert deep_linear.layer_by_layer(rows.assign(layerwise_relative_gap=0.2)).outcome == "false"
    assert (
        deep_linear.layer_by_layer(rows[rows["draw"] < 3].assign(layerwise_relative_gap=0.2)).outcome == "inconclusive"
    )


# Theorem 2


def relu_points(gap: float, cosine: float, held: bool = True, draws: int = 6) -> pd.DataFrame:
    rows = [
        {
            "case": deep_relu.INDEPENDENT,
            "depth": 2,
            "width": 5,
            "draw": draw,
            "lambda": decay,
            "time": 1.0,
            common.HELD: held,
            "relative_gap": gap * (1 + 0.1 * draw),
            "hidden_cosine": cosine * (1 + 0.1 * draw),
            "hidden_cosine_permuted": 0.3,
            "loss": 0.1,
            "merged_loss": 0.1,
            "same_sign": 1.0,
            "first_layer_leak": 0.0,
        }
        for decay, draw in itertools.product((0.1, 0.2), range(draws))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("size", "held", "draws", "expected"),
    [
        (0.001, True, 6, "true"),
        (0.1, True, 6, "false"),
        (0.1, False, 6, "inconclusive"),
        (0.1, True, 4, "inconclusive"),
    ],
)
def test_theorem_2_and_its_step_follow_the_interval_over_draws(
    size: float, held: bool, draws: int, expected: str
) -> None:
    points = relu_points(size, size, held, draws)
    assert deep_relu.theorem_2(points).outcome == expected
    assert deep_relu.corollary_2(points).outcome == expected


def test_theorem_2_is_measured_as_defined() -> None:
    """Gap, hidden cosine and its mean over orders of units, against loops over one network."""
    first, second = two_tasks(TINY, separable=True)
    weights = nets.initialise((8, 3, 1), 10, generator=torch.Generator().manual_seed(9), dtype=torch.float64, scale=1.4)
    flow = Flow((0.0, 1.0), (weights, weights), 0)
    row = pd.DataFrame(deep_relu.measured(flow, deep_relu.INDEPENDENT, 0.1, first, second, 1e-3)).iloc[5 + 2]
    assert row["draw"] == 2
    A, a = (W[2].numpy() for W in weights)
    B, b = (W[7].numpy() for W in weights)
    xa, xb = first.x[2].numpy(), second.x[2].numpy()

    def score(W: np.ndarray, v: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ W.T, 0) @ v[0]

    own = np.concatenate([score(A, a, xa), score(B, b, xb)])
    merged = score(A + B, a + b, np.concatenate([xa, xb]))
    assert row["relative_gap"] == pytest.approx(np.linalg.norm(merged - own) / np.linalg.norm(own))

    def cosine(u: np.ndarray, v: np.ndarray) -> float:
        size = np.linalg.norm(u) * np.linalg.norm(v)
        return float(u @ v / size) if size else 0.0

    hidden = [(np.maximum(A @ u, 0), np.maximum(B @ v, 0)) for u, v in itertools.product(xa, xb)]
    assert row["hidden_cosine"] == pytest.approx(np.mean([cosine(u, v) for u, v in hidden]))
    orders = [list(order) for order in itertools.permutations(range(3))]
    over_orders = [cosine(u, v[order]) for u, v in hidden for order in orders]
    assert row["hidden_cosine_permuted"] == pytest.approx(np.mean(over_orders))


def test_positive_activations_must_stay_where_they_are_and_keep_their_size() -> None:
    then = torch.tensor([[[0.8], [0.6], [0.0]]]).repeat(4, 1, 1)
    now = then.clone()
    now[1, 2] = 0.1  # a unit wakes up
    now[2, 1] = 0.2  # one fades
    now[3] = 0.0  # all are silent
    assert deep_relu._settled([now], [then]).tolist() == [True, False, False, False]
    assert deep_relu._settled([now], None).tolist() == [False] * 4


def test_disjoint_units_stay_disjoint_and_their_networks_merge(result: Result) -> None:
    weights = nets.initialise((8, 5, 4, 1), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, scale=1)
    first, second = two_tasks(dataclasses.replace(TINY, draws=2), separable=True)
    x, y = torch.cat([first.x, second.x]), torch.cat([first.y, second.y])
    start = deep_relu.disjoint(weights)
    gradients = nets.gradients(start, x, y, "relu")
    for W, kept, G in zip(weights, start, gradients, strict=True):
        assert (kept != 0).any()
        assert torch.equal(kept[kept != 0], W[kept != 0])
        assert not (G[kept == 0]).any()
        assert not ((kept[:2] != 0).any(0) & (kept[2:] != 0).any(0)).any() or kept is start[-1]
    points = result.points[(result.points["part"] == "deep ReLU") & (result.points["case"] == deep_relu.DISJOINT)]
    assert (points["hidden_cosine"] == 0).all()
    end = points[points["time"] == points["time"].max()]
    assert end["relative_gap"].max() < 1e-6
