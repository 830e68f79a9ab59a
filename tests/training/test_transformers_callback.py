"""The callback for transformers' Trainer, in real runs of a tiny GPT-2."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.training.runs import HIDDEN, LAYERS, gpt2, trainer
from weightaudit import training
from weightaudit.errors import UsageError
from weightaudit.report.series.log import LOG_NAME, read_log
from weightaudit.training.rules import NONFINITE, judged

ROLES = {"Q", "K", "V", "O", "M1", "M2"}


def spoiler(at: int, value: float) -> Any:
    """A callback that plants ``value`` into a weight after step ``at``."""
    from transformers import TrainerCallback

    class Spoiler(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == at:
                with torch.no_grad():
                    kwargs["model"].transformer.h[1].mlp.c_fc.weight[3, 4] = value

    return Spoiler()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The trainer of a run of four steps, measured every second one, and its log."""
    directory, model = tmp_path_factory.mktemp("measured"), gpt2()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = trainer(directory, model, steps=4)
        run.add_callback(training.WeightauditCallback(run, every=2, budget=None))
        run.train()
    return run, directory / LOG_NAME


def test_a_run_is_measured_as_its_weights_are(measured: tuple[Any, Path]) -> None:
    run, log = measured
    model = run.model
    rows, told = read_log(log)
    matrices = [row for row in rows if row.kind == "matrix"]
    assert {row.due for row in matrices} == {0, 2, 4}
    assert {row.place.role for row in matrices} == ROLES
    last = {row.place.key: row for row in matrices if row.due == 4}
    assert len(last) == LAYERS * len(ROLES)
    weight = model.transformer.h[1].mlp.c_fc.weight.detach().double().numpy()
    row = last["/1//M1"]
    assert (row.rows, row.cols) == (4 * HIDDEN, HIDDEN)
    assert row.frobenius_norm == pytest.approx(np.linalg.norm(weight), rel=1e-9)
    sigma = np.linalg.norm(weight, 2)
    assert row.spectral_norm * (1 - 1e-9) <= sigma <= row.spectral_norm_upper * (1 + 1e-9)
    query = model.transformer.h[0].attn.c_attn.weight.detach().double().numpy()[:, :HIDDEN]
    assert last["/0//Q"].frobenius_norm == pytest.approx(np.linalg.norm(query), rel=1e-9)
    assert told["every"] == 2
    assert told["measuring_seconds"] > 0
    assert judged(rows) == []


def test_the_trainers_logger_gets_the_numbers_beside_its_own(measured: tuple[Any, Path]) -> None:
    run, _ = measured
    ours = [said for said in run.state.log_history if "weightaudit/stable_rank/M1/median" in said]
    assert [said["step"] for said in ours] == [0, 2, 4]
    assert [said["step"] for said in run.state.log_history if "loss" in said] == [2, 4]


def test_without_a_trainer_later_callbacks_get_the_numbers(tmp_path: Path) -> None:
    from transformers import TrainerCallback

    seen: list[dict[str, float]] = []

    class Listener(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seen.append(dict(kwargs["logs"]))

    run = trainer(tmp_path, steps=2)
    run.add_callback(training.WeightauditCallback(every=2, budget=None, roles="O,Q"))
    run.add_callback(Listener())
    run.train()
    assert any("weightaudit/spectral_norm/O/max" in said for said in seen)
    assert not [name for said in seen for name in said if "/V/" in name]


@pytest.mark.slow
def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = trainer(tmp_path, steps=2, report_to=["tensorboard"])
    run.add_callback(training.WeightauditCallback(run, every=2, budget=None))
    run.train()
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    known = loader.EventAccumulator(str(events.parent))
    known.Reload()
    assert "train/weightaudit/stable_rank/M1/median" in known.Tags()["scalars"]


def test_a_weight_that_becomes_nan_is_told_once_and_stops_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(tmp_path, steps=6)
    run.add_callback(spoiler(3, float("nan")))
    run.add_callback(training.WeightauditCallback(run, every=2, budget=None, stop_on_nonfinite=True))
    with caplog.at_level(logging.WARNING, "weightaudit.training"):
        run.train()
    assert run.state.global_step == 3
    (told,) = [record.getMessage() for record in caplog.records if NONFINITE in record.getMessage()]
    assert "After step 3 1 tensor had NaN or infinite entries: transformer.h.1.mlp.c_fc.weight" in told
    rows, _ = read_log(tmp_path / LOG_NAME)
    (found,) = [row for row in rows if row.kind == "finding"]
    assert (found.step, found.rule, found.tensors) == (3, NONFINITE, ("transformer.h.1.mlp.c_fc.weight",))


def test_an_infinite_weight_does_not_stop_a_run_that_was_not_asked_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(tmp_path, steps=4)
    run.add_callback(spoiler(2, float("inf")))
    run.add_callback(training.WeightauditCallback(run, every=1, budget=None))
    with caplog.at_level(logging.WARNING, "weightaudit.training"):
        run.train()
    assert run.state.global_step == 4
    assert len([record for record in caplog.records if NONFINITE in record.getMessage()]) == 1
    step, found = judged(read_log(tmp_path / LOG_NAME)[0])[0]
    assert (step, found.id) == (2, NONFINITE)


@pytest.mark.slow
def test_a_run_that_diverges_is_flagged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = trainer(tmp_path, steps=4, rate=1e3)
    run.add_callback(training.WeightauditCallback(run, every=2, budget=None))
    with caplog.at_level(logging.WARNING, "weightaudit.training"):
        run.train()
    found = judged(read_log(tmp_path / LOG_NAME)[0])
    assert {(step, one.id) for step, one in found} >= {(2, "exploding-weights")}
    (told,) = [record.getMessage() for record in caplog.records if "exploding-weights" in record.getMessage()]
    assert "The same holds for K, V, O, M1 and M2 (exploding-weights)." in told


def test_a_resumed_run_keeps_the_rows_up_to_its_checkpoint(tmp_path: Path) -> None:
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2}
    run = trainer(tmp_path, steps=3, **saving)
    run.add_callback(training.WeightauditCallback(run, every=1, budget=None))
    run.train()
    before, _ = read_log(tmp_path / LOG_NAME)
    again = trainer(tmp_path, steps=4, **saving)
    again.add_callback(training.WeightauditCallback(again, every=2, budget=None))
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    after, _ = read_log(tmp_path / LOG_NAME)
    assert [row for row in after if row.step <= 2] == [row for row in before if row.step <= 2]
    assert sorted({row.step for row in after}) == [0, 1, 2, 4]


def test_a_new_run_leaves_the_log_of_an_earlier_one(tmp_path: Path, measured: tuple[Any, Path]) -> None:
    shutil.copy(measured[1], tmp_path / LOG_NAME)
    run = trainer(tmp_path, steps=1)
    run.add_callback(training.WeightauditCallback(run, every=2, budget=None))
    run.train()
    kept = tmp_path / "weightaudit-1.parquet"
    assert kept.read_bytes() == measured[1].read_bytes()
    assert read_log(kept)[0][0].frobenius_norm == read_log(tmp_path / LOG_NAME)[0][0].frobenius_norm


def test_a_file_that_is_no_log_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    run = trainer(tmp_path, steps=2)
    run.add_callback(training.WeightauditCallback(run, log=tmp_path / "mine.parquet"))
    with pytest.raises(UsageError, match=r"mine\.parquet"):
        run.train()
    assert (tmp_path / "mine.parquet").read_bytes() == b"mine"


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    run = trainer(tmp_path, steps=2)
    run.add_callback(training.WeightauditCallback(run, every=2, budget=None, log=tmp_path / "file" / "log.parquet"))
    with caplog.at_level(logging.WARNING, "weightaudit.training"):
        run.train()
    assert run.state.global_step == 2
    assert "the log of the weights could not be written" in caplog.text


@pytest.mark.parametrize(
    ("options", "thing"),
    [
        ({"every": 0}, "every"),
        ({"every": True}, "every"),
        ({"budget": 0}, "budget"),
        ({"budget": 2}, "budget"),
        ({"log": "log.csv"}, "log"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], thing: str) -> None:
    with pytest.raises(UsageError, match=thing):
        training.WeightauditCallback(**options)


def test_what_the_model_does_not_have_is_told_before_the_first_step(tmp_path: Path) -> None:
    run = trainer(tmp_path, gpt2())
    run.add_callback(training.WeightauditCallback(roles="GATE"))
    with pytest.raises(UsageError, match="no such role"):
        run.train()


def test_the_room_loads_no_library_of_training() -> None:
    heavy = "'torch', 'transformers', 'lightning', 'pyarrow'"
    code = f"import sys, weightaudit.training; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_log_is_a_plain_table(measured: tuple[Any, Path]) -> None:
    table = pq.read_table(measured[1]).to_pandas()
    assert list(table.columns[:7]) == ["step", "due", "kind", "stack", "layer", "expert", "role"]
    assert table[table.role == "M1"].groupby("due").stable_rank.median().notna().all()
