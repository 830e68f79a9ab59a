"""Transfer at a tiny size: its tasks, its rows against the definitions, its scores, and that it goes on."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from tests.support.running import CommandLine
from weightaudit.audit.progress import Silent
from weightaudit.paper.cells import FOLDER, Cells
from weightaudit.paper.data import generator_for
from weightaudit.paper.results import Result
from weightaudit.paper.transfer import experiment, fine_tunes, scores, sums, transformers
from weightaudit.paper.transfer.charts import charts
from weightaudit.paper.transfer.experiment import TransferConfig
from weightaudit.paper.transfer.predictors import PREDICTORS, Predictors
from weightaudit.paper.transfer.transformers import LENGTH, LETTERS, Shape

QUICK = TransferConfig(quick=True, resamples=400)
"""With 20 resamples instead of 50, which take longer than all the training."""
SMALL = TransferConfig(  # of which the command line takes each by an option
    seeds=(11,),
    tasks=3,
    width=8,
    layers=1,
    base_steps=2,
    steps=4,
    batch=2,
    tried=4,
    draws=1,
    dimension=4,
    inputs=4,
    net_width=3,
    net_steps=20,
    decays=(0.0,),
    resamples=20,
)
"""Of every part a little."""
OPTIONS = [
    *("--seeds", 11, "--tasks", 3, "--width", 8, "--layers", 1, "--base-steps", 2, "--steps", 4, "--batch", 2),
    *("--tried", 4, "--draws", 1, "--dimension", 4, "--inputs", 4, "--net-width", 3, "--net-steps", 20),
    *("--decays", 0, "--resamples", 20),
]
"""`SMALL` at the command line."""


@dataclasses.dataclass(frozen=True)
class Ran:
    """A run's result, and where it has kept its parts."""

    config: TransferConfig
    result: Result
    parts: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TransferConfig], Ran]:
    """Each config's run, once."""

    @cache
    def run(config: TransferConfig) -> Ran:
        parts = tmp_path_factory.mktemp("parts")
        return Ran(config, experiment.run(config, Silent(), Cells(parts, config)), parts)

    return run


SIZES = [SMALL, pytest.param(QUICK, marks=pytest.mark.slow)]


def test_a_task_is_what_it_says() -> None:
    found = transformers.tasks(5, LETTERS, generator_for(0, "tasks"), replace=True)
    for i, task in enumerate(found):
        tokens, answers = task.batch(7, generator_for(0, i))
        assert tokens.shape == (7, 2 * LENGTH)
        assert answers.shape == (7, LENGTH)
        assert set(tokens[:, :LENGTH].flatten().tolist()) <= set(task.letters.tolist())
        assert set(tokens[:, LENGTH].tolist()) == {LETTERS + i}
        assert torch.equal(answers, task.replaced[tokens[:, :LENGTH][:, task.order]])
        assert torch.equal(tokens[:, LENGTH + 1 :], answers[:, :-1])
        assert sorted(task.replaced[task.letters].tolist()) == sorted(task.letters.tolist())


def test_a_transformer_looks_at_nothing_to_come() -> None:
    """And many at once are what each is alone; the moments are those of its inputs."""
    shape = Shape(16, 2, 2, 32, 3)
    one, other = (transformers.initial(shape, generator_for(seed)) for seed in (0, 1))
    both = {name: torch.cat([one[name], other[name]]) for name in one}
    tokens = torch.randint(LETTERS, (2, 5, 2 * LENGTH), generator=generator_for(2))
    seen: dict[str, torch.Tensor] = {}
    logits = transformers.forward(both, shape, tokens, seen)
    alone = transformers.forward(other, shape, tokens[1:])
    torch.testing.assert_close(logits[1:], alone)
    changed = tokens.clone()
    changed[:, :, -1] = (changed[:, :, -1] + 1) % LETTERS
    later = transformers.forward(both, shape, changed)
    torch.testing.assert_close(later[:, :, : LENGTH - 1], logits[:, :, : LENGTH - 1])
    assert not torch.allclose(later[:, :, -1], logits[:, :, -1])
    assert seen["0.Q"].shape == (2, 16, 16)
    torch.testing.assert_close(seen["0.Q"], seen["0.V"])
    answers = torch.randint(LETTERS, (2, 5, LENGTH), generator=generator_for(3))
    expected = [functional.cross_entropy(logits[i].flatten(0, 1), answers[i].flatten()) for i in range(2)]
    torch.testing.assert_close(transformers.losses(both, shape, tokens, answers), torch.stack(expected))


def test_training_is_adamw() -> None:
    """As torch's own, with its learning rate set by a half-cosine."""
    start = {"W": torch.randn(2, 3, 4, generator=generator_for(0))}
    target = torch.randn(2, 3, 4, generator=generator_for(1))

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return (parameters["W"] - target).square().sum(dim=(1, 2))

    found = transformers.train(start, ["W"], lambda made: made, loss, steps=30, rate=0.1, decay=0.3)
    own = start["W"].clone().requires_grad_(True)
    optimiser = torch.optim.AdamW([own], lr=0.1, betas=(0.9, 0.99), weight_decay=0.3)
    for step in range(30):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / 30))
        optimiser.zero_grad()
        loss({"W": own}).sum().backward()
        optimiser.step()
    torch.testing.assert_close(found["W"], own.detach(), rtol=1e-4, atol=1e-5)


def test_predictors_are_those_of_a_merge_check_and_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    models = [{"0.Q": rng.standard_normal((8, 6)), "1.Q": rng.standard_normal((8, 6))} for _ in range(3)]
    inputs = [rng.standard_normal((6, 40)) for _ in models]
    seen = [dict.fromkeys(("0.Q", "1.Q"), h @ h.T) for h in inputs]
    found = Predictors(models, seen, ["0.Q"]).of(0, 2)
    D = [
        np.linalg.norm(models[2][name] @ models[0][name].T) / np.linalg.norm(models[0][name] @ models[0][name].T)
        for name in models[0]
    ]
    assert found["disturbance"] == pytest.approx(np.mean(D), rel=1e-4)
    assert found["first_layer"] == pytest.approx(D[0], rel=1e-4)
    true = [
        np.linalg.norm(models[2][name] @ inputs[0]) / np.linalg.norm(models[0][name] @ inputs[0]) for name in models[0]
    ]
    assert found["activations"] == pytest.approx(np.mean(true))
    flat = [np.concatenate([W.ravel() for W in model.values()]) for model in models]
    assert found["cosine"] == pytest.approx(flat[0] @ flat[2] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[2]))
    assert found["opposed"] == pytest.approx(np.mean(flat[0] * flat[2] < 0))
    assert found["size_ratio"] == pytest.approx(np.linalg.norm(flat[2]) / np.linalg.norm(flat[0]))
    same = Predictors([models[0], models[0]], seen[:2], []).of(0, 1)
    assert (
        same["overlap"]
        > 5
        * Predictors([{"Q": np.diag([1.0, 0, 0, 0])}, {"Q": np.diag([0, 0, 0, 1.0])}], [{"Q": np.eye(4)}] * 2, []).of(
            0, 1
        )["overlap"]
        + 0.1
    )


def test_scores() -> None:
    from scipy.stats import spearmanr  # with which every distribution is loaded

    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = x + rng.standard_normal(200)
    assert scores.spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert math.isnan(scores.spearman(np.ones(5), np.arange(5.0)))
    tied = rng.integers(0, 9, 40).astype(float)
    assert scores.spearman(tied, y[:40]) == pytest.approx(spearmanr(tied, y[:40]).statistic)
    positive = y > 0.5
    pairs = [(a > b) + 0.5 * (a == b) for a in x[positive] for b in x[~positive]]
    assert scores.auc(x, positive) == pytest.approx(np.mean(pairs))
    assert math.isnan(scores.auc(x, np.zeros(200, bool)))
    models = 12
    sides = [(a, b) for a in range(models) for b in range(models) if a != b]
    quality = rng.standard_normal(models)
    table = pd.DataFrame(
        {
            "part": "transformers",
            "set": "full",
            "seed": 1,
            "group": 0,
            "model": [a for a, _ in sides],
            "other": [b for _, b in sides],
            "sum_lost": [0.3 + 0.2 * quality[b] for _, b in sides],
            **{name: rng.standard_normal(len(sides)) for name in PREDICTORS},
            "disturbance": [quality[b] for _, b in sides],
        }
    )
    found = scores.scored(table.assign(half_lost=0.0, suggested_lost=0.1), ["sum", "half", "suggested"], 60)
    assert found.by["disturbance"].correlation == pytest.approx(1.0)
    assert found.by["disturbance"].low > 0.99
    assert found.by["cosine"].low < 0 < found.by["cosine"].high
    assert found.beyond_cosine[1] > 0.3
    assert found.side == 1.0
    assert found.lost["suggested"] == pytest.approx(0.1)
    # Sides of one model are not independent: resampling models gives the wider interval.
    by_model = scores.scored(
        table.assign(half_lost=0.0, suggested_lost=0.0, cosine=[quality[a] for a, _ in sides]), ["sum"], 60
    )
    assert by_model.by["cosine"].high - by_model.by["cosine"].low > 0.1


@pytest.mark.parametrize("config", SIZES, ids=["small", "quick"])
def test_rows_of_a_run(config: TransferConfig, ran: Callable[[TransferConfig], Ran]) -> None:
    result = ran(config).result
    points = result.points
    tuned, added = (points[points["part"] == part] for part in ("transformers", "sums"))
    tasks, many = config.sizes.tasks, config.sum_sizes
    assert (tasks, len(many.decays), many.draws) == ((4, 2, 2) if config.quick else (3, 1, 1))
    assert len(tuned) == len(fine_tunes.RECIPES) * tasks * (tasks - 1)
    # starts, decays, draws, others, sides
    assert len(added) == len(sums.STARTS) * len(many.decays) * many.draws * 15 * 2
    assert set(tuned["set"]) == {"full", "decay", "long", "lora"}
    assert (
        np.isfinite(tuned[["base_loss", "own_loss", "sum_loss", "half_loss", "suggested_loss", "disturbance"]])
        .all()
        .all()
    )
    expected = (points["sum_loss"] - points["own_loss"]) / (points["base_loss"] - points["own_loss"])
    learnt = points["own_loss"] < points["base_loss"]
    assert learnt.any()
    assert np.allclose(points["sum_lost"][learnt], expected[learnt])
    assert points["sum_lost"][~learnt].isna().all()
    assert len(result.claims) == len({claim.id for claim in result.claims}) == 10
    assert {chart.panel[0] for chart in result.charts} == {0, 1, 2}


@pytest.mark.parametrize("config", SIZES, ids=["small", "quick"])
def test_a_side_is_its_own_merge(config: TransferConfig, ran: Callable[[TransferConfig], Ran]) -> None:
    """The loss of a row is that of the two models' merge on the first one's task."""
    sizes = config.sizes
    row = (
        ran(config)
        .result.points.query("part == 'transformers' and set == 'full' and model == 2 and other == 0")
        .iloc[0]
    )
    again = fine_tunes.measured(sizes, fine_tunes.RECIPES[0], 11)
    same = again[(again["model"] == 2) & (again["other"] == 0)].iloc[0]
    assert same["sum_loss"] == pytest.approx(row["sum_loss"], rel=1e-6)
    base = fine_tunes._base(sizes, 11)
    tasks = transformers.tasks(
        sizes.tasks, LETTERS + fine_tunes.BASE_TASKS, generator_for(11, "transfer", "tasks"), replace=True
    )
    many = {name: value.repeat_interleave(sizes.tasks, 0) for name, value in base.items()}
    tuned = fine_tunes._tuned(sizes, fine_tunes.RECIPES[0], many, tasks, generator_for(11, "transfer", "full"))
    tokens, answers = fine_tunes._batch(tasks, sizes.tried, generator_for(11, "transfer", "tried"))
    merged = {
        name: (base[name] + (tuned[name][2:3] - base[name]) + (tuned[name][:1] - base[name]))
        if name in sizes.shape.matrices
        else base[name]
        for name in base
    }
    loss = float(transformers.losses(merged, sizes.shape, tokens[2:3], answers[2:3])[0])
    assert loss == pytest.approx(row["sum_loss"], rel=1e-5)


def test_it_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: Callable[[TransferConfig], Ran]
) -> None:
    """After any part; the same to the last digit, and parts of other settings are not taken."""

    class Stopped(Exception):
        pass

    whole = ran(SMALL).result.points.to_csv(index=False)
    few = dataclasses.replace(SMALL, resamples=2)  # of which no point depends
    computed: list[str] = []
    measured = sums.measured

    def stopping(sizes: Any, seed: int, start: str) -> pd.DataFrame:
        if start == "shared" and "stop" in computed:
            raise Stopped
        return measured(sizes, seed, start)

    tuned = fine_tunes.measured

    def counted(sizes: Any, recipe: Any, seed: int) -> pd.DataFrame:
        computed.append(recipe.name)
        if "at once" in computed:
            raise Stopped
        return tuned(sizes, recipe, seed)

    monkeypatch.setattr(experiment, "charts", lambda *of: ())
    monkeypatch.setattr(sums, "measured", stopping)
    monkeypatch.setattr(fine_tunes, "measured", counted)
    computed.append("stop")
    with pytest.raises(Stopped):
        experiment.run(few, Silent(), Cells(tmp_path, few))
    assert computed[1:] == ["full", "decay", "long", "lora"]
    computed.clear()
    cells = Cells(tmp_path, few)
    found = experiment.run(few, Silent(), cells)
    assert computed == []
    assert found.points.to_csv(index=False) == whole
    other = dataclasses.replace(SMALL, resamples=3)
    computed.append("at once")
    with pytest.raises(Stopped):
        experiment.run(other, Silent(), Cells(tmp_path, other))
    assert computed[1:] == ["full"]
    cells.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_draws_all(ran: Callable[[TransferConfig], Ran], weightaudit: CommandLine, tmp_path: Path) -> None:
    goes_on(ran(QUICK), weightaudit, tmp_path, ["--quick", "--resamples", QUICK.resamples])


def test_the_command(
    ran: Callable[[TransferConfig], Ran], weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one of its charts, as all take longer than the rest."""
    whole = ran(SMALL)
    monkeypatch.setattr(experiment, "charts", lambda *of: charts(*of)[:1])
    goes_on(whole, weightaudit, tmp_path, OPTIONS)


def goes_on(run: Ran, weightaudit: CommandLine, tmp_path: Path, settings: list[Any]) -> None:
    """The command from the parts of a run, as if that had been stopped before its outputs, and once more."""
    options = (*settings, "--out", tmp_path)
    shutil.copytree(run.parts / FOLDER, tmp_path / "transfer" / FOLDER)
    done = weightaudit("paper", "transfer", *options, "--quiet")
    assert done.code == 0, done.stderr
    assert {path.name for path in (tmp_path / "transfer").iterdir()} == {
        *("config.json", "points.csv", "transfer.html", "transfer.png", "verdict.json")
    }
    verdict = json.loads((tmp_path / "transfer" / "verdict.json").read_text("utf-8"))
    assert verdict["settings"]["quick"] is run.config.quick
    assert len(verdict["claims"]) == len(run.result.claims)
    again = weightaudit("paper", "transfer", *options)
    assert "has it already" in again.stderr
