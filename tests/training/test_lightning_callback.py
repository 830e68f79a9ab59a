"""The callback for Lightning's Trainer, in real runs of a tiny GPT-2."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import LAYERS, gpt2, texts
from weightaudit.report.series.log import read_log
from weightaudit.training.rules import NONFINITE

lightning = pytest.importorskip("lightning.pytorch")


def module(model: Any, rate: float = 1e-3, nan_at: int = -1) -> Any:
    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]  # the class is Lightning's
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


def run(
    directory: Path, callback: Any, *, steps: int = 4, logger: Any = False, nan_at: int = -1, **options: Any
) -> Any:
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=str(directory),
        callbacks=[callback],
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, "log_every_n_steps": 1, **options},
    )
    data: Any = torch.utils.data.DataLoader(texts(), batch_size=4)  # type: ignore[arg-type]  # a list will do
    trainer.fit(module(gpt2(), nan_at=nan_at), data, ckpt_path=options.get("ckpt_path"))
    return trainer


def callback(**options: Any) -> Any:
    from weightaudit.training import WeightauditLightningCallback

    return WeightauditLightningCallback(**{"every": 2, "budget": None, **options})


def test_a_run_is_measured(tmp_path: Path) -> None:
    run(tmp_path, callback())
    rows, _ = read_log(tmp_path / "weightaudit.parquet")
    assert sorted({row.due for row in rows}) == [0, 2, 4]
    assert len(rows) == 3 * 6 * LAYERS


def test_steps_are_the_optimizers(tmp_path: Path) -> None:
    run(tmp_path, callback(every=1), steps=3, accumulate_grad_batches=4)
    rows, _ = read_log(tmp_path / "weightaudit.parquet")
    assert len(rows) == 4 * 6 * LAYERS


def test_the_loggers_get_the_numbers(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    run(tmp_path, callback(), logger=CSVLogger(tmp_path, name="csv"))
    (metrics,) = tmp_path.rglob("metrics.csv")
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
