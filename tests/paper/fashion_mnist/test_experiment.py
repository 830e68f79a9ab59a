"""Merging on a toy Fashion-MNIST: its tasks, a whole run, where the images are from, and what it says without them."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.paper.fashion_mnist.idx_files import parquet, png, toy_images, write_idx
from tests.support import toy_experiment as toy
from tests.support.hub import pointed_at, serve
from tests.support.running import CommandLine
from weightaudit.audit.progress import Silent
from weightaudit.errors import DataError
from weightaudit.paper import settings
from weightaudit.paper.fashion_mnist import experiment as fashion_mnist
from weightaudit.paper.fashion_mnist.experiment import FashionMnistConfig
from weightaudit.paper.fashion_mnist.images import from_directory
from weightaudit.paper.figure3 import claims
from weightaudit.paper.figure3.charts import charts
from weightaudit.paper.registry import EXPERIMENTS

TINY = FashionMnistConfig(inputs=8, width=5, steps=20, lambdas=(0.0,), draws=3, measurements=2)


@pytest.fixture
def config(tmp_path: Path) -> FashionMnistConfig:
    """Twenty toy images."""
    return dataclasses.replace(TINY, data_dir=str(write_idx(tmp_path / "toys", *toy_images(20))))


def test_the_tasks_are_padded_and_inverted(config: FashionMnistConfig) -> None:
    images = from_directory(Path(config.data_dir or ""), "test")
    tasks = fashion_mnist._tasks(images, config, 2)
    first, second = tasks["first"], tasks["second"]
    unit = images.pixels / np.linalg.norm(images.pixels.astype(float), axis=1, keepdims=True)
    used = []
    # Task 1: zeros after the image, 5 to 9 are +1. Task 2: zeros before it, 5 to 9 are −1.
    for task, image, empty, sign in (
        (first, slice(0, 784), slice(784, 1568), 1),
        (second, slice(784, 1568), slice(0, 784), -1),
    ):
        assert task.x.shape == (8, 1568)
        assert not task.x[:, empty].any()
        for x, y in zip(task.x[:, image].numpy(), task.y.tolist(), strict=True):
            (which,) = np.flatnonzero(np.abs(unit - x).max(axis=1) < 1e-6)
            assert y == (sign if images.classes[which] >= 5 else -sign)
            used.append(which)
    assert len(set(used)) == 16
    assert torch.equal(tasks["relabelled"].x, first.x)
    assert torch.equal(tasks["relabelled"].y, -first.y)
    assert tasks["again"] is first
    assert not torch.equal(fashion_mnist._tasks(images, config, 0)["first"].x, first.x)


def test_a_run_has_all_points_claims_and_charts(config: FashionMnistConfig) -> None:
    result = fashion_mnist.run(config, Silent())
    # λ = 0 and 3e-4 at three steps: three pairs of two networks in three draws.
    assert len(result.points) == 3 * 2 * 3 * (3 + 3)
    # Some of these narrow networks die; then there is nothing that the other one could add to.
    assert not result.points.filter(regex="loss|error|rank|norm").isna().any().any()
    dead = result.points["own_loss"].sub(claims.CHANCE).abs() < 1e-6
    assert (result.points["leak_3"].isna() == dead).all()
    assert [claim.id for claim in result.claims] == [
        "sum-works-orthogonal",
        "sum-fails-other-labels",
        "sum-fails-same-task",
        "weight-decay-enables",
        "low-stable-rank",
        "sum-not-average",
    ]
    assert result.claims[0].source == "Appendix C.2, hypothesis 1"
    assert {chart.panel for chart in result.charts} == {(r, c) for r in (0, 1) for c in range(3)} | {(2, 0), (2, 1)}
    assert result.notes[0].startswith("images: 20, from ")
    assert "3 draws of 16 images share images" in result.notes[1]


@pytest.mark.slow
def test_training_learns_these_images(config: FashionMnistConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for made_of_the_points in ("claims.claims", "charts.charts"):
        monkeypatch.setattr(f"weightaudit.paper.figure3.{made_of_the_points}", lambda *_, **__: ())
    config = dataclasses.replace(config, width=20, rate=0.3, steps=400, draws=2, measurements=1)
    points = fashion_mnist.run(config, Silent()).points
    assert points.query("step == 0")["own_loss"].min() > 0.5
    assert points.query("step == 400")["own_loss"].max() < 0.1


def test_the_same_seed_gives_the_same_bytes_from_anywhere_on_any_number_of_threads(
    config: FashionMnistConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made_of_the_points in ("claims.claims", "charts.charts"):
        monkeypatch.setattr(f"weightaudit.paper.figure3.{made_of_the_points}", lambda *_, **__: ())
    short = dataclasses.replace(config, steps=4, draws=2, measurements=1)
    pixels, classes = toy_images(20)
    packed = write_idx(tmp_path / "packed", pixels, classes, packed=True)
    name = "fashion_mnist/test-00000-of-00001.parquet"
    files = {name: parquet([png(image) for image in pixels], classes.tolist())}
    before = torch.get_num_threads()
    try:
        texts = []
        for threads, where in ((1, config.data_dir), (3, str(packed))):
            torch.set_num_threads(threads)
            result = fashion_mnist.run(dataclasses.replace(short, data_dir=where), Silent())
            texts.append(result.points.to_csv(index=False))
    finally:
        torch.set_num_threads(before)
    home = tmp_path / "home"
    with (
        serve({"datasets/zalando-datasets/fashion_mnist": files}) as hub,
        pointed_at(hub.url, home, token=hub.token),
    ):
        from_hub = fashion_mnist.run(dataclasses.replace(short, data_dir=None), Silent())
    assert {request.token for request in hub.log} == {None}
    assert from_hub.notes[0] == f"images: 20, from zalando-datasets/fashion_mnist at {hub.sha[:7]}"
    assert texts[0] == texts[1] == from_hub.points.to_csv(index=False)
    assert texts[0] != fashion_mnist.run(dataclasses.replace(short, seed=1), Silent()).points.to_csv(index=False)


def test_too_few_images_and_a_blank_one(config: FashionMnistConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="20 images, and two tasks need 22") as caught:
        fashion_mnist.run(dataclasses.replace(config, inputs=11), Silent())
    assert caught.value.hint == "Take fewer: --inputs 10"
    pixels, classes = toy_images(20)
    pixels[7] = 0
    blank = write_idx(tmp_path / "blank", pixels, classes)
    with pytest.raises(DataError, match="image 7 is blank"):
        fashion_mnist.run(dataclasses.replace(config, inputs=10, data_dir=str(blank)), Silent())


@pytest.mark.slow
def test_the_command_draws_all(weightaudit: CommandLine, config: FashionMnistConfig, tmp_path: Path) -> None:
    assert commanded(weightaudit, config, tmp_path) > 10_000


@pytest.mark.slow
def test_the_command(
    weightaudit: CommandLine, config: FashionMnistConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one of its charts, as all take longer than the rest."""
    monkeypatch.setattr("weightaudit.paper.figure3.charts.charts", lambda *of, **more: charts(*of, **more)[:1])
    assert commanded(weightaudit, config, tmp_path) > 5_000


def commanded(weightaudit: CommandLine, config: FashionMnistConfig, tmp_path: Path) -> int:
    """Runs the experiment; how many bytes its picture has."""
    options = ["--inputs", 8, "--width", 5, "--steps", 20, "--lambdas", "0", "--draws", 2, "--measurements", 2]
    done = weightaudit("paper", "fashion-mnist", "--out", tmp_path, "--data-dir", config.data_dir, *options)
    assert done.code == 0, done.stderr
    verdict = json.loads((tmp_path / "fashion-mnist" / "verdict.json").read_text())
    assert len(verdict["claims"]) == 6
    return (tmp_path / "fashion-mnist" / "fashion-mnist.png").stat().st_size


def test_without_images_all_says_so_and_goes_on(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = import_module("weightaudit.cli.paper")  # the package has the command itself under that name
    two = {"fashion-mnist": EXPERIMENTS["fashion-mnist"], "toy": toy.TOY}
    monkeypatch.setattr(command, "EXPERIMENTS", two)
    monkeypatch.setattr(toy, "charts", tuple)
    nowhere = tmp_path / "missing"
    done = weightaudit("paper", "all", "--out", tmp_path / "out", "--data-dir", nowhere)
    assert f"fashion-mnist: not run: {nowhere}: there is no such directory" in done.stderr
    assert "no such directory" in (tmp_path / "out" / "README.md").read_text()
    assert (tmp_path / "out" / "toy" / "verdict.json").exists()
    assert not (tmp_path / "out" / "fashion-mnist" / "verdict.json").exists()


def test_defaults_are_those_stated() -> None:
    config = FashionMnistConfig()
    assert config.hidden_layers == 2
    assert config.draws >= 5
    assert {0.0, config.decay} < set(config.grid)
    settings.check(config)
