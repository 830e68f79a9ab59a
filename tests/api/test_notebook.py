"""The notebook of the documentation, run from its first cell to its last; what each shows is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def by_a_kernel(folder: Path, cells: list[Any], notebook: Any) -> dict[str, list[Any]]:
    """A process of its own, as a notebook has it."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return {cell.source: cell.outputs for cell in cells}


def by_a_shell(folder: Path, cells: list[Any]) -> dict[str, list[Any]]:
    """IPython's in this process, which has loaded PyTorch: what it would show."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("IPYTHONDIR", str(folder))
        patched.setattr("plotly.io.renderers.default", "plotly_mimetype")
        shell = InteractiveShell.instance()
        show: Any = shell.display_formatter
        try:
            found = {}
            for cell in cells:
                with capture_output():
                    ran = shell.run_cell(cell.source)
                ran.raise_error()
                with capture_output() as displayed:
                    data, _ = show.format(ran.result)
                given = [SimpleNamespace(output_type="execute_result", data=data)] if data else []
                shown = [SimpleNamespace(output_type="display_data", data=one.data) for one in displayed.outputs]
                found[cell.source] = [*given, *shown]
            return found
        finally:
            InteractiveShell.clear_instance()


@pytest.fixture(scope="module", params=["shell", pytest.param("kernel", marks=pytest.mark.slow)])
def shown(
    request: pytest.FixtureRequest, tiny_checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
    """Source → outputs, run where a folder is called gpt2 as the model is."""
    nbformat = pytest.importorskip("nbformat")
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "gpt2").symlink_to(tiny_checkpoints["gpt2"])
    notebook = nbformat.reads(NOTEBOOK.read_text("utf-8"), as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return by_a_kernel(folder, cells, notebook) if request.param == "kernel" else by_a_shell(folder, cells)


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


@pytest.mark.slow  # only a kernel has such a bar
@pytest.mark.parametrize("shown", ["kernel"], indirect=True)
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
