"""The notebook of the documentation, run from its first cell to its last; what each shows is looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


class Fork:
    """A kernel that is a fork of this process, which has PyTorch and transformers loaded: as `subprocess.Popen` has it."""

    stdin = stdout = stderr = None

    def __init__(self, command: Sequence[str], cwd: str, env: dict[str, str]) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            run_kernel(command, cwd, env)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_kernel(command: Sequence[str], cwd: str, env: dict[str, str]) -> NoReturn:
    """What ``python -m ipykernel_launcher …`` does, in a session of its own."""
    code = 1
    try:
        os.setsid()
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.path.insert(0, "")
        streams = open(os.devnull, "w")  # noqa: SIM115  # for good
        sys.stdout = sys.__stdout__ = sys.stderr = sys.__stderr__ = streams
        sys.argv = list(command[command.index("-m") + 1 :])
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance()
        code = 0
    finally:
        os._exit(code)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("fork", marks=pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks PyTorch")),
        pytest.param("process", marks=pytest.mark.slow),
    ],
)
def shown(
    request: pytest.FixtureRequest, tiny_checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
    """Source → outputs, run where a folder is called gpt2 as the model is."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    import nbformat

    folder = tmp_path_factory.mktemp("notebook")
    (folder / "gpt2").symlink_to(tiny_checkpoints["gpt2"])
    notebook = nbformat.reads(NOTEBOOK.read_text("utf-8"), as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "fork":
            patched.setattr(
                "jupyter_client.provisioning.local_provisioner.launch_kernel",
                lambda command, cwd=None, env=None, **_: Fork(command, cwd, env or dict(os.environ)),
            )
        nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def outputs(shown: dict[str, list[Any]], words: str) -> list[Any]:
    (found,) = (outputs for source, outputs in shown.items() if words in source)
    return found


def result(shown: dict[str, list[Any]], words: str) -> Any:
    """What the last line of the cell came to, by kind."""
    (found,) = (one.data for one in outputs(shown, words) if one.output_type == "execute_result")
    return found


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)


def test_a_report_is_a_card(shown: dict[str, list[Any]]) -> None:
    said = result(shown, "progress=True")
    assert "verdict" in said["text/html"]
    assert "<svg" in said["text/html"]
    assert said["text/plain"].startswith("<ScanReport gpt2: ")
    assert len(said["text/plain"]) < 200


def test_the_bar_has_gone_when_the_scan_has_ended(shown: dict[str, list[Any]]) -> None:
    bars = [one for one in outputs(shown, "progress=True") if one.output_type == "display_data"]
    assert [one.data["text/plain"] for one in bars] == [""]
    assert not [one for one in outputs(shown, "progress=True") if one.output_type == "stream"]


def test_tables_and_charts(shown: dict[str, list[Any]]) -> None:
    assert "severity" in result(shown, "findings_frame[[")["text/html"]
    assert "participation_ratio" in result(shown, "participation_ratio")["text/html"]
    for words, kind in (('plot("stable_rank")', "scatter"), ('"heat map"', "heatmap"), ('"spectrum"', "scatter")):
        (figure,) = outputs(shown, words)
        said = figure.data["application/vnd.plotly.v1+json"]
        assert said["data"][0]["type"] == kind


def test_models_in_memory(shown: dict[str, list[Any]]) -> None:
    assert result(shown, "from_pretrained")["text/plain"] == "True"
    assert "<ScanReport state dict: " in result(shown, "state_dict()")["text/plain"]
    lower, upper, rank = eval(result(shown, "wa.measure")["text/plain"])
    assert 0 < lower <= upper <= lower * 1.001
    assert rank >= 1
    assert "1 scaled" in result(shown, "1.01")["text/plain"]
    assert "scaled" in result(shown, "changes_frame")["text/html"]
    assert "stable_rank" in result(shown, "wa.compare")["text/html"]


def test_reports_come_back(shown: dict[str, list[Any]]) -> None:
    same, lines = eval(result(shown, "wa.load")["text/plain"])
    assert same
    assert lines > 5
    assert "(partial: --roles)" in result(shown, "AuditConfig")["text/plain"]
