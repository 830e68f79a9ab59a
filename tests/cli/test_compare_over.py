"""`weightaudit compare --over`: a run, or versions of a model, over steps."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.support.running import CommandLine
from tests.support.web import web_server
from weightaudit import scan
from weightaudit.cli.over import Version, _title
from weightaudit.records import Place, SeriesRow
from weightaudit.report.series.log import LOG_NAME, table_of, write_log


def lines(out: Path) -> list[dict[str, str]]:
    with (out / "series.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> Path:
    """Three checkpoints: the weights of the second are twice, and those of the third a thousand times the first's."""
    for step, factor in ((2, 1.0), (10, 2.0), (100, 1000.0)):
        folder = tmp_path / "run" / f"checkpoint-{step}"
        shutil.copytree(tiny_checkpoints["gpt2"], folder)
        tensors = load_file(folder / "model.safetensors")
        save_file({name: tensor * factor for name, tensor in tensors.items()}, folder / "model.safetensors")
    return tmp_path / "run"


def log_at(path: Path, *ranks: float) -> Path:
    rows = [
        SeriesRow(
            step=10 * at,
            due=10 * at,
            kind="matrix",
            place=Place("", layer, None, "M1"),
            rows=64,
            cols=64,
            frobenius_norm=1.0,
            spectral_norm=0.5,
            spectral_norm_upper=0.5,
            stable_rank=rank,
            stable_rank_lower=rank,
        )
        for at, rank in enumerate(ranks)
        for layer in range(3)
    ]
    rows += [SeriesRow(25, 25, "skipped", note="skipped to stay within the budget of 0.02")]
    path.parent.mkdir(exist_ok=True)
    write_log(path, [table_of(rows)], {"training_seconds": 10.0, "measuring_seconds": 0.1, "budget": 0.02})
    return path


def test_checkpoints_of_a_run(weightaudit: CommandLine, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = weightaudit("compare", "--over", "step", run, "--out", out, "--roles", "Q,M1", "--threads", "1")
    assert done.code == 0
    assert done.stdout == ""
    assert "error: At step 100 the entries of" in done.stderr
    assert "(exploding-weights)" in done.stderr
    found = lines(out)
    assert sorted({int(line["step"]) for line in found}) == [2, 10, 100]
    assert {line["role"] for line in found} == {"Q", "M1"}
    first, second = (
        next(float(line["frobenius_norm"]) for line in found if line["step"] == step and line["role"] == "Q")
        for step in ("2", "10")
    )
    assert second == pytest.approx(2 * first, rel=1e-6)
    page = (out / "index.html").read_text("utf-8")
    assert "exploding-weights" in page
    assert {path.name for path in out.iterdir()} == {
        *("index.html", "series.csv", "plotly.js"),
        *("2-checkpoint-2", "10-checkpoint-10", "100-checkpoint-100"),
    }
    again = weightaudit("compare", "--over", "step", out, "--out", tmp_path / "again", "--quiet")
    assert again.code == 0
    assert lines(tmp_path / "again") == found


def test_names_one_by_one_in_any_order(weightaudit: CommandLine, run: Path, tmp_path: Path) -> None:
    named = [run / "checkpoint-10", run / "checkpoint-2"]
    done = weightaudit("compare", "--over", "step", *named, "--out", tmp_path / "out", "--roles", "Q")
    assert done.code == 0
    assert list(dict.fromkeys(line["step"] for line in lines(tmp_path / "out"))) == ["2", "10"]


def test_revisions_without_a_number_stand_in_the_order_given(
    weightaudit: CommandLine, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "checkpoint-10", run / "final")
    named = ["compare", run / "checkpoint-2", run / "final", "--out", tmp_path / "out", "--roles", "Q", "--over"]
    refused = weightaudit(*named, "step")
    assert (refused.code, "its name tells no step of training" in refused.stderr) == (2, True)
    assert weightaudit(*named, "revision").code == 0
    assert [line["step"] for line in lines(tmp_path / "out")][-1] == "2"
    assert "from step checkpoint-2 to final" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_the_log_of_a_run(weightaudit: CommandLine, tmp_path: Path) -> None:
    log = log_at(tmp_path / "run" / LOG_NAME, 20.0, 15.0, 1.5)
    for place, name in enumerate((log, log.parent)):
        done = weightaudit("compare", "--over", "step", name, "--out", tmp_path / f"out{place}")
        assert done.code == 0
        assert "warning: At step 20 the median stable rank of M1 over the layers is 1.5" in done.stderr
    page = (tmp_path / "out0" / "index.html").read_text("utf-8")
    for said in ("0.1 s in 10 s of training: 1 %; the budget was 2 %", "Found at 20", "within the budget of 0.02"):
        assert said in page
    assert "script-src" not in page  # so that its policy lets none run
    assert {path.name for path in (tmp_path / "out0").iterdir()} == {"index.html", "series.csv"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "neither a run's directory nor its log"),
        (["empty"], "no name in this directory tells a step"),
        (["run/checkpoint-2", "copy/checkpoint-2"], "it is of step 2"),
        (["run", "--fail-on-difference"], "steps of a run differ"),
    ],
)
def test_wrong_usage(
    weightaudit: CommandLine,
    run: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    shutil.copytree(run, tmp_path / "copy")
    done = weightaudit("compare", "--over", "step", *words, "--out", tmp_path / "out")
    assert (done.code, said in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_damaged_log(weightaudit: CommandLine, tmp_path: Path) -> None:
    log = log_at(tmp_path / "run" / LOG_NAME, 20.0, 15.0)
    log.write_bytes(log.read_bytes()[:-200])
    done = weightaudit("compare", "--over", "step", log.parent, "--out", tmp_path / "out")
    assert (done.code, "no log of a run that can be read" in done.stderr) == (2, True)


def test_a_signature_names_neither_a_step_nor_a_version(
    weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {f"/runs/{name}/{file.name}": file for name in "ab" for file in tiny_checkpoints["gpt2"].iterdir()}
    with web_server(files) as web:
        named = [f"{web.url}/runs/{name}/model.safetensors?sig=sk-secret-step7" for name in "ab"]
        done = weightaudit("compare", "--over", "revision", *named, "--out", "over", "--roles", "Q")
        assert done.code == 0
        refused = weightaudit("compare", "--over", "step", *named, "--out", "over")
        assert refused.code == 2
    assert "tells no step of training" in refused.stderr
    written = "".join(path.read_text("utf-8") for path in Path("over").glob("*.*") if path.suffix in (".html", ".csv"))
    assert "sk-secret" not in written + done.stdout + done.stderr + refused.stderr


def test_a_directory_of_reports(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    (tmp_path / "reports").mkdir()
    for step in (20, 3):
        scan(tiny_checkpoints["gpt2"], roles="Q").to_json(tmp_path / "reports" / f"step{step}.json")
    assert weightaudit("compare", "--over", "step", tmp_path / "reports", "--out", tmp_path / "over").code == 0
    assert sorted({int(line["step"]) for line in lines(tmp_path / "over")}) == [3, 20]


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["hf://EleutherAI/pythia-70m@step0", "hf://EleutherAI/pythia-70m@step8"], "EleutherAI/pythia-70m"),
        (["https://huggingface.co/a/b/tree/step1", "https://huggingface.co/a/b/tree/step2"], "a/b"),
        (["https://h.example/runs/x/a.safetensors?sig=s", "https://h.example/runs/x/b.safetensors?sig=s"], "x"),
        (["runs/x/checkpoint-1", "runs/x/checkpoint-2"], "x"),
        (["a/b@step1", "a/b@step2"], "a/b"),
    ],
)
def test_a_series_is_called_by_what_its_versions_share(names: list[str], title: str) -> None:
    assert _title([Version(name, at) for at, name in enumerate(names)]) == title
