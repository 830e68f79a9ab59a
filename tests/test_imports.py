"""Settings files of the working directory that the libraries we import do not see."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from weightaudit.errors import UsageError
from weightaudit.imports import unseen

DRAWN = """
import os, sys
from pathlib import Path
os.chdir(sys.argv[1])
from weightaudit.report.figures import check_figures
from weightaudit.paper.png import check_drawable
check_figures(Path("out")) if sys.argv[2] == "figures" else check_drawable()
import matplotlib
print(matplotlib.rcParams["figure.dpi"], sys.modules.get("evil"))
"""


def test_only_the_named_file_of_the_working_directory_is_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("settings", "other"):
        (tmp_path / name).touch()
    usual = os.path.exists
    with unseen("settings"):
        seen = [os.path.exists(path) for path in ("settings", tmp_path / "settings", "other", b"other", "missing")]
    assert seen == [False, True, True, True, False]
    assert os.path.exists is usual


def test_blocks_in_two_threads_do_not_mix() -> None:
    usual = os.path.exists
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with unseen("a"):
            inside.set()
            leave.wait(10)

    def follow() -> None:
        with unseen("b"):
            pass

    threads = [threading.Thread(target=hold), threading.Thread(target=follow)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join()
    assert os.path.exists is usual


def _draw(place: Path, what: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", DRAWN, str(place), what]
    return subprocess.run(
        words, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60
    )


CHECKS = ["weightaudit.report.figures:check_figures", "weightaudit.paper.png:check_drawable"]


def checked(check: str, directory: Path) -> None:
    place, name = check.split(":")
    getattr(importlib.import_module(place), name)(*([directory / "out"] if name == "check_figures" else []))


@pytest.fixture
def instead_of_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module that is imported as matplotlib: the own takes a second."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # so that what is here now, or nothing, comes back
    del sys.modules["matplotlib"]
    return tmp_path / "matplotlib.py"


@pytest.mark.parametrize("check", CHECKS)
def test_a_matplotlibrc_in_the_working_directory_is_not_there(
    check: str, instead_of_matplotlib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While matplotlib is imported, which looks for it."""
    (tmp_path / "matplotlibrc").write_text("figure.dpi: 7\n")
    monkeypatch.chdir(tmp_path)
    instead_of_matplotlib.write_text("import os\nfound = os.path.exists('matplotlibrc')")
    checked(check, tmp_path)
    assert sys.modules["matplotlib"].found is False
    assert os.path.exists("matplotlibrc")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("figures", b"figure.dpi: 7\nbackend: module://evil\n"),
        ("figures", b"\xff\n"),
        ("paper", b"figure.dpi: 7\nnonsense"),
        ("paper", None),
    ],
)
def test_a_matplotlibrc_in_the_working_directory_is_not_read(tmp_path: Path, what: str, content: bytes | None) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "evil.py").write_text("")
    if content is not None:
        (tmp_path / "matplotlibrc").write_bytes(content)
    elif hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "matplotlibrc")  # which would be waited for
    done = _draw(tmp_path, what)
    assert (done.stdout, done.stderr) == ("100.0 None\n", "")


@pytest.mark.parametrize("check", CHECKS)
def test_settings_that_matplotlib_refuses(check: str, instead_of_matplotlib: Path, tmp_path: Path) -> None:
    """With whatever error, at its import."""
    instead_of_matplotlib.write_text("raise ValueError(\"'nonsense' is not a valid value for backend.\\n\")")
    with pytest.raises(UsageError) as caught:
        checked(check, tmp_path)
    assert str(caught.value) == (
        "matplotlib: its settings are refused: 'nonsense' is not a valid value for backend. "
        "Correct your matplotlibrc, or unset MPLBACKEND and MATPLOTLIBRC"
    )


@pytest.mark.slow
@pytest.mark.parametrize("what", ["figures", "paper"])
def test_settings_of_the_users_own_that_matplotlib_refuses(tmp_path: Path, what: str) -> None:
    pytest.importorskip("matplotlib")
    done = _draw(tmp_path, what, MPLBACKEND="nonsense")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("weightaudit.errors.UsageError: matplotlib: its settings are refused: ")
    assert "'nonsense' is not a valid value for backend" in last
    assert last.endswith("Correct your matplotlibrc, or unset MPLBACKEND and MATPLOTLIBRC")
