"""Figure 3 at a tiny size: its tasks, its rows, and that a seed is all they depend on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.paper.small_runs import FIGURE3
from weightaudit.audit.progress import Silent
from weightaudit.paper.figure3 import experiment as figure3
from weightaudit.paper.figure3.experiment import Figure3Config
from weightaudit.paper.results import Result

TINY = Figure3Config(inputs=12, dimension=14, width=6, steps=40, lambdas=(0.0, 1e-2), draws=3, measurements=2)

SHORT = dataclasses.replace(FIGURE3, steps=6, measurements=1, lambdas=(0.0,))


@pytest.fixture(scope="module")
def tiny() -> Result:
    return figure3.run(TINY, Silent())


def test_the_tasks_are_what_their_names_say() -> None:
    config = dataclasses.replace(TINY, overlap=0.25)
    tasks = figure3._tasks(config, 1)
    first, second, near = tasks["first"].x, tasks["second"].x, tasks["near"].x
    for x in (first, second, near):
        torch.testing.assert_close(x.norm(dim=1), torch.ones(12))
    assert (first @ second.T).abs().max() == 0
    # A near input has a part of length 0.25 in the first half: that bounds every inner product with the first task's.
    torch.testing.assert_close(near[:, :7].norm(dim=1), torch.full((12,), 0.25))
    inner = (first @ near.T).abs()
    assert 0 < inner.max() <= 0.25
    torch.testing.assert_close(near[:, 7:] / near[:, 7:].norm(dim=1, keepdim=True), second[:, 7:])
    assert torch.equal(tasks["relabelled"].x, first)
    assert not torch.equal(tasks["relabelled"].y, tasks["first"].y)
    assert tasks["again"] is tasks["first"]
    for task in tasks.values():
        assert set(task.y.tolist()) == {-1.0, 1.0}
    assert not torch.equal(figure3._tasks(config, 0)["first"].x, first)


def test_without_overlap_near_is_orthogonal() -> None:
    tasks = figure3._tasks(dataclasses.replace(TINY, overlap=0.0), 0)
    assert torch.equal(tasks["near"].x, tasks["second"].x)


def test_networks_of_one_task_start_apart(tiny: Result) -> None:
    start = tiny.points.query("step == 0 and `lambda` == 0 and pair == 'same task, another start'")
    assert start["norm_1"].nunique() == 6  # two a draw, of three draws


def test_a_run_has_all_points_claims_and_charts(tiny: Result) -> None:
    result = tiny
    # λ = 0 and 3e-4 at three steps, 1e-2 at the last: four pairs of two networks in three draws.
    assert len(result.points) == 4 * 2 * 3 * (3 + 3 + 1)
    assert not result.points.isna().any().any()
    assert {claim.id for claim in result.claims} >= {
        "sum-works-orthogonal",
        "sum-fails-same-task",
        "weight-decay-enables",
        "low-stable-rank",
    }
    assert all(claim.source.startswith(("Figure 3", "Section 7")) for claim in result.claims)
    assert {chart.panel[0] for chart in result.charts} == {0, 1, 2}


@pytest.mark.slow
def test_linear_functions_add_up_exactly_once_decay_has_eaten_their_starts() -> None:
    """Without hidden layers f_{w+w'}(x) = f_w(x) + (1−ηλ)^T ⟨w'_0, x⟩ on inputs orthogonal to the other task's."""
    config = dataclasses.replace(
        TINY, hidden_layers=0, rate=2.0, steps=400, decay=2.5e-2, lambdas=(0.0,), measurements=1
    )
    result = figure3.run(config, Silent())
    end = result.points.query("pair == 'orthogonal inputs' and step == 400")
    gap = (end["sum_loss"] - end["own_loss"]).abs()
    assert gap[end["lambda"] == 2.5e-2].max() < 1e-6  # the starts are e⁻²⁰ of what they were
    assert gap[end["lambda"] == 0.0].min() > 1e-5
    assert gap[end["lambda"] == 0.0].max() > 1e-3
    outcomes = {claim.id: claim.outcome for claim in result.claims}
    assert outcomes["sum-works-orthogonal"] == "true"
    assert outcomes["low-stable-rank"] == "inconclusive"  # a row has rank one, whatever its training


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for made_of_the_points in ("claims.claims", "charts.charts"):
        monkeypatch.setattr(f"weightaudit.paper.figure3.{made_of_the_points}", lambda *_, **__: ())
    before = torch.get_num_threads()
    texts = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            texts.append(figure3.run(SHORT, Silent()).points.to_csv(index=False))
    finally:
        torch.set_num_threads(before)
    assert texts[0] == texts[1]
    assert texts[0] != figure3.run(dataclasses.replace(SHORT, seed=1), Silent()).points.to_csv(index=False)


def test_defaults_are_those_stated() -> None:
    config = Figure3Config()
    assert config.hidden_layers == 2
    assert config.draws >= 5
    assert 0.0 in config.grid
    assert config.decay in config.grid
