"""`weightaudit compare`: reports and models side by side."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.support.running import CommandLine


def lines(out: Path) -> list[dict[str, str]]:
    with (out / "differences.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_and_a_model(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    assert weightaudit("scan", tiny_checkpoints["gpt2"], "--json", tmp_path / "gpt2.json").code == 0
    out = tmp_path / "new" / "out"
    done = weightaudit("compare", tmp_path / "gpt2.json", tiny_checkpoints["gptj"], "--out", out, "--threads", "1")
    assert done.code == 0
    assert done.stdout == ""
    assert f"wrote {out / 'index.html'} and {out / 'differences.csv'}" in done.stderr
    scanned = out / "2-gptj"
    assert {path.name for path in scanned.iterdir()} == {"layers.parquet", "report.html"}
    assert 'src="../plotly.js"' in (scanned / "report.html").read_text("utf-8")
    found = lines(out)
    assert {line["match"] for line in found} == {"both", "only a", "only b"}
    for match, number in (("both", "have a partner"), ("only b", "have none;"), ("only a", "of the first have none")):
        assert (
            f"{sum(line['match'] == match for line in found)} {'matrices ' * (match == 'both')}{number}" in done.stderr
        )
    page = (out / "index.html").read_text("utf-8")
    assert "2-gptj/report.html" in page
    again = weightaudit("compare", tmp_path / "gpt2.json", scanned, "--out", tmp_path, "--quiet")
    assert (again.code, again.stdout, again.stderr) == (0, "", "")
    assert lines(tmp_path) == found


def test_scan_options_and_the_same_model_twice(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    model = tiny_checkpoints["bert"]
    assert weightaudit("compare", model, model, "--out", tmp_path, "--roles", "Q,K", "--layers", "1").code == 0
    found = lines(tmp_path)
    assert [(line["layer"], line["role"], line["match"]) for line in found] == [("1", "Q", "both"), ("1", "K", "both")]
    assert {line["model_b"] for line in found} == {"bert (2)"}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"1-bert", "2-bert"}


def test_reports_are_read_before_anything_is_scanned(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"schema": 1, "model": "m"}))
    done = weightaudit("compare", tiny_checkpoints["gpt2"], tmp_path / "bad.json", "--out", tmp_path / "out")
    assert done.code == 2
    assert "it is not the whole report of one model" in done.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_usage(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    model = tiny_checkpoints["gpt2"]
    done = weightaudit("compare", model, "--out", tmp_path)
    assert (done.code, "needs two" in done.stderr) == (2, True)
    (tmp_path / "batch.json").write_text("{}")
    done = weightaudit("compare", model, model, "--out", tmp_path)
    assert (done.code, "it is a batch's directory" in done.stderr) == (2, True)
    (tmp_path / "file").write_text("")
    done = weightaudit("compare", model, model, "--out", tmp_path / "file")
    assert (done.code, "file exists" in done.stderr) == (2, True)


@pytest.mark.parametrize(("name", "called"), [("no/such@v1", "no/such"), ("./nowhere", "nowhere")])
def test_a_model_that_cannot_be_had_ends_it(name: str, called: str, weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("compare", name, name, "--out", tmp_path, "--offline")
    assert done.code == 3
    assert called in done.stderr
    assert not (tmp_path / "index.html").exists()
