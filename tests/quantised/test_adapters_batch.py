"""A batch of models and adapters: one table, whose columns each fills as far as it has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import weightaudit as wa
from tests.quantised.adapters import golden, write
from tests.support.running import CommandLine
from weightaudit.report.adapters import ADAPTER
from weightaudit.report.columns import NAMES
from weightaudit.report.quantisation import QUANTISATION

PLAIN = {f"layers.0.mlp.{side}.weight": np.eye(4, dtype=np.float32) for side in ("up_proj", "down_proj")}
INT8 = {name: matrix.astype(np.int8) for name, matrix in PLAIN.items()} | {
    name.replace(".weight", ".SCB"): np.full(4, 127, np.float32) for name in PLAIN
}
"""As bitsandbytes stores them."""


@pytest.mark.parametrize(
    "models",
    [
        pytest.param(("plain", "lora"), marks=pytest.mark.slow),
        pytest.param(("lora", "plain", "loha"), marks=pytest.mark.slow),
        ("int8", "lora", "plain"),
        pytest.param(("lora", "plain", "int8"), marks=pytest.mark.slow),
    ],
)
def test_adapters_beside_models(models: tuple[str, ...], weightaudit: CommandLine, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in models}
    for name, folder in folders.items():
        if name in ("plain", "int8"):
            write(folder, PLAIN if name == "plain" else INT8, name="model")
            (folder / "config.json").write_text('{"model_type": "own"}')
        else:
            golden(name).write(folder)
    (tmp_path / "list.txt").write_text("\n".join(map(str, folders.values())))
    done = weightaudit(
        "batch", tmp_path / "list.txt", "--out", tmp_path / "out", "--workers", "0", "--fail-on", "never"
    )
    assert done.code == 0, done.stderr
    joined = pd.read_csv(tmp_path / "out" / "all.csv", dtype={"untrained": "string"})
    quantisation = [column.name for column in QUANTISATION] if "int8" in models else []
    assert list(joined.columns) == [*NAMES, *quantisation, *(column.name for column in ADAPTER)]
    alone = wa.scan(folders["lora"]).layers
    own = joined[joined.model == "lora"].reset_index(drop=True)
    assert list(own["rank"]) == list(alone["rank"])
    assert list(own["untrained"]) == list(alone["untrained"])
    np.testing.assert_allclose(own["scale"], alone["scale"])
    assert joined[joined.model == "plain"][["rank", "scale", "untrained"]].isna().all(axis=None)
    for name in models:
        assert set(joined[joined.model == name].get("format", pd.Series()).dropna()) == (
            {"bitsandbytes INT8"} if name == "int8" else set()
        )
    parquet = pd.read_parquet(tmp_path / "out" / "all.parquet")
    assert list(parquet.columns) == list(joined.columns)
    assert list(parquet[parquet.model == "lora"]["rank"]) == list(alone["rank"])
