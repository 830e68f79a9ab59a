"""`weightaudit paper`: options from settings, exit codes, what is said where, skipping and going on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.support import toy_experiment as toy
from tests.support.covering import some_of
from tests.support.running import CommandLine, full_stdout
from weightaudit.paper import png, registry
from weightaudit.paper.registry import EXPERIMENTS, Experiment

OTHER = Experiment("other", "Other toys", toy.__name__, "ToyConfig", in_all={"data_dir": "nowhere"})


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two experiments that are done at once, in place of the real ones; without charts, which take longest."""
    monkeypatch.setattr(toy, "charts", tuple)
    table = {"toy": toy.TOY, "other": OTHER}
    command = import_module("weightaudit.cli.paper")  # the package has the command itself under that name
    monkeypatch.setattr(command, "EXPERIMENTS", table)
    monkeypatch.setattr(command, "TITLES", {"toy": toy.TOY.title, "other": OTHER.title, "all": "everything"})
    toy.RUNS.clear()


def words(text: str) -> str:
    """A help text without its frame and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def test_options_are_the_settings_with_their_defaults_and_origins(weightaudit: CommandLine) -> None:
    done = weightaudit("paper", "toy", "--help")
    assert done.code == 0
    text = words(done.stdout)
    for part in (
        "--epochs INT passes over the data. Stated: 5000.",
        "--lambdas FLOAT,... weight decay. Ours: 0, 0.001.",
        "--widths INT,... hidden layers, in neurons. Stated: 10, 10.",
        "--labels sign|sin labelling function. Ours: sign.",
        "--no-balanced",
        "balanced start. Ours: no.",
        "--data-dir TEXT",
        "--draws",
        "--seed",
        "--again",
        "--quiet",
        "--debug",
    ):
        assert part in text


def test_a_run_writes_and_tells(weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "charts", toy.plain_charts)
    done = weightaudit("paper", "toy", "--out", tmp_path / "o", "--lambdas", "0,0.5", "--draws", "7", "--balanced")
    assert done.code == 0
    (config,) = toy.RUNS
    assert config == toy.ToyConfig(lambdas=(0.0, 0.5), draws=7, balanced=True)
    assert sorted(path.name for path in (tmp_path / "o" / "toy").iterdir()) == [
        "config.json",
        "points.csv",
        "toy.html",
        "toy.png",
        "verdict.json",
    ]
    assert done.stderr == f"toy: wrote {tmp_path / 'o' / 'toy'}\n"  # and no progress bar: it is no terminal
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == "Toys: a trial"
    assert "true          A <b>holds</b> | here (Lemma 1)" in lines
    assert "false         B holds. (Figure 2)" in lines
    assert "3 is not 4" in lines
    assert "note: mind_the gap" in lines


def test_on_a_terminal_a_bar_tells_the_stage(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any stream for a terminal
    done = weightaudit("paper", "toy", "--out", tmp_path)
    assert done.code == 0
    assert "toys" in done.stderr
    assert "100%" in done.stderr
    assert "100%" not in done.stdout
    assert "100%" not in weightaudit("paper", "toy", "--out", tmp_path, "--again", "--quiet").stderr


def test_a_second_run_is_skipped_and_says_the_same(weightaudit: CommandLine, tmp_path: Path) -> None:
    first = weightaudit("paper", "toy", "--out", tmp_path)
    second = weightaudit("paper", "toy", "--out", tmp_path)
    assert len(toy.RUNS) == 1
    assert "has it already" in second.stderr
    assert second.stdout == first.stdout
    assert weightaudit("paper", "toy", "--out", tmp_path, "--seed", "1").code == 0
    assert len(toy.RUNS) == 2
    assert weightaudit("paper", "toy", "--out", tmp_path, "--seed", "1", "--again").code == 0
    assert len(toy.RUNS) == 3


def test_quiet(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "toy", "--out", tmp_path, "-q")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "toy" / "verdict.json").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--epochs", "1.5"], "--epochs 1.5: it is not a whole number"),
        (["--lambdas", "0,-1"], "--lambdas -1.0: it must be at least 0"),
        (["--labels", "cos"], "Choose from sign, sin"),
        (["--draws", "0"], "--draws 0: it must be at least 1"),
        (["--bogus"], "--bogus"),
    ],
)
def test_wrong_values(options: list[str], says: str, weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "toy", "--out", tmp_path / "o", *options)
    assert done.code == 2
    assert says in words(done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert toy.RUNS == []
    assert not (tmp_path / "o").exists()


def test_no_such_experiment_and_no_directory(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "tou", "--out", tmp_path)
    assert done.code == 2
    assert "tou" in done.stderr
    done = weightaudit("paper", "toy")
    assert done.code == 2
    assert "--out" in done.stderr
    (tmp_path / "file").write_text("")
    done = weightaudit("paper", "toy", "--out", tmp_path / "file")
    assert done.code == 2
    assert str(tmp_path / "file") in done.stderr
    assert toy.RUNS == []


@pytest.mark.parametrize("name", ["config.json", "points.csv", "toy.html", "toy.png", "verdict.json"])
def test_one_file_that_cannot_be_written(name: str, weightaudit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "toy" / name).mkdir(parents=True)
    done = weightaudit("paper", "toy", "--out", tmp_path)
    assert done.code == 2
    assert f"weightaudit: {tmp_path / 'toy' / name}: it is a directory" in done.stderr
    assert "3 is not 4" in done.stdout  # the verdict
    written = {path.name for path in (tmp_path / "toy").iterdir() if path.is_file()}
    assert written == {"config.json", "points.csv", "toy.html", "toy.png", "verdict.json"} - {name}
    (tmp_path / "toy" / name).rmdir()
    assert weightaudit("paper", "toy", "--out", tmp_path).code == 0
    assert len(toy.RUNS) == 2


def test_all_goes_on_past_what_cannot_be_written(weightaudit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("in the way")
    (tmp_path / "README.md").mkdir()
    done = weightaudit("paper", "all", "--out", tmp_path, "--data-dir", "here")
    assert done.code == 2
    assert f"weightaudit: {tmp_path / 'toy'}: " in done.stderr
    assert f"weightaudit: {tmp_path / 'README.md'}: it is a directory" in done.stderr
    assert len(toy.RUNS) == 1
    assert (tmp_path / "other" / "verdict.json").is_file()
    assert "Toys: a trial\n  not run: " in done.stdout
    assert "3 is not 4" in done.stdout


def test_all_needs_a_directory(weightaudit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = weightaudit("paper", "all", "--out", tmp_path / "file")
    assert (done.code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert toy.RUNS == []


def test_where_stdout_is_full_the_files_that_fail_are_told_too(weightaudit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "toy" / "points.csv").mkdir(parents=True)
    with full_stdout():
        done = weightaudit("paper", "toy", "--out", tmp_path)
    assert done.code == 3
    assert "points.csv: it is a directory" in done.stderr
    assert "standard output: no space left on device" in done.stderr


def test_a_flag_and_its_opposite(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "toy", "--out", tmp_path, "--no-balanced", "--balanced")
    assert done.code == 2
    assert "Option '--balanced' or '--no-balanced' was given 2 times" in words(done.stderr)
    assert toy.RUNS == []


def test_missing_data_is_one_message(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "toy", "--out", tmp_path, "--data-dir", "nowhere")
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr == "weightaudit: toy data: they are not there. Look elsewhere\n"


def test_without_matplotlib_it_says_what_to_install(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = weightaudit("paper", "toy", "--out", tmp_path)
    assert done.code == 3
    assert "pip install matplotlib" in done.stderr
    assert toy.RUNS == []
    monkeypatch.undo()
    png.check_drawable()


def test_all_goes_on_past_what_is_missing(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "all", "--out", tmp_path, "--draws", "6")
    assert done.code == 0
    assert [config.draws for config in toy.RUNS] == [6, 6]
    assert "other: not run: toy data: they are not there. Look elsewhere" in done.stderr
    assert "Toys: a trial\n" in done.stdout
    assert "Other toys\n  not run: toy data: they are not there. Look elsewhere" in done.stdout
    assert done.stdout.index("Toys: a trial") < done.stdout.index("Other toys")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "toy"]
    text = (tmp_path / "README.md").read_text()
    assert "| [toy](#toys-a-trial) | 1 | 1 | 0 |" in text
    assert "| other | not run | | |" in text
    assert "![Toys: a trial](toy/toy.png)" in text
    assert r"| **true** | A \<b\>holds\</b\> \| here | 0.3 | Lemma 1 |" in text
    assert r"mind\_the gap" in text
    assert "weightaudit paper all --out" in text


def test_alls_options_go_where_they_are_known(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "all", "--out", tmp_path, "--data-dir", "here")
    assert done.code == 0
    assert [config.data_dir for config in toy.RUNS] == ["here", "here"]  # what is asked for wins over in_all
    assert json.loads((tmp_path / "other" / "verdict.json").read_text())["settings"]["data_dir"] == "here"


def test_all_stops_at_wrong_usage(weightaudit: CommandLine, tmp_path: Path) -> None:
    done = weightaudit("paper", "all", "--out", tmp_path, "--draws", "0")
    assert (done.code, done.stdout) == (2, "")
    assert "--draws 0" in done.stderr
    assert toy.RUNS == []


def test_links_in_the_readme_lead_somewhere(weightaudit: CommandLine, tmp_path: Path) -> None:
    weightaudit("paper", "all", "--out", tmp_path, "--data-dir", "here", "--quiet")
    targets = re.findall(r"\]\(([^)#]+)\)", (tmp_path / "README.md").read_text())
    assert len(targets) == 8
    for target in targets:
        assert (tmp_path / target).is_file()


def test_the_registry_names_every_experiment() -> None:
    assert list(registry.EXPERIMENTS) == [
        *("table1", "figure1", "figure2", "figure3", "fashion-mnist", "transfer", "lemmas")
    ]


@pytest.mark.parametrize("name", some_of([*EXPERIMENTS, "all"], "table1", "transfer", "lemmas", "all"))
def test_every_real_command_has_its_help(name: str, weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    command = import_module("weightaudit.cli.paper")
    monkeypatch.setattr(command, "EXPERIMENTS", EXPERIMENTS)
    monkeypatch.setattr(command, "TITLES", {**{one: EXPERIMENTS[one].title for one in EXPERIMENTS}, "all": "all"})
    done = weightaudit("paper", name, "--help")
    assert done.code == 0
    text = words(done.stdout)
    for option in ("--out", "--again", "--quiet", "--debug"):
        assert option in text
    if name not in ("table1", "figure1"):
        assert "--seed" in text
        assert "--draws" in text


@pytest.mark.slow
def test_listing_the_experiments_loads_nothing_heavy() -> None:
    program = (
        "import sys; from weightaudit.cli import app\n"
        "sys.argv = ['weightaudit', 'paper', '--help']\n"
        "app(standalone_mode=False)\n"
        "heavy = {'torch', 'plotly', 'matplotlib', 'pandas', 'numpy', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["[]"]
    assert "figure1" in done.stdout
