"""`weightaudit scan --spectrum full`: every singular value, in the JSON and in columns; how the option is written."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import weightaudit as wa
from tests.support.running import CommandLine
from weightaudit.cli.strict_command import with_values
from weightaudit.errors import UsageError
from weightaudit.report.full_columns import FULL
from weightaudit.report.spectra import SPECTRAL

FLAGS = {"--spectrum": ("full",)}


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("--spectrum", "--spectrum=yes"),
        ("--spectrum full", "--spectrum=full"),
        ("--spectrum FULL m", "--spectrum=FULL m"),
        ("--spectrum=full m", "--spectrum=full m"),
        ("--spectrum m", "--spectrum=yes m"),
        ("m --spectrum --out x", "m --spectrum=yes --out x"),
        ("m -- --spectrum full", "m -- --spectrum full"),
        ("m --out full", "m --out full"),
    ],
)
def test_what_the_flag_takes(words: str, read: str) -> None:
    assert list(with_values(words.split(), FLAGS)) == read.split()


def test_the_flag_eats_no_model(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    model = str(tiny_checkpoints["bert"])
    said = {}
    for name, words in {
        "before": ("--spectrum", model),
        "behind": (model, "--spectrum"),
        "full": ("--spectrum", "full", model),
        "joined": (model, "--spectrum=full"),
    }.items():
        path = tmp_path / f"{name}.json"
        assert weightaudit("scan", *words, "--layers", "0", "--roles", "Q", "--json", path, "--quiet").code == 0
        said[name] = path.read_text()
    assert said["before"] == said["behind"]
    assert said["full"] == said["joined"]
    assert json.loads(said["before"])["options"]["spectrum"] is True
    assert json.loads(said["full"])["options"]["spectrum"] == "full"


@pytest.mark.parametrize("words", ["--spectrum=all", "--spectrum="])
def test_wrong_values(words: str, weightaudit: CommandLine, tiny_checkpoints: dict[str, Path]) -> None:
    ended = weightaudit("scan", tiny_checkpoints["bert"], words)
    assert ended.code == 2
    assert "is none of yes, no and full" in ended.stderr


def test_given_twice(weightaudit: CommandLine, tiny_checkpoints: dict[str, Path]) -> None:
    ended = weightaudit("scan", tiny_checkpoints["bert"], "--spectrum", "--spectrum", "full")
    assert ended.code == 2
    assert "was given 2 times" in ended.stderr


def test_a_model_called_full(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoints["bert"], tmp_path / "full")
    monkeypatch.chdir(tmp_path)
    assert weightaudit("scan", "full", "--spectrum", "--quiet", "--layers", "0").code == 0
    assert weightaudit("scan", "--spectrum", "./full", "--quiet", "--layers", "0").code == 0


def test_outputs(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    model, js, table = tiny_checkpoints["gpt2"], tmp_path / "r.json", tmp_path / "r.csv"
    assert weightaudit("scan", model, "--spectrum", "full", "--json", js, "--csv", table, "--quiet").code == 0
    said = json.loads(js.read_text())
    matrices = {(m.stack, m.layer, m.expert, m.role): m for m in wa.matrices(model)}
    assert len(said["full_spectra"]) == len(said["layers"])
    for entry in said["full_spectra"]:
        sigma = np.linalg.svd(
            matrices[entry["stack"], entry["layer"], entry["expert"], entry["role"]].load().double().numpy(),
            compute_uv=False,
        )
        found = np.array(entry["singular_values"])
        assert np.abs(found**2 - sigma**2).max() <= entry["squared_error"] + 1e-12 * sigma[0] ** 2
        assert len(entry["shuffled"]) == len(sigma)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) >= {column.name for column in (*SPECTRAL, *FULL)}
    assert all(int(row["rank_90"]) <= int(row["rank_99"]) for row in rows)
    assert all((row["alpha_fits"] in ("yes", "no")) == bool(row["alpha"]) for row in rows)


def test_what_was_not_asked_is_not_there(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    path = tmp_path / "r.json"
    assert weightaudit("scan", tiny_checkpoints["gpt2"], "--spectrum", "--json", path, "--quiet").code == 0
    said = json.loads(path.read_text())
    assert "full_spectra" not in said
    assert '"full"' not in path.read_text()
    assert not {column.name for column in FULL} & said["layers"][0].keys()


def test_any_number_of_threads(tiny_checkpoints: dict[str, Path]) -> None:
    model = tiny_checkpoints["phi"]
    first, *others = (wa.scan(model, spectrum="full", layers=0, threads=threads).rows for threads in (1, 2, 3))
    assert all(other == first for other in others)
    assert all(row.spectrum.full for row in first)


def test_it_comes_back(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    report = wa.scan(tiny_checkpoints["bert"], spectrum="full", layers=0, roles="Q")
    report.to_json(tmp_path / "r.json")
    again = wa.load(tmp_path / "r.json")
    assert isinstance(again, wa.ScanReport)
    assert again.rows == report.rows
    assert again.layers.equals(report.layers)
    assert again.to_json() == report.to_json()


def test_options_of_python(tiny_checkpoints: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="none of yes, no"):
        wa.scan(tiny_checkpoints["bert"], spectrum="everything")


def test_too_large_is_told(monkeypatch: pytest.MonkeyPatch, tiny_checkpoints: dict[str, Path]) -> None:
    for module in ("audit.notes", "audit.workspace", "spectral.full.whole"):
        monkeypatch.setattr(f"weightaudit.{module}.LARGEST_SIDE", 4)
    report = wa.scan(tiny_checkpoints["bert"], spectrum="full")
    assert all((row.spectrum.full is None) == (min(row.matrix.shape) > 4) for row in report.rows)
    assert any(row.spectrum.full is None for row in report.rows)
    (note,) = (note for note in report.notes if note.startswith("Not all singular values"))
    assert "layer 0 Q" in note
    assert all(row.spectrum.detail is not None for row in report.rows)


def test_the_page_says_how_to_repeat_it(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    path = tmp_path / "r.html"
    assert (
        weightaudit(
            "scan", tiny_checkpoints["bert"], "--spectrum", "full", "--layers", "0", "--out", path, "--quiet"
        ).code
        == 0
    )
    assert "--spectrum full" in path.read_text()
