"""Worker processes do not look for modules in the working directory, nor does multiprocessing's resource tracker."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import util
from pathlib import Path

import pytest

from tests.batches import tasks
from weightaudit.batches.processes import ProcessExecutor
from weightaudit.batches.safe_path import FLAG, safe_path

TRAPS = ("struct", "pickle", "signal", "multiprocessing", "threading", "os", "io", "numpy", "torch", "weightaudit")
PARENT = """
import sys
sys.path.append({root!r})
if __name__ == "__main__":
    from weightaudit.batches.processes import ProcessExecutor
    with ProcessExecutor(1, 1) as processes:
        print(processes.submit(divmod, 7, 2).result())
"""


@pytest.mark.parametrize("flags", [("-E",), pytest.param((), marks=pytest.mark.slow)])
def test_modules_beside_the_list_do_not_run(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Those of the worker, and of the resource tracker that starts before it."""
    place = tmp_path / "place"
    place.mkdir()
    for name in TRAPS:
        (place / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'a').write('{name} ')\n")
    program = tmp_path / "parent.py"
    program.write_text(PARENT.format(root=str(Path(__file__).resolve().parents[2])))
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    words = [sys.executable, *flags, str(program)]
    done = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, check=False)
    assert not (tmp_path / "canary").exists(), (tmp_path / "canary").read_text()
    assert done.stdout == "(3, 1)\n", done.stderr


def test_workers_import_what_their_parent_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with ProcessExecutor(1, 1) as processes:
        assert processes.submit(tasks.importable, "elsewhere").result()


def test_only_what_starts_in_the_block_is_changed() -> None:
    usual = vars(util)["_args_from_interpreter_flags"]
    with safe_path():
        inside = vars(util)["_args_from_interpreter_flags"]()
    assert inside == [*usual(), FLAG]
    assert vars(util)["_args_from_interpreter_flags"] is usual
