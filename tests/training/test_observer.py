"""When a run is looked at: within the budget, spread over steps, what is skipped; by a clock that the test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import LAYERS, Clock, gpt2
from weightaudit.errors import CheckpointError
from weightaudit.report.series.log import read_log
from weightaudit.spectral import measure
from weightaudit.training import observer as observing
from weightaudit.training.budget import Budget
from weightaudit.training.finite import nonfinite_tensors
from weightaudit.training.live import LiveMatrices
from weightaudit.training.observer import Observer
from weightaudit.training.watch import make_watch

MATRICES = 6 * LAYERS


def watch(**options: Any) -> Any:
    given: dict[str, Any] = {
        "every": 10,
        "roles": None,
        "layers": None,
        "budget": 0.1,
        "at_start": False,
        "stop_on_nonfinite": False,
        "log": None,
        "submodule": None,
        "tol": 1e-2,
    }
    return make_watch(**{**given, **options})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Its time passes by a second for each matrix, and by 0.1 for each look at all weights."""
    clock = Clock()

    def took(function: Any, seconds: float) -> Any:
        def slow(*args: Any, **kwargs: Any) -> Any:
            clock.now += seconds
            return function(*args, **kwargs)

        return slow

    monkeypatch.setattr(observing, "measure", took(measure, 1.0))
    monkeypatch.setattr(observing, "nonfinite_tensors", took(nonfinite_tensors, 0.1))
    return clock


def made(clock: Clock, **options: Any) -> Observer:
    return Observer(watch(**options), budget=lambda share: Budget(share, clock))


def go(observer: Observer, clock: Clock, steps: range, seconds: float) -> list[dict[str, float]]:
    """Steps of training of so many seconds each; the numbers that came."""
    said = []
    for step in steps:
        clock.now += seconds
        seen = observer.after_step(step)
        said += [seen.numbers] if seen.numbers else []
    return said


def test_a_measurement_is_spread_over_the_steps_that_can_afford_it(tmp_path: Path, clock: Clock) -> None:
    observer = made(clock, budget=0.5)
    observer.begin(gpt2(), 0, tmp_path)
    said = go(observer, clock, range(1, 20), 2.0)
    observer.end(19)
    rows = [row for row in read_log(tmp_path / "weightaudit.parquet")[0] if row.kind == "matrix"]
    assert len(rows) == MATRICES
    assert {row.due for row in rows} == {10}
    assert len({row.step for row in rows}) > 1
    assert len(said) == 1  # once it is complete
    assert observer.budget.spent <= 0.5 * observer.budget.training


def test_what_cannot_be_afforded_is_skipped_and_recorded(tmp_path: Path, clock: Clock) -> None:
    observer = made(clock, budget=0.02)
    observer.begin(gpt2(), 0, tmp_path)
    go(observer, clock, range(1, 41), 2.0)
    observer.end(40)
    rows, told = read_log(tmp_path / "weightaudit.parquet")
    skipped = [row for row in rows if row.kind == "skipped"]
    assert [row.due for row in skipped] == [20, 30, 40, 40]
    assert "within the budget of 0.02" in skipped[0].note
    assert f"of {MATRICES} matrices of the measurement due at step 10" in skipped[0].note
    first = 1.0  # of which nobody knew what it would take
    assert 0 < told["measuring_seconds"] <= 0.02 * told["training_seconds"] + first


def test_the_first_measurement_counts_towards_the_budget(tmp_path: Path, clock: Clock) -> None:
    observer = made(clock, at_start=True, budget=0.1)
    assert observer.begin(gpt2(), 0, tmp_path).numbers
    assert observer.budget.spent == pytest.approx(MATRICES)
    assert not go(observer, clock, range(1, 51), 2.0)
    assert go(observer, clock, range(51, 80), 8.0)


def test_looks_for_nan_leave_half_of_the_budget_to_the_matrices(tmp_path: Path, clock: Clock) -> None:
    observer = made(clock, budget=0.02)
    observer.begin(gpt2(), 0, tmp_path)
    go(observer, clock, range(1, 400), 1.0)
    observer.end(399)
    rows = list(read_log(tmp_path / "weightaudit.parquet")[0])
    assert sum(row.kind == "matrix" for row in rows) >= 0.01 * 399 - 1


def test_a_look_that_had_to_wait_says_since_when(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    observer, model = made(clock, budget=0.02), gpt2()
    observer.begin(model, 0, tmp_path)
    go(observer, clock, range(1, 22), 1.0)
    with torch.no_grad():
        model.transformer.wte.weight[0, 0] = float("nan")
    go(observer, clock, range(22, 60), 1.0)
    (told,) = [record.getMessage() for record in caplog.records if "NaN" in record.getMessage()]
    assert "After step 31 1 tensor had NaN or infinite entries; after step 21 none had: transformer.wte.weight" in told


def test_processes_that_are_not_the_first_look_for_nan_only_to_stop(tmp_path: Path, clock: Clock) -> None:
    for stop, looks in ((False, 0), (True, 3)):
        observer = Observer(watch(stop_on_nonfinite=stop), first=False, budget=lambda share: Budget(share, clock))
        observer.begin(gpt2(), 0, tmp_path)
        before = clock.now
        go(observer, clock, range(1, 4), 0.0)
        assert clock.now - before == pytest.approx(0.1 * looks)
        observer.end(3)
    assert not list(tmp_path.iterdir())


def test_of_several_processes_one_warns_and_all_stop(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for first in (True, False):
        observer, model = Observer(watch(stop_on_nonfinite=True, budget=None), first=first), gpt2()
        observer.begin(model, 0, tmp_path)
        with torch.no_grad():
            model.transformer.wte.weight[0, 0] = float("nan")
        assert observer.after_step(1).stop
    assert len([record for record in caplog.records if "NaN" in record.getMessage()]) == 1


def test_a_measurement_that_training_cuts_short_is_recorded(tmp_path: Path, clock: Clock) -> None:
    observer = made(clock, budget=0.05)
    observer.begin(gpt2(), 0, tmp_path)
    go(observer, clock, range(1, 12), 5.0)
    observer.end(11)
    rows, _ = read_log(tmp_path / "weightaudit.parquet")
    assert any(row.kind == "matrix" for row in rows)
    assert "were to come as it ended" in rows[-1].note


def test_a_collapse_is_told_at_its_step(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer, model = made(clock, budget=None), gpt2()
    observer.begin(model, 0, tmp_path)
    go(observer, clock, range(1, 25), 1.0)
    with torch.no_grad():
        for block in model.transformer.h:
            weight = block.mlp.c_fc.weight
            weight += 3.0 * torch.ones(weight.shape[0], 1) @ torch.randn(1, weight.shape[1])
    go(observer, clock, range(25, 45), 1.0)
    observer.end(44)
    found = [row for row in read_log(tmp_path / "weightaudit.parquet")[0] if row.rule == "collapsing-stable-rank"]
    assert [(row.step, row.place.role) for row in found] == [(30, "M1")]
    assert len([record for record in caplog.records if "collapsing-stable-rank" in record.getMessage()]) == 1


def test_what_fails_ends_no_training(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = made(clock, budget=None)
    observer.begin(gpt2(), 0, tmp_path)
    go(observer, clock, range(1, 11), 1.0)

    def fail(self: LiveMatrices) -> None:
        raise CheckpointError("a tensor", "it is gone", "Find it")

    monkeypatch.setattr(LiveMatrices, "reader", fail)
    go(observer, clock, range(11, 31), 1.0)
    (told,) = [record.getMessage() for record in caplog.records if "not looked at any more" in record.getMessage()]
    assert "from step 20 on: a tensor: it is gone" in told
    assert {row.due for row in read_log(tmp_path / "weightaudit.parquet")[0]} == {10}


def test_matrices_are_read_where_they_are_now(clock: Clock, tmp_path: Path) -> None:
    observer, model = made(clock, budget=None, roles="M2"), gpt2()
    observer.begin(model, 0, tmp_path)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.weight.mul_(2.0)
    go(observer, clock, range(1, 11), 1.0)
    found = [row for row in read_log(tmp_path / "weightaudit.parquet")[0] if row.place.layer == 0]
    weight = model.transformer.h[0].mlp.c_proj.weight.detach().double()
    assert found[0].frobenius_norm == pytest.approx(float(weight.norm()), rel=1e-9)


def test_whatever_fails_in_a_look_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    def fails(*args: object, **more: object) -> None:
        raise RuntimeError("out of memory on the device")

    seen = Observer(watch(every=1, budget=None))
    seen.begin(gpt2(), 0, tmp_path)
    monkeypatch.setattr(observing, "measure", fails)
    seen.after_step(1)
    assert "not looked at any more from step 1 on: out of memory on the device" in caplog.text
    monkeypatch.setattr(observing, "nonfinite_tensors", fails)
    assert seen.after_step(2) == observing.Seen()


def test_steps_that_come_several_at_once_are_not_missed(tmp_path: Path) -> None:
    seen = Observer(watch(every=10, budget=None))
    seen.begin(gpt2(), 0, tmp_path)
    for step in range(3, 34, 3):
        seen.after_step(step)
    seen.end(33)
    rows, _ = read_log(seen.path)
    assert sorted({row.due for row in rows if row.kind == "matrix"}) == [12, 21, 30]
