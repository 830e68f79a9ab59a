"""Figure 2 at a tiny size: its points against one network trained alone, its judgement on planted tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from tests.paper.small_runs import FIGURE2
from tests.support.toy_experiment import Counting
from weightaudit.audit.progress import Silent
from weightaudit.paper import nets
from weightaudit.paper.data import generator_for, labels, sphere_inputs
from weightaudit.paper.figure2 import claims
from weightaudit.paper.figure2 import experiment as figure2
from weightaudit.paper.figure2.experiment import Figure2Config
from weightaudit.paper.results import Result

TINY = Figure2Config(inputs=30, dimension=4, width=5, epochs=20, batch=8, lambdas=(0.0, 1e-2, 1e-1), draws=2)


@pytest.fixture(scope="module")
def tiny() -> Result:
    return figure2.run(TINY, Silent())


def test_every_network_is_that_of_a_plain_loop(tiny: Result) -> None:
    points = tiny.points
    assert len(points) == 2 * 2 * 3 * 6
    final = points[points["epoch"] == 20].set_index(["labelling", "draw", "lambda"])
    order = generator_for(0, "order")
    batches = [batch for _ in range(20) for batch in torch.randperm(30, generator=order).split(8)]
    for labelling, draw, decay in [("linear", 0, 0.0), ("linear", 1, 1e-2), ("sine", 1, 1e-1)]:
        x = sphere_inputs(30, 4, generator=generator_for(0, draw, "inputs"))
        y = labels(x, labelling, generator=generator_for(0, draw, "labels"))
        start = nets.initialise((4, 5, 5, 1), 1, generator=generator_for(0, draw, "weights"), scale=2**0.5)
        matrices = [W[0].clone().requires_grad_() for W in start]
        for batch in batches:
            scores = matrices[2] @ (matrices[1] @ (matrices[0] @ x[batch].T).relu()).relu()
            loss = torch.log1p(torch.exp(-y[batch] * scores[0])).mean()
            gradients = torch.autograd.grad(loss, matrices)
            with torch.no_grad():
                for W, G in zip(matrices, gradients, strict=True):
                    W.mul_(1 - 0.1 * decay).sub_(0.1 * G)
        margins = y * (matrices[2] @ (matrices[1] @ (matrices[0] @ x.T).relu()).relu())[0]
        row = final.xs((labelling, draw, decay))
        spectra = [torch.linalg.svdvals(W.detach().double()) for W in matrices]
        inverse = [(s[0] ** 2 / (s**2).sum()).item() for s in spectra]
        assert row["inverse_stable_rank"] == pytest.approx(np.mean(inverse), rel=1e-3)
        assert row["norm_1"] == pytest.approx(matrices[0].norm().item(), rel=1e-4)
        assert row["loss"] == pytest.approx(torch.log1p(torch.exp(-margins)).mean().item(), rel=1e-4)
        assert row["classification_error"] == (margins <= 0).double().mean().item()
        assert row["margin_error"] == (margins < 1).double().mean().item()


def test_networks_of_a_draw_start_alike_and_draws_differ(tiny: Result) -> None:
    points = tiny.points
    start = points[points["epoch"] == 0]
    assert start.groupby("draw")["inverse_stable_rank"].nunique().tolist() == [1, 1]
    assert start["inverse_stable_rank"].nunique() == 2
    assert not start["collapsed"].any()


def test_collapse_is_seen_marked_and_left_out() -> None:
    # With ηλ = 0.1 and 200 steps, what has no gradient is 10⁻⁹ of what it was.
    config = dataclasses.replace(TINY, epochs=50, lambdas=(0.0, 1e-3, 1e-2, 1.0), labellings=("linear",), draws=3)
    result = figure2.run(config, Silent())
    final = claims.final(result.points)
    assert final.groupby("lambda")["collapsed"].all().tolist() == [False, False, False, True]
    (note,) = result.notes
    assert "3 at λ = 1)" in note
    grows = next(claim for claim in result.claims if claim.id == "inverse-stable-rank-grows-linear")
    assert grows.numbers["draws that count"] == [3, 3, 3, 0]
    for chart in result.charts:
        for series in chart.series:
            assert series.marked == [False, False, False, True]
            assert "Hollow" in chart.caption
    # Not a single draw's judgement changes when the collapsed networks are given other ranks.
    altered = final.assign(inverse_stable_rank=final["inverse_stable_rank"].where(~final["collapsed"], 0.9))
    assert claims.claims(altered)[0] == grows


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for made_of_the_points in ("claims.claims", "charts.charts"):
        monkeypatch.setattr(f"weightaudit.paper.figure2.{made_of_the_points}", lambda *_: ())
    before = torch.get_num_threads()
    texts = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            texts.append(figure2.run(FIGURE2, Silent()).points.to_csv(index=False))
    finally:
        torch.set_num_threads(before)
    assert texts[0] == texts[1]
    assert texts[0].count("\n") == 1 + 2 * 7 * 11 * 4
    assert texts[0] != figure2.run(dataclasses.replace(FIGURE2, seed=1), Silent()).points.to_csv(index=False)


@pytest.mark.parametrize("epochs", [1, 3, *(pytest.param(many, marks=pytest.mark.slow) for many in (20, 57, 101))])
def test_the_progress_ends_where_it_said(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for made_of_the_points in ("claims.claims", "charts.charts"):
        monkeypatch.setattr(f"weightaudit.paper.figure2.{made_of_the_points}", lambda *_: ())
    progress = Counting()
    figure2.run(dataclasses.replace(TINY, epochs=epochs, draws=1, lambdas=(0.0,)), progress)
    assert progress.stages == [("figure2: 2 networks", epochs, epochs)]


def planted(values: np.ndarray, *, error: float = 0.3, labelling: str = "sine") -> pd.DataFrame:
    """Final rows with these inverse stable ranks, draws × λ."""
    draws, decays = values.shape
    return pd.DataFrame(
        {
            "labelling": labelling,
            "draw": np.repeat(np.arange(draws), decays),
            "lambda": np.tile([0.0, *10.0 ** np.arange(-5, decays - 6)], draws),
            "inverse_stable_rank": values.ravel(),
            "collapsed": False,
            "classification_error": error,
            "margin_error": 0.5,
            "loss": 0.4,
        }
    )


def outcomes(rows: pd.DataFrame) -> list[str]:
    return [claim.outcome for claim in claims.claims(rows)]


def test_judgement_of_planted_growth() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.003, size=(6, 5))
    up = np.linspace(0.5, 0.9, 5) + noise
    assert outcomes(planted(up)) == ["true", "true", "true"]
    assert outcomes(planted(up[:, ::-1])) == ["false", "false", "false"]
    # A bump: higher at the end than at the start, and yet it falls on the way.
    bump = np.array([0.5, 0.6, 0.9, 0.8, 0.7]) + noise
    assert outcomes(planted(bump)) == ["true", "true", "false"]
    assert outcomes(planted(0.7 + 10 * noise)) == ["inconclusive"] * 3
    # One draw has no interval.
    assert outcomes(planted(up[:1])) == ["inconclusive"] * 3


def test_growth_without_large_errors_says_nothing_of_large_errors() -> None:
    up = np.linspace(0.5, 0.9, 5) + np.random.default_rng(1).normal(scale=0.003, size=(6, 5))
    few = planted(up, error=0.05, labelling="linear")
    assert outcomes(few)[1] == "inconclusive"
    flat = planted(np.concatenate([up[:3], up[3:, ::-1]]))
    both = claims.claims(pd.concat([few, flat]))
    assert {claim.id: claim.outcome for claim in both}["grows-despite-errors"] == "inconclusive"


def test_a_network_without_a_value_leaves_its_draw_its_others() -> None:
    up = np.linspace(0.5, 0.9, 5) + np.random.default_rng(3).normal(scale=0.003, size=(6, 5))
    rows = planted(up)
    gone = (rows["lambda"] == rows["lambda"].max()) & (rows["draw"] < 5)
    rows.loc[gone, ["collapsed", "inverse_stable_rank"]] = True, 0.1
    found = claims.claims(rows)[0]
    assert found.outcome == "true"
    assert found.numbers["draws that count"] == [6, 6, 6, 6, 1]


def test_defaults_are_those_stated() -> None:
    config = Figure2Config()
    assert (config.inputs, config.hidden_layers, config.width, config.epochs) == (1000, 2, 10, 5000)
    assert config.draws >= 5
    assert 0.0 in config.lambdas
