"""The gate of docs/gate.md, walked through with the page's own files: a fault is put in, and the job fails on it alone.

The action's shell is run with the variables that GitHub sets, as far as that can be done without GitHub.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml

from tests.support.running import CommandLine
from tests.support.trained import HEAD, HIDDEN, Tensors, name, trained, write
from weightaudit.cli import app

LAYERS = 7
"""In which the faults are, and no more."""
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gate.md").read_text("utf-8")
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
STEPS = {step.get("id"): step for step in ACTION["runs"]["steps"]}
OF_THE_ACTION = {"model", "upload-sarif", "python-version"}
"""Inputs that are no option of a scan."""


def blocks(kind: str) -> list[str]:
    """The page's blocks of code of one kind."""
    every = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for word, text in every if word == kind]


def scan_options() -> set[str]:
    """Every option of `weightaudit scan`."""
    command: Any = typer.main.get_command(app)
    return {name for one in command.commands["scan"].params for name in one.opts}


def known_faults(tensors: Tensors) -> None:
    """A head at random, which the settings ignore; weights that nothing loads and a dead output, which are known."""
    tensors[HEAD] = torch.randn(tensors[HEAD].shape, generator=torch.Generator().manual_seed(7)) * 0.02
    tensors["model.adapter.down"] = trained((HIDDEN, 20), torch.Generator().manual_seed(9))
    tensors[name(2, "up_proj")][7] = 0.0


def new_fault(tensors: Tensors) -> None:
    known_faults(tensors)
    tensors[name(5, "v_proj")] = tensors[name(6, "v_proj")].clone()


@dataclass(frozen=True)
class Job:
    """What a workflow leaves of the action's scan."""

    code: int
    stdout: str
    stderr: str
    summary: str
    outputs: dict[str, str]

    def reported(self, kind: str) -> Path:
        return Path(self.outputs["reports"]) / f"audit.{kind}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weightaudit: CommandLine) -> Path:
    """A checkout with the page's settings and a baseline; the working directory."""
    path = tmp_path / "checkout"
    write(path / "model", known_faults, layers=LAYERS)
    monkeypatch.chdir(path)
    (settings,) = blocks("toml")
    Path("weightaudit.toml").write_text(settings)
    first = weightaudit("scan", "model")
    assert (first.code, "no such file" in first.stderr) == (2, True)  # and its advice is followed:
    assert "weightaudit scan MODEL --baseline '' --json FILE" in first.stderr
    (command,) = (line for block in blocks("") for line in block.splitlines() if "--json audit-baseline.json" in line)
    done = weightaudit(*shlex.split(command)[1:])
    assert done.code == 0, done.stderr
    return path


def run_action(tmp_path: Path, **inputs: str) -> Job:
    """The scan step of action.yml in a shell of its own."""
    bash = shutil.which("bash")
    if bash is None or os.name == "nt":
        pytest.skip("no bash")
    step = STEPS["scan"]
    given = {key: str(one.get("default", "")) for key, one in ACTION["inputs"].items()} | inputs
    environ = {}
    for variable, value in step["env"].items():
        found = re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value)
        environ[variable] = given[found[1]] if found else value
    (tmp_path / "runner").mkdir(exist_ok=True)
    summary, output = tmp_path / "summary.md", tmp_path / "output"
    for file in (summary, output):
        file.write_text("")
    done = subprocess.run(
        [bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={
            **os.environ,
            **environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path / "runner"),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_OUTPUT": str(output),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return Job(done.returncode, done.stdout, done.stderr, summary.read_text("utf-8"), outputs)


def inputs_of_the_page() -> dict[str, str]:
    (workflow,) = (yaml.safe_load(block) for block in blocks("yaml") if "jobs:" in block)
    inputs: dict[str, str] = workflow["jobs"]["audit"]["steps"][-1]["with"]
    return inputs


@pytest.mark.slow
def test_the_gate_lets_pass_what_is_known(repository: Path, tmp_path: Path) -> None:
    sound = run_action(tmp_path, **inputs_of_the_page())
    assert (sound.code, sound.outputs["exit-code"]) == (0, "0"), sound.stderr
    assert "settings from weightaudit.toml: fail_on = warning; ignore = untrained:HEAD; " in sound.stderr
    assert "Beside the baseline audit-baseline.json: 0 new, 2 known, 0 gone." in sound.summary
    assert "Suppressed: 1 finding, by untrained:HEAD (1)." in sound.summary


def test_the_gate(repository: Path, tmp_path: Path) -> None:
    write(repository / "model", new_fault, layers=LAYERS)
    failed = run_action(tmp_path, **inputs_of_the_page())
    assert (failed.code, failed.outputs["exit-code"]) == (1, "1")
    assert "settings from weightaudit.toml: fail_on = warning; ignore = untrained:HEAD; " in failed.stderr
    assert failed.stderr.splitlines()[-1] == "1 finding at or above warning: exit code 1 (--fail-on)"
    lines = failed.summary.splitlines()
    # The summary says what is wrong, that it alone is new, and what to do.
    at = lines.index("### warning: The same matrix in several places (`duplicate`)")
    assert "layer 5 V = layer 6 V" in lines[at + 4]
    assert not lines[at + 4].endswith("*(known)*")
    assert lines[at + 6].startswith("**What to do**: Look for a merge or upcycling")
    assert [at < i for i, line in enumerate(lines) if line.endswith("*(known)*")] == [True, True]

    report = json.loads(failed.reported("json").read_bytes())
    states = {one["id"]: one["baseline_state"] for one in report["findings"]}
    assert states == {"duplicate": "new", "dead-rows": "unchanged", "unmapped": "unchanged"}
    assert [(one["id"], one["suppressed_by"]) for one in report["suppressed"]] == [("untrained", "untrained:HEAD")]
    assert report["gate"]["min_coverage"] == 0.9
    run = json.loads(failed.reported("sarif").read_bytes())["runs"][0]
    told = {one["ruleId"]: (one["baselineState"], "suppressions" in one) for one in run["results"]}
    assert told == {
        "duplicate": ("new", False),
        "dead-rows": ("unchanged", False),
        "unmapped": ("unchanged", False),
        "untrained": ("new", True),  # it did not count then either, so that it would be new if it did
    }
    uploaded = json.loads(Path(failed.outputs["sarif"]).read_bytes())["runs"][0]
    assert [one["ruleId"] for one in uploaded["results"]] == [rule for rule, (_, off) in told.items() if not off]
    assert {**uploaded, "results": run["results"]} == run
    assert 'failures="1"' in failed.reported("xml").read_text()
    assert re.search(r"^::warning title=duplicate", failed.stdout, re.MULTILINE)


def test_a_model_that_cannot_be_read_fails_the_job_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = run_action(tmp_path, model="--help", ignore='$(touch pwned)"; touch pwned; #')  # which is no option
    assert (job.code, "sarif" in job.outputs) == (2, False)
    assert job.summary == "**No weights were audited** (exit code 2): the log of this step says why.\n"
    assert "there is no such rule here" in job.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
def test_a_model_is_never_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_action(tmp_path, model="--help").code == 3
    assert run_action(tmp_path, model="./-none").code == 3


def test_the_inputs_are_options_of_a_scan() -> None:
    step = STEPS["scan"]
    variables = {
        value[len("${{ inputs.") : -len(" }}")]: key for key, value in step["env"].items() if "inputs." in value
    }
    assert set(variables) == set(ACTION["inputs"]) - {"upload-sarif", "python-version"}
    for given, variable in variables.items():
        if given not in OF_THE_ACTION:
            assert f'add --{given} "${variable}"\n' in step["run"]
            assert f"--{given}" in scan_options()
    assert set(re.findall(r"--[a-z-]+", step["run"])) <= scan_options()
    assert all(one["description"] for one in ACTION["inputs"].values())


def test_no_input_is_part_of_a_program() -> None:
    """An expression inside a script is text of the script, whatever it holds."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert "run" not in step or step["shell"] == "bash"


def test_the_workflow_and_the_hook_of_the_page_fit() -> None:
    workflow, hooks = (yaml.safe_load(block) for block in blocks("yaml"))
    uses = workflow["jobs"]["audit"]["steps"][-1]
    assert uses["uses"].startswith("OWNER/weightaudit@")
    assert set(uses["with"]) <= set(ACTION["inputs"])
    (hook,) = hooks["repos"][0]["hooks"]
    assert hook["id"] == HOOK["id"]
    assert {word for word in hook["args"] if word.startswith("--")} <= scan_options()
    assert HOOK["entry"] == "weightaudit scan"
    takes: Callable[[str], Any] = re.compile(HOOK["files"]).search
    assert all(map(takes, ("model.safetensors", "a/config.json", "a/model.safetensors.index.json", "x.bin")))
    assert not any(map(takes, ("README.md", "tokenizer_config.json", "weightaudit.toml")))
