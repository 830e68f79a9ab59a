"""Bad input: one clear message, the right exit code, no traceback, and no half-written output."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from tests.support.running import CommandLine


@pytest.fixture
def bert(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, Path]) -> Path:
    """A copy of the tiny BERT that a test may break.

    Not in `tmp_path`: that is named after the test, and messages that name the path would seem to name the fault.
    """
    return Path(shutil.copytree(tiny_checkpoints["bert"], tmp_path_factory.mktemp("x") / "bert"))


def _config(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def _remove(name: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).unlink()


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()


def _truncate(directory: Path) -> None:
    path = directory / "model.safetensors"
    os.truncate(path, path.stat().st_size - 100)


def _index(weight_file: str) -> Callable[[Path], object]:
    def write(directory: Path) -> None:
        path = directory / "model.safetensors"
        names = list(safetensors.torch.load_file(path))
        path.rename(directory / "model-00001-of-00002.safetensors")
        (directory.parent / "x").write_bytes(b"")
        weight_map = dict.fromkeys(names, "model-00001-of-00002.safetensors")
        weight_map[names[0]] = weight_file
        index = {"metadata": {}, "weight_map": weight_map}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))

    return write


def _misshape(directory: Path) -> None:
    path = directory / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["bert.encoder.layer.0.attention.self.query.weight"] = torch.ones(5, 7)
    safetensors.torch.save_file(tensors, path)


def _only_bin(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


# what is broken: (how, words that the message must hold)
BROKEN: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty directory": (_empty, ("no weights found", "model.safetensors")),
    "no config.json": (_remove("config.json"), ("config.json",)),
    "config without model_type": (lambda d: _config(d, model_type=None), ("model_type", "archs")),
    "config that is no JSON": (lambda d: (d / "config.json").write_text("{"), ("config.json", "JSON")),
    "config that is no object": (lambda d: (d / "config.json").write_text("[1]"), ("config.json", "object")),
    "truncated file": (_truncate, ("model.safetensors", "cut short", "download it again")),
    "index naming a missing shard": (
        _index("model-00002-of-00002.safetensors"),
        ("model-00002-of-00002.safetensors",),
    ),
    "index naming a path outside": (_index("../x"), ("../x", "outside")),
    "only pytorch_model.bin": (_only_bin, ("pytorch_model.bin", "safetensors")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_model(weightaudit: CommandLine, tmp_path: Path, bert: Path, what: str) -> None:
    break_it, words = BROKEN[what]
    break_it(bert)
    out = tmp_path / "out"
    out.mkdir()
    done = weightaudit("scan", bert, "--out", out / "r.html", "--csv", out / "l.csv")
    assert done.code == 3
    assert done.stdout == ""
    assert done.stderr.startswith("weightaudit: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "This is a bug" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert list(out.iterdir()) == []


def test_a_tensor_whose_shape_is_not_the_configs_is_told_and_the_rest_scanned(
    weightaudit: CommandLine, tmp_path: Path, bert: Path
) -> None:
    _misshape(bert)
    done = weightaudit("scan", bert, "--json", tmp_path / "r.json", "--quiet")
    assert done.code == 1
    report = json.loads((tmp_path / "r.json").read_text())
    (found,) = [finding for finding in report["findings"] if finding["severity"] == "error"]
    assert (found["id"], found["layer"], found["role"]) == ("misshapen", 0, "Q")
    assert found["tensors"] == ["bert.encoder.layer.0.attention.self.query.weight"]
    for word in ("attention.self.query.weight", "(5, 7)", "24", "hidden_size"):
        assert word in found["detail"]
    (entry,) = [entry for entry in report["coverage"] if entry["status"] == "unmapped"]
    assert entry["tensor"] == found["tensors"][0]
    assert {(row["layer"], row["role"]) for row in report["layers"]} >= {(0, "K"), (1, "Q")}


def test_missing_path(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("scan", tmp_path / "nowhere")
    assert done.code == 3
    assert "nowhere" in done.stderr
    assert "no such" in done.stderr.lower()


def test_hub_id_that_is_not_in_the_cache_offline(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    done = weightaudit("scan", "nobody/nothing", "--offline")
    assert done.code == 3
    assert "nobody/nothing" in done.stderr
    assert "offline" in done.stderr.lower()


def test_unknown_model_type_is_scanned_and_marked_guessed(weightaudit: CommandLine, tmp_path: Path, bert: Path) -> None:
    _config(bert, model_type="bort")
    html, js, parquet = (tmp_path / f"r.{kind}" for kind in ("html", "json", "parquet"))
    done = weightaudit("scan", bert, "--out", html, "--json", js, "--parquet", parquet)
    assert done.code == 0
    assert "'bort' is not known: roles were GUESSED" in done.stderr
    assert "GUESSED" in done.stdout
    assert json.loads(js.read_text())["architecture"]["guessed"] is True
    assert json.loads(pq.read_schema(parquet).metadata[b"weightaudit.architecture"])["guessed"] is True
    assert "guessed" in html.read_text().lower()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--layers", "9-2"], ("layers '9-2'", "backwards", "2-9")),
        (["--threads", "100000"], ("threads", "100000", "1 to 1024")),
        (["--layers", "7"], ("layer 7", "It has layers 0-1")),
        (["--roles", "Z"], ("role 'Z'", "It has")),
        (["--method", "magic"], ("magic", "'auto', 'exact', 'krylov'")),
        (["--tol", "0"], ("tol", "0")),
        (["--tol", "nan"], ("tol", "nan")),
        (["--delta", "2"], ("delta", "2")),
        (["--device", "toaster"], ("device", "toaster")),
        (["--out", "report.docx"], ("report.docx", ".html")),
        (["--out", "no/such/dir/r.html"], ("no/such/dir/r.html", "directory")),
        (["--csv", "."], ("it is a directory",)),
        (["--out", "a.csv", "--csv", "./a.csv"], ("a.csv", "two outputs")),
    ],
)
def test_wrong_usage(
    weightaudit: CommandLine,
    tmp_path: Path,
    bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    says: tuple[str, ...],
) -> None:
    place = tmp_path / "cwd"
    place.mkdir()
    monkeypatch.chdir(place)
    done = weightaudit("scan", bert, *words)
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("weightaudit: ")
    assert "Traceback" not in done.stderr
    for word in says:
        assert word in done.stderr
    assert list(place.iterdir()) == []


def test_unknown_option(weightaudit: CommandLine) -> None:
    done = weightaudit("scan", "x", "--bogus")
    assert done.code == 2
    assert "--bogus" in done.stderr


def test_a_mistyped_command(weightaudit: CommandLine) -> None:
    done = weightaudit("scna", "x")
    assert (done.code, done.stdout) == (2, "")
    assert "'scan'? See 'weightaudit --help'" in done.stderr  # no full stop after the question
    assert "). See 'weightaudit scan --help'" in weightaudit("scan", "x", "--bogus").stderr


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_directory_without_permission(weightaudit: CommandLine, tmp_path: Path, bert: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = weightaudit("scan", bert, "--csv", locked / "l.csv")
    assert done.code == 2
    assert str(locked / "l.csv") in done.stderr


def test_an_old_report_survives_a_failed_scan(weightaudit: CommandLine, tmp_path: Path, bert: Path) -> None:
    out = tmp_path / "l.csv"
    assert weightaudit("scan", bert, "--csv", out).code == 0
    before = out.read_bytes()
    _truncate(bert)
    assert weightaudit("scan", bert, "--csv", out).code == 3
    assert out.read_bytes() == before


def test_debug_shows_the_traceback(tmp_path: Path, weightaudit: CommandLine) -> None:
    plain = weightaudit("scan", tmp_path / "nowhere")
    done = weightaudit("scan", tmp_path / "nowhere", "--debug")
    assert (plain.code, done.code) == (3, 3)
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "weightaudit.errors.ModelNotFound: " in done.stderr
    assert done.stderr.endswith(f"\n{plain.stderr}")
