"""Importing and asking for help load nothing heavy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.bins import save_bin
from tests.support.forks import Forks, posix
from tests.support.running import CommandLine
from weightaudit.cli.completion import ASKED_BY_A_SHELL

HEAVY = ("torch", "transformers", "pandas", "plotly", "matplotlib", "numpy", "huggingface_hub", "scipy", "pyarrow")
CHECK = f"import sys\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"


@posix
@pytest.mark.parametrize(
    "program",
    [
        "import weightaudit.audit, weightaudit.spectral; dir(weightaudit.audit); weightaudit.spectral.check_options",
        "import sys\nsys.argv = ['weightaudit']\nfrom weightaudit.cli import app\n"
        "for words in (['--help'], ['scan', '--help'], ['paper', '--help'], ['rules']):\n"
        "    assert not app(words, standalone_mode=False)",
    ],
)
def test_loads_nothing_heavy(program: str, bare: Forks) -> None:
    done = bare.done(f"{program}\n{CHECK}")
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


LINES = ("scan --", "scan m --roles Q", "scan m --ignore dead", "archs be", "batch @")
ASKING = f"""
import os, sys
from weightaudit.cli import main
for line in {LINES!r}:
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = f"weightaudit {{line}}", str(len(line.split()))
    print("asked", line, flush=True)
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, line
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


@posix
def test_completion_loads_nothing_heavy(bare: Forks) -> None:
    done = bare.done(ASKING, "weightaudit", env={**os.environ, ASKED_BY_A_SHELL: "complete_bash"})
    assert (done.returncode, done.stderr.split()) == (0, ["[]"] * len(LINES))
    answers = done.stdout.split("asked ")[1:]
    assert len(answers) == len(LINES)
    assert all(len(answer.splitlines()) > 1 for answer in answers)


def test_the_package_and_its_commands_load_nothing_heavy() -> None:
    program = f"import weightaudit, weightaudit.cli\n{CHECK}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


NOT_FOR_A_SCAN = ("torch", "transformers", "pandas", "plotly", "pyarrow", "huggingface_hub", "safetensors")


@posix
def test_tables_need_few_libraries(tiny_checkpoints: dict[str, Path], tmp_path: Path, bare: Forks) -> None:
    """Neither the command nor `weightaudit.scan`, whichever format the weights have, whatever the config leaves out."""
    models = [tmp_path / "safetensors", tmp_path / "bin"]
    outputs = [tmp_path / f"r.{kind}" for kind in ("csv", "json", "sarif", "html")]
    for model in models:
        shutil.copytree(tiny_checkpoints["bert"], model)
        config = json.loads((model / "config.json").read_text("utf-8"))
        silent = {key: value for key, value in config.items() if key not in ("tie_word_embeddings", "type_vocab_size")}
        (model / "config.json").write_text(json.dumps(silent), "utf-8")
    save_bin(load_file(models[1] / "model.safetensors"), models[1])
    (models[1] / "model.safetensors").unlink()
    words = [
        "scan",
        str(models[1]),
        *(word for path in outputs for word in ("--out", str(path))),
        "--layers",
        "0",
        "-q",
    ]
    program = (
        "import sys\nsys.argv = ['weightaudit']\nfrom weightaudit.cli import app\n"
        f"app({words!r}, standalone_mode=False)\n"
        f"app(['scan', {str(models[0])!r}, '-q', '--layers', '0'], standalone_mode=False)\n"
        f"import weightaudit\nfor model in {[str(model) for model in models]!r}:\n"
        "    assert weightaudit.scan(model, layers=0).rows\n"
        f"print([name for name in {NOT_FOR_A_SCAN!r} if name in sys.modules])"
    )
    done = bare.done(program)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert all(output.exists() for output in outputs)


def test_a_library_that_is_absent_is_named(
    weightaudit: CommandLine, tiny_checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = weightaudit(
        "scan", tiny_checkpoints["bert"], "--out", tmp_path / "r.parquet", "--csv", tmp_path / "r.csv", "-q"
    )
    said = "weightaudit: pyarrow: it is not installed, and this cannot be done without it. pip install pyarrow\n"
    assert (done.code, done.stderr) == (3, said)
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


@pytest.mark.parametrize("package", ["weightaudit", "weightaudit.audit", "weightaudit.spectral"])
def test_public_names_resolve(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= {*dir(module)}
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'scann'"):
        _ = module.scann
