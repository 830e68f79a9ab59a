"""`weightaudit scan` and `weightaudit archs`, in this process and once as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support.running import CommandLine
from weightaudit import __version__

COLUMNS = (
    "model,revision,stack,layer,expert,role,tensors,rows,cols,dtype,parameters,"
    "frobenius_norm,spectral_norm,spectral_norm_upper,stable_rank,stable_rank_lower,norm_ratio,"
    "method,passes,converged,nonfinite,zeros,max_abs"
)


def test_every_output_says_the_same(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    html, csv, js, parquet = (tmp_path / f"r.{kind}" for kind in ("html", "csv", "json", "parquet"))
    done = weightaudit(
        "scan", tiny_checkpoints["gpt2"], "--out", html, "--csv", csv, "--json", js, "--parquet", parquet
    )
    assert done.code == 0
    frame, document = pd.read_csv(csv), json.loads(js.read_text())
    assert ",".join(frame.columns) == ",".join(pd.read_parquet(parquet).columns) == COLUMNS
    assert frame.role.tolist() == [row["role"] for row in document["layers"]]
    assert frame.role.tolist() == ["EMBED", "POSITION"] + ["Q", "K", "V", "O", "QKV", "M1", "M2"] * 2
    assert frame.model.unique().tolist() == ["gpt2"]
    assert document["schema"] == 1
    assert document["options"]["seed"] == 0
    assert len(document["coverage"]) == document["summary"]["tensors"]
    assert "plotly" in html.read_text()
    for path in (html, csv, js, parquet):
        assert f"wrote {path}" in done.stderr
    assert "family gpt2: 2 layers, 24 model dimension" in done.stdout
    assert "parameters analysed" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_quiet_says_nothing(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    done = weightaudit("scan", tiny_checkpoints["phi"], "--csv", tmp_path / "l.csv", "--quiet")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "l.csv").exists()


def test_roles_and_layers(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    csv, js = tmp_path / "l.csv", tmp_path / "l.json"
    done = weightaudit("scan", tiny_checkpoints["gptj"], "--csv", csv, "--json", js, "--roles", "q,M2", "--layers", "1")
    assert done.code == 0
    frame = pd.read_csv(csv)
    assert list(zip(frame.layer, frame.role, strict=True)) == [(1, "Q"), (1, "M2")]
    statuses = {entry["status"] for entry in json.loads(js.read_text())["coverage"]}
    assert statuses == {"analysed", "ignored", "not selected"}


def test_a_single_file_and_a_directory_say_the_same_numbers(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    assert weightaudit("scan", tiny_checkpoints["bert"], "--csv", one).code == 0
    assert weightaudit("scan", tiny_checkpoints["bert"] / "model.safetensors", "--csv", two).code == 0
    whole, single = pd.read_csv(one), pd.read_csv(two)
    assert single.model.unique().tolist() == ["bert/model.safetensors"]
    assert whole.drop(columns="model").equals(single.drop(columns="model"))


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "phi", "gptj"])
def test_archs(weightaudit: CommandLine, family: str) -> None:
    everything = weightaudit("archs")
    assert everything.code == 0
    assert family in everything.stdout
    one = weightaudit("archs", family)
    assert one.code == 0
    for role in ("QKV", "M1", "EMBED"):
        assert role in one.stdout


def test_archs_unknown_name(weightaudit: CommandLine) -> None:
    done = weightaudit("archs", "gpt22")
    assert done.code == 2
    assert "gpt2" in done.stderr


@pytest.mark.slow
def test_as_a_process(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "weightaudit", "scan", str(tiny_checkpoints["roberta"])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "family roberta" in done.stdout
    assert done.stderr == ""  # no progress bar where stderr is no terminal
    assert list(tmp_path.iterdir()) == []


def test_version(weightaudit: CommandLine) -> None:
    assert weightaudit("--version").stdout == f"weightaudit {__version__}\n"
