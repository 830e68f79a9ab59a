"""weightaudit.toml and [tool.weightaudit]: what they may set, where they are looked for, and that they are told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import weightaudit.api
from tests.support.findings import found
from tests.support.running import CommandLine
from weightaudit import ScanReport
from weightaudit.cli.settings import KEYS, find_settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """The options of every scan, which finds an error, a warning and an info; the working directory is empty."""
    options: list[dict[str, Any]] = []

    def scan(model: str, **given: Any) -> ScanReport:
        options.append(given)
        return found()

    monkeypatch.setattr(weightaudit.api, "scan", scan)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return options


def test_what_a_file_may_set() -> None:
    assert KEYS == ("roles", "layers", "ignore", "severity", "min_coverage", "baseline", "fail_on")


def test_in_force_and_told(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    Path("weightaudit.toml").write_text(
        'ignore = ["untrained:POOLER", "pickle"]\nfail-on = "never"\nroles = "Q,K"\nlayers = [0, 1]\n'
        'severity = { dead-rows = "error" }\nmin_coverage = 0.9\nbaseline = "old.json"\n'
    )
    done = weightaudit("scan", "x", "--quiet")
    assert done.code == 0
    assert done.stderr == (
        "settings from weightaudit.toml: ignore = untrained:POOLER, pickle; fail_on = never; roles = Q,K; "
        "layers = 0, 1; severity = dead-rows=error; min_coverage = 0.9; baseline = old.json\n"
    )
    (options,) = asked
    assert {name: options[name] for name in KEYS if name in options} == {
        "roles": ("Q", "K"),
        "layers": (0, 1),
        "ignore": ("untrained:POOLER", "pickle"),
        "severity": ("dead-rows=error",),
        "min_coverage": 0.9,
        "baseline": "old.json",
    }


def test_the_command_line_wins(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    Path("weightaudit.toml").write_text('ignore = ["untrained"]\nfail_on = "never"\nmin_coverage = 0.9\n')
    done = weightaudit("scan", "x", "--quiet", "--ignore", "pickle", "--fail-on", "warning", "--min-coverage", "0.1")
    assert done.code == 1
    assert (asked[0]["ignore"], asked[0]["min_coverage"]) == (("pickle",), 0.1)
    assert done.stderr == "2 findings at or above warning: exit code 1 (--fail-on)\n"  # and none is in force


def test_the_command_line_may_ask_for_no_baseline(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    Path("weightaudit.toml").write_text('baseline = "old.json"\n')
    assert weightaudit("scan", "x", "--quiet", "--baseline", "", "--fail-on", "never").stderr == ""
    assert asked[0]["baseline"] is None


def test_nothing_is_told_where_there_is_none(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    done = weightaudit("scan", "x", "--quiet")
    assert (done.code, done.stderr) == (1, "1 finding at or above error: exit code 1 (--fail-on)\n")


def test_the_project_file_and_which_comes_first(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    Path("pyproject.toml").write_text("[tool.weightaudit]\nignore = ['pickle']\n")
    weightaudit("scan", "x", "--quiet")
    Path("weightaudit.toml").write_text("ignore = ['untrained']\n")
    weightaudit("scan", "x", "--quiet")
    weightaudit("scan", "x", "--quiet", "--config-file", "pyproject.toml")
    assert [options["ignore"] for options in asked] == [("pickle",), ("untrained",), ("pickle",)]


@pytest.mark.parametrize("content", [b"[project\n", b"\xff", b"[tool.other]\nx = [" + b"[" * 5000])
def test_a_broken_project_file_that_is_not_for_us(
    weightaudit: CommandLine, asked: list[dict[str, Any]], content: bytes
) -> None:
    Path("pyproject.toml").write_bytes(content)
    assert weightaudit("scan", "x", "--quiet").code == 1
    Path("pyproject.toml").write_bytes(content + b"\n# weightaudit")
    done = weightaudit("scan", "x", "--quiet")
    assert (done.code, "it is no TOML" in done.stderr) == (2, True)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "min_coverge = 1",
            "weightaudit.toml: 'min_coverge': a file of settings cannot set it. Did you mean min_coverage?",
        ),
        ("token = 'x'", "'token': a file of settings cannot set it"),
        ("out = 'model.safetensors'", "'out': a file of settings cannot set it"),
        ("download = true", "'download': a file of settings cannot set it"),
        ("device = 'cuda'", "'device': a file of settings cannot set it"),
        ("tol = 0.9", "'tol': a file of settings cannot set it"),
        ("fail_on = 'x'", "fail_on: 'x' is none of error, warning, info, never"),
        ("fail_on = ['error']", "fail_on: ['error'] is none of error"),
        ("fail_on = 'error'\nfail-on = 'never'", "'fail-on': it is set twice"),
        ("min_coverage = 2", "it is no share from 0 to 1"),
        ("min_coverage = true", "it is no share from 0 to 1"),
        ("roles = 3", "weightaudit.toml: roles: 3 is no value of it"),
        ("roles = 1979-05-27", "is no value of it"),
        ("layers = 'x'", "'x' is no layer number"),
        ("baseline = 3", "3 is no text"),
        ("ignore = ['untraind']", "rule 'untraind': there is no such rule here. Did you mean untrained?"),
        ("severity = {untrained = 'bad'}", "'bad' is none of error"),
        ("x = [", "it is no TOML"),
    ],
)
def test_what_cannot_be_used(weightaudit: CommandLine, asked: list[dict[str, Any]], content: str, said: str) -> None:
    Path("weightaudit.toml").write_text(content)
    done = weightaudit("scan", "x", "--quiet")
    assert (done.code, asked) == (2, [])
    assert said in done.stderr


def test_a_named_file_must_be_there_and_plain(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    done = weightaudit("scan", "x", "--config-file", "none.toml")
    assert (done.code, done.stderr) == (
        2,
        "weightaudit: none.toml: no such file or directory. Name a TOML file by --config-file\n",
    )
    assert weightaudit("scan", "x", "--config-file", os.curdir).code == 2
    Path("large.toml").write_text("#" * (1 << 20) + "\n#")
    assert "more than 1,048,576 bytes" in weightaudit("scan", "x", "--config-file", "large.toml").stderr
    Path("weightaudit.toml").symlink_to("nowhere")
    assert weightaudit("scan", "x").code == 2  # where one is it is not passed over


def test_a_baseline_is_a_path_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("baseline = 'old.json'\n")
    assert find_settings(tmp_path / "s.toml").values == {"baseline": str(tmp_path / "old.json")}


@pytest.mark.parametrize("model", [".", "..", "model.safetensors"])
def test_a_file_in_the_models_folder_is_not_believed(
    weightaudit: CommandLine, asked: list[dict[str, Any]], model: str
) -> None:
    """Who wrote the model wrote it too."""
    Path("weightaudit.toml").write_text("ignore = ['nonfinite']\nfail_on = 'never'\n")
    Path("model.safetensors").write_bytes(b"")
    done = weightaudit("scan", model, "--quiet")
    assert (done.code, asked[0]["ignore"]) == (1, ())
    assert done.stderr.splitlines()[0] == (
        f"note: weightaudit.toml was not read, since it lies in the folder of {model}; "
        "--config-file weightaudit.toml reads it"
    )
    named = weightaudit("scan", model, "--quiet", "--config-file", "weightaudit.toml")
    assert (named.code, asked[1]["ignore"]) == (0, ("nonfinite",))


def test_nor_in_that_of_a_model_of_a_list(weightaudit: CommandLine, asked: list[dict[str, Any]]) -> None:
    Path("weightaudit.toml").write_text("fail_on = 'error'\n")
    Path("list.txt").write_text(f"{Path.cwd().parent}\n")
    done = weightaudit("batch", "list.txt", "--out", "../results", "--workers", "0", "--quiet")
    assert "note: weightaudit.toml was not read" in done.stderr
    Path("apart.txt").write_text("org/name\n")
    done = weightaudit("batch", "apart.txt", "--out", "../apart", "--workers", "0", "--quiet", "--offline")
    assert "settings from weightaudit.toml: fail_on = error" in done.stderr
