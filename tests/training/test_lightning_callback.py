"""The callback for Lightning's Trainer, in real runs of a tiny GPT-2."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import LAYERS, gpt2, loaded, texts
from weightaudit.report.series.log import read_log
from weightaudit.training.rules import NONFINITE

# Imported where it is used: that takes seconds, and every process that runs tests collects this file.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="Lightning is not installed")


def module(model: Any, rate: float = 1e-3, nan_at: int = -1) -> Any:
    import lightning.pytorch as lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def training_step(self, batch: Any, index: int) -> Any:
            if self.global_step == nan_at:
                with torch.no_grad():
                    self.net.transformer.h[0].attn.c_proj.weight[0, 0] = float("nan")
            return self.net(**batch).loss

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=rate)

    return Module()


def started(directory: Path, callbacks: list[Any], *, steps: int, logger: Any = False, **options: Any) -> Any:
    import lightning.pytorch as lightning

    loaded()
    return lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=str(directory),
        callbacks=callbacks,
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, "log_every_n_steps": 1, **options},
    )


def data() -> Any:
    return torch.utils.data.DataLoader(texts(), batch_size=4)  # type: ignore[arg-type]  # a list will do


def run(directory: Path, callback: Any, *, steps: int = 4, nan_at: int = -1, **options: Any) -> Any:
    trainer = started(directory, [callback], steps=steps, **options)
    trainer.fit(module(gpt2(), nan_at=nan_at), data())
    return trainer


def callback(**options: Any) -> Any:
    from weightaudit.training import WeightauditLightningCallback

    return WeightauditLightningCallback(**{"every": 2, "budget": None, **options})


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of three steps of two batches each, all of them measured and told to a logger."""
    from lightning.pytorch.loggers import CSVLogger

    directory = tmp_path_factory.mktemp("measured")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = CSVLogger(directory, name="csv")
        run(directory, callback(every=1), steps=3, accumulate_grad_batches=2, logger=logger)
    return directory


def test_a_run_is_measured(measured: Path) -> None:
    rows, _ = read_log(measured / "weightaudit.parquet")
    assert {row.place.role for row in rows} == {"Q", "K", "V", "O", "M1", "M2"}
    assert {row.place.layer for row in rows} == set(range(LAYERS))


def test_steps_are_the_optimizers(measured: Path) -> None:
    rows, _ = read_log(measured / "weightaudit.parquet")
    assert len(rows) == 4 * 6 * LAYERS
    assert sorted({row.due for row in rows}) == [0, 1, 2, 3]


@pytest.mark.slow
def test_every_second_step_is_measured(tmp_path: Path) -> None:
    run(tmp_path, callback())
    rows, _ = read_log(tmp_path / "weightaudit.parquet")
    assert sorted({row.due for row in rows}) == [0, 2, 4]
    assert len(rows) == 3 * 6 * LAYERS


def test_the_loggers_get_the_numbers(measured: Path) -> None:
    (metrics,) = measured.rglob("metrics.csv")
    assert "weightaudit/stable_rank/M1/median" in metrics.read_text().splitlines()[0]


def test_a_weight_that_becomes_nan_ends_the_run_that_asked_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "weightaudit.training"):
        trainer = run(tmp_path, callback(stop_on_nonfinite=True), steps=8, nan_at=2)
    assert trainer.global_step == 3
    (found,) = [row for row in read_log(tmp_path / "weightaudit.parquet")[0] if row.rule == NONFINITE]
    assert found.step == 3
    assert "net." not in found.tensors[0]  # named within the model that is watched


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_log(tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    saving = ModelCheckpoint(dirpath=tmp_path / "saved", every_n_train_steps=2, save_top_k=-1, filename="{step}")
    trainer = started(tmp_path, [callback(every=1), saving], steps=4, enable_checkpointing=True)
    trainer.fit(module(gpt2()), data())
    before, _ = read_log(tmp_path / "weightaudit.parquet")
    again = started(tmp_path, [callback(every=2)], steps=6)
    again.fit(module(gpt2()), data(), ckpt_path=str(tmp_path / "saved" / "step=2.ckpt"))
    after, _ = read_log(tmp_path / "weightaudit.parquet")
    assert [row for row in after if row.step <= 2] == [row for row in before if row.step <= 2]
    assert sorted({row.step for row in after}) == [0, 1, 2, 4, 6]
