"""Thousands of models: bounded memory, and joined files that have them all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.batches.checkpoints import random_model
from tests.batches.faked import Timed, fake_run
from weightaudit.batches import BatchResult, aggregate

ROOT = Path(__file__).parent.parent.parent


GROWTH = 30_000_000
"""Bytes by which the peak of 200 models may be beyond that of 20: 22 MB were measured, a row group and what the page
says of each model, and 39 MB where all tables are gathered."""


def test_no_row_group_gathers_more_than_it_must(
    batch: Callable[..., BatchResult], few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bounds the memory: rows are written as soon as there are enough, and then let go."""
    batch(few[:1], tmp_path / "one")
    folder, models = tmp_path / "one" / few[0].name, 12
    rows = len((folder / "layers.csv").read_text().splitlines()) - 1
    monkeypatch.setattr(aggregate, "ROWS", 3 * rows)
    gathered: list[int] = []

    def concat(tables: list[Any]) -> Any:
        gathered.append(len(tables))
        return concat_tables(tables)

    concat_tables = pa.concat_tables
    monkeypatch.setattr(pa, "concat_tables", concat)
    result = fake_run(models, folder, tmp_path / "out", Timed())
    assert (len(result.scanned), gathered) == (models, [3] * 4)
    table = pq.ParquetFile(tmp_path / "out" / "all.parquet")
    assert [table.metadata.row_group(i).num_rows for i in range(table.metadata.num_row_groups)] == [3 * rows] * 4
    assert len((tmp_path / "out" / "all.csv").read_text().splitlines()) == 1 + models * rows
    assert len((tmp_path / "out" / "summary.csv").read_text().splitlines()) == 1 + models


@pytest.mark.slow
@pytest.mark.parametrize("models", [200, 1000, 5000])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
def test_thousands_of_models(models: int, batch: Callable[..., BatchResult], tmp_path: Path) -> None:
    template = random_model(tmp_path / "models", "gpt2", 0, layers=24)
    batch([template], tmp_path / "one")
    folder = tmp_path / "one" / template.name
    rows = len((folder / "layers.csv").read_text().splitlines()) - 1
    assert rows > 150
    words = [sys.executable, "-m", "tests.batches.faked", str(models), str(folder), str(tmp_path / "out")]
    words += ["4096"] if models < 1000 else []
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert (said["scanned"], said["kept"]) == (models, models)
    assert models > 200 or said["peak"] - said["tenth"] < GROWTH
    assert said["peak"] < 1_000_000_000
    with (tmp_path / "out" / "all.csv").open() as file:
        assert sum(1 for _ in file) == 1 + models * rows
    table = pq.ParquetFile(tmp_path / "out" / "all.parquet")
    assert table.metadata.num_rows == models * rows
    assert 1 < table.metadata.num_row_groups < 20
    assert len((tmp_path / "out" / "summary.csv").read_text().splitlines()) == 1 + models
