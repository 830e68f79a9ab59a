"""No output of any command replaces a file of a model, and finished work survives an output that fails."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.running import CommandLine
from weightaudit import scan
from weightaudit.errors import OutputError
from weightaudit.report.files import replacing

Snapshot = dict[str, bytes]


def contents(folder: Path) -> Snapshot:
    """Every file below ``folder`` with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def model(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> Path:
    """A model with the files that usually lie beside the weights."""
    folder = tmp_path / "home" / "model"
    shutil.copytree(tiny_checkpoints["gpt2"], folder)
    for name in ("tokenizer.json", "vocab.txt", "README.md", "pytorch_model.bin", "1_Pooling/config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def refusing(name: str) -> Callable[[str, Path], None]:
    """`os.replace` on a disk that is full when ``name`` is to be written."""
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    return full


def linked(folder: Path, kind: str) -> str:
    """The name of a link to the weights, which lies outside the model."""
    path = folder.parent / f"{kind}.csv"
    if kind == "hard":
        os.link(folder / "model.safetensors", path)
    else:
        path.symlink_to(folder / "model.safetensors")
    return str(path)


OUTPUTS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "weights": lambda m: ("--csv", f"{m}/model.safetensors"),
    "weights by another way": lambda m: ("--csv", f"{m}/../model/./model.safetensors"),
    "config": lambda m: ("--json", f"{m}/config.json"),
    "nested config": lambda m: ("--json", f"{m}/1_Pooling/config.json"),
    "tokenizer": lambda m: ("--parquet", f"{m}/tokenizer.json"),
    "vocabulary": lambda m: ("--csv", f"{m}/vocab.txt"),
    "passed over": lambda m: ("--parquet", f"{m}/pytorch_model.bin"),
    "its card": lambda m: ("--json", f"{m}/README.md"),
    "new index": lambda m: ("--json", f"{m}/model.safetensors.index.json"),
    "new adapter": lambda m: ("--out", f"{m}/adapter_config.json"),
    "weight file elsewhere": lambda m: ("--csv", f"{m.parent}/other.GGUF"),
    "index elsewhere": lambda m: ("--json", f"{m.parent}/pytorch_model.bin.index.json"),
    "hard link": lambda m: ("--csv", linked(m, "hard")),
    "symbolic link": lambda m: ("--out", linked(m, "soft")),
    "second output": lambda m: ("--out", f"{m.parent}/fine.html", "--json", f"{m}/config.json"),
}


@pytest.mark.parametrize("case", OUTPUTS)
@pytest.mark.parametrize("lone", [False, True], ids=["folder", "file"])
def test_no_output_replaces_a_file_of_the_model(
    case: str, lone: bool, weightaudit: CommandLine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lone and case == "nested config":
        pytest.skip("what lies below a lone file's folder is not read with it")
    words = OUTPUTS[case](model)
    before = contents(model.parent)
    monkeypatch.setattr("weightaudit.audit.scan", lambda *a, **k: pytest.fail("a byte was read"))
    done = weightaudit("scan", model / "model.safetensors" if lone else model, *words)
    assert done.code == 2
    assert "weight file" in done.stderr or "model" in done.stderr
    assert contents(model.parent) == before


def test_a_lone_file_is_not_its_own_report(weightaudit: CommandLine, model: Path) -> None:
    odd = model.parent / "weights.csv"
    shutil.copy(model / "model.safetensors", odd)
    before = odd.read_bytes()
    assert weightaudit("scan", odd, "--csv", odd).code == 2
    assert odd.read_bytes() == before


def test_the_cache_is_no_place_for_outputs(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--org--name"
    (cached / "blobs").mkdir(parents=True)
    blob = cached / "blobs" / "0f3a"
    shutil.copy(model / "model.safetensors", blob)
    snapshot = cached / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(blob)
    shutil.copy(model / "config.json", snapshot)
    link = tmp_path / "report.csv"
    link.symlink_to(blob)
    before = contents(tmp_path)
    for output in (blob, link, snapshot / "new.csv", cached / "refs" / "x.json"):
        assert weightaudit("scan", snapshot, "--csv", output).code == 2
        assert weightaudit("scan", model, "--csv", output).code == 2  # another model's cache is none either
    assert contents(tmp_path) == before


def test_a_report_may_lie_in_the_model_and_be_written_again(weightaudit: CommandLine, model: Path) -> None:
    words = ("--csv", model / "l.csv", "--json", model / "audit.json", "--out", model / "r.html", "--layers", "0")
    for _ in range(2):
        assert weightaudit("scan", model, *words).code == 0
    (model / "audit.json").write_text('{"schema": 1}')  # no longer ours
    assert weightaudit("scan", model, *words).code == 2


def test_figures(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "any.svg").symlink_to(model / "model.safetensors")
    before = contents(model)
    assert weightaudit("scan", model, "--figures", tmp_path / "figures").code == 2
    assert contents(model) == before


@pytest.mark.parametrize("out", ["model", "model/../model", "link", ""])
def test_a_batch_writes_into_no_model(out: str, weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    # "": its folder for the model, in the directory that holds it, would be the model.
    (model.parent / "link").symlink_to(model)
    (tmp_path / "list.txt").write_text(f"{model}\n")
    before = contents(tmp_path)
    done = weightaudit("batch", tmp_path / "list.txt", "--out", model.parent / out, "--workers", "0")
    assert (done.code, "model's folder" in done.stderr) == (2, True)
    assert contents(tmp_path) == before


def test_neither_does_a_comparison(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    other = model.parent / "other"
    shutil.copytree(model, other)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "2-other").symlink_to(other)
    before = contents(tmp_path)
    for out in (model, tmp_path / "out"):
        assert weightaudit("compare", model, other, "--out", out).code == 2
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").symlink_to(other / "config.json")
    assert weightaudit("compare", model, other, "--out", tmp_path / "page").code == 2
    assert contents(model) == contents(other)
    assert contents(tmp_path).items() >= before.items()


def test_nor_an_experiment(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "figure1").symlink_to(model)
    before = contents(model)
    done = weightaudit("paper", "figure1", "--models", model, "--out", tmp_path / "out")
    assert (done.code, contents(model)) == (2, before)


def test_links_where_results_belong_are_not_followed(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "a.json"
    assert weightaudit("scan", model, "--layers", "0", "--json", report).code == 0
    kept = tmp_path / "kept"
    kept.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "differences.csv").symlink_to(report)
    (out / "index.html").symlink_to(kept)
    before = report.read_bytes()
    assert weightaudit("compare", report, report, "--out", out).code == 0
    assert (report.read_bytes(), kept.read_text()) == (before, "mine")
    assert not (out / "differences.csv").is_symlink()

    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "report.html").write_text("mine")
    (out / "1-model").symlink_to(tmp_path / "victim")
    assert weightaudit("compare", model, report, "--out", out).code == 2
    (out / "1-model").unlink()
    (out / "1-model").mkdir()
    (out / "1-model" / "report.html").symlink_to(kept)
    assert weightaudit("compare", model, report, "--out", out).code == 2
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["report.html"]
    assert kept.read_text() == "mine"


def test_a_figure_replaces_a_link(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = tmp_path / "figures"
    assert weightaudit("scan", model, "--figures", figures).code == 0
    drawn = next(figures.glob("*.svg"))
    drawn.unlink()
    (tmp_path / "kept").write_text("mine")
    drawn.symlink_to(tmp_path / "kept")
    assert weightaudit("scan", model, "--figures", figures).code == 0
    assert (tmp_path / "kept").read_text() == "mine"
    assert not drawn.is_symlink()


def test_a_merge_writes_into_no_model(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0\n")
    assert weightaudit("batch", tmp_path / "list.txt", "--out", tmp_path / "b", "--workers", "0").code == 0
    (model / "report.html").write_text("the model's own")
    before = contents(model)
    for out in (model.parent, model):
        assert weightaudit("batch", "--merge", tmp_path / "b", "--out", out).code == 2
    assert contents(model) == before


def test_a_linked_folder_is_the_model_s(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    shutil.move(model / "1_Pooling", tmp_path / "pool")
    (model / "1_Pooling").symlink_to(tmp_path / "pool")
    (model / "loop").symlink_to(model)
    before = contents(tmp_path / "pool")
    assert weightaudit("scan", model, "--json", tmp_path / "pool" / "config.json").code == 2
    assert contents(tmp_path / "pool") == before


def test_in_python(model: Path, tmp_path: Path) -> None:
    report = scan(model, layers=0)
    before = contents(model)
    for write, path in (
        (report.to_csv, tmp_path / "x.safetensors"),
        (report.to_json, model / "config.json"),
        (report.to_parquet, model / "model.safetensors"),
        (report.to_html, model / "tokenizer.json"),
        (report.to_sarif, tmp_path / "x.bin"),
        (report.write, linked(model, "hard")),
    ):
        with pytest.raises(OutputError):
            write(path)
    with pytest.raises(OutputError), replacing(tmp_path / "any.ckpt"):
        pass
    assert contents(model) == before


FAILING = ("r.html", "l.csv", "a.json", "l.parquet")


@pytest.mark.parametrize("failing", FAILING)
def test_one_output_that_fails_leaves_the_others(
    failing: str, weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", refusing(failing))
    done = weightaudit("scan", model, "--layers", "0", *(w for name in FAILING for w in ("--out", tmp_path / name)))
    assert done.code == 2
    assert f"{failing}: No space left on device" in done.stderr
    assert "parameters analysed" in done.stdout  # the summary
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted({*FAILING} - {failing})


def test_every_output_that_fails_is_told(
    weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "replace", gone)
    done = weightaudit("scan", model, "--layers", "0", *(w for name in FAILING for w in ("--out", tmp_path / name)))
    assert done.code == 2
    for name in FAILING:
        assert sum(f"{name}: File too large" in line for line in done.stderr.splitlines()) == 1
    assert list(tmp_path.glob(".weightaudit-*")) == []


def test_interrupted_while_writing_writes_no_more(
    weightaudit: CommandLine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    done = weightaudit("scan", model, "--layers", "0", *(w for name in FAILING for w in ("--out", tmp_path / name)))
    assert done.code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_batch_joins_what_can_be(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{model} layers=0\n")
    out = tmp_path / "out"
    words = ("batch", tmp_path / "list.txt", "--out", out, "--workers", "0")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", refusing("all.csv"))
        done = weightaudit(*words)
    assert (done.code, "all.csv" in done.stderr) == (2, True)
    assert {path.name for path in out.iterdir()} >= {"all.parquet", "summary.csv", "index.html"}
    assert weightaudit(*words).code == 0
    assert (out / "all.csv").is_file()


def test_a_comparison_writes_what_can_be(weightaudit: CommandLine, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "a.json"
    assert weightaudit("scan", model, "--layers", "0", "--json", report).code == 0
    out = tmp_path / "out"
    out.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", refusing("differences.csv"))
        done = weightaudit("compare", report, report, "--out", out)
    assert (done.code, "differences.csv" in done.stderr) == (2, True)
    assert (out / "index.html").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "m", "--csv", "a", "--csv", "b"),
        ("scan", "m", "--json", "a", "--json=b"),
        ("scan", "m", "--tol", "0.1", "--tol", "0.2"),
        ("batch", "l", "--out", "a", "--out", "b"),
        ("batch", "l", "--out", "a", "--shard", "1/2", "--shard", "2/2"),
        ("compare", "a", "b", "--out", "c", "--out", "d"),
        ("compare", "a", "b", "--out", "c", "--roles", "Q", "--roles", "K"),
        ("paper", "figure2", "--out", "a", "--seed", "1", "--seed", "2"),
        ("archs", "--check", "a", "--check", "b"),
    ],
    ids=" ".join,
)
def test_an_option_of_one_value_is_given_once(words: tuple[str, ...], weightaudit: CommandLine) -> None:
    done = weightaudit(*words)
    assert done.code == 2
    assert "was given 2 times" in " ".join(done.stderr.split())
