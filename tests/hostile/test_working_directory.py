"""Every command, started in a directory full of traps: nothing there runs or is followed, and nothing is written but
what was asked for.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.support import forge
from tests.support.traps import lay_traps
from weightaudit.compiled.private_folder import private_folder

NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # May read whatever root may, for the interpreter and this code may lie in root's home; writes as nobody does.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
BECOMES_NOBODY = getattr(os, "geteuid", lambda: -1)() == 0 and shutil.which("setpriv") is not None
FOLDERS = ("weightaudit", "matplotlib", "fontconfig", "dask")
"""What may appear among a user's caches and settings: our kernels, and what libraries keep of their own."""


@dataclass(frozen=True)
class Place:
    """Folders for one run, which all lie in ``root``."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        return self.root / name

    def run(self, commands: list[list[str]], *before: str, home: Path) -> list[tuple[int, str]]:
        """(exit code, stderr) of each command, run in the traps."""
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NUMBA", "XDG", "MPL"))
        }
        env |= {"HOME": str(home), "TMPDIR": str(self.tmp), "PYTHONDONTWRITEBYTECODE": "1"}
        # What a cluster that the test starts itself leaves behind is none of ours.
        env |= {"DRIVER_LOG": str(self.log), "DASK_TEMPORARY_DIRECTORY": str(self.out)}
        words = [*before, sys.executable, str(self.clean / "driver.py"), json.dumps(commands)]
        done = subprocess.run(words, cwd=self.traps, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]

    def written(self, home: Path) -> set[Path]:
        """What was touched, or would have been, outside of ``out``, ``tmp`` and ``home``."""
        paths = {Path(os.fsdecode(path)) for path in self.log.read_bytes().split(b"\0") if path}
        allowed = (self.out, self.tmp, home, self.clean / "missing", self.log, Path("/dev"))
        return {path for path in paths if not any(path.is_relative_to(place) for place in allowed)}


@pytest.fixture
def place() -> Iterator[Place]:
    """Not in pytest's folder, where only root may go."""
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name).resolve())
        place.root.chmod(0o755)
        for folder in ("home", "tmp", "out", "clean"):
            (place.root / folder).mkdir()
        shutil.copy(Path(__file__).with_name("driver.py"), place.clean)
        lay_traps(place.traps, place.canary)
        yield place


def state(directory: Path) -> dict[str, tuple[int, ...]]:
    """Every path in ``directory``, with what changes when somebody touches it."""
    found = [directory, *directory.rglob("*")]
    marks = {str(path): path.lstat() for path in found}
    return {
        path: (mark.st_mode, mark.st_uid, mark.st_size, mark.st_ino, mark.st_mtime_ns, mark.st_ctime_ns)
        for path, mark in marks.items()
    }


def scans(out: Path, model: str = ".", *, drawn: bool = True) -> list[tuple[list[str], int]]:
    """Scans with every kind of output, or all that are not ``drawn``: words, and the exit code."""
    outputs = [f"--out={out / f'report.{kind}'}" for kind in ("html", "csv", "json", "parquet", "sarif")]
    figures = ["--figures", str(out / "figures")] if drawn and importlib.util.find_spec("matplotlib") else []
    return [
        (["scan", model, "--fail-on", "never", *outputs, *figures, "--spectrum", "--format", "github"], 0),
        (["scan", "pickled", "--csv", str(out / "none.csv")], 3),
    ]


def wide(traps: Path) -> list[str]:
    """Two models for whose matrices, of rows so long, nothing is compiled; their names."""
    draw = torch.Generator().manual_seed(0)
    for name in ("wide", "wider"):
        (traps / name).mkdir()
        forge.write_model(traps / name, {forge.LAYER + forge.ROLES["Q"]: torch.randn(4, 80, generator=draw)})
    (traps / "wide.txt").write_text("wide\nwider\n")
    return ["wide", "wider"]


def batches(out: Path, *kinds: tuple[str, str, str]) -> list[tuple[list[str], int]]:
    return [(["batch", "list.txt", "--out", str(out / name), *words], 0) for name, *words in kinds]


def everything(out: Path, compared: list[str], *, drawn: bool, beside: bool) -> list[tuple[list[str], int]]:
    """Figures too where they are ``drawn``, and batches in processes ``beside`` this one and by a cluster."""
    processes, cluster = [("processes", "--workers", "1")], [("dask", "--scheduler", "CLUSTER")]
    if not (beside and importlib.util.find_spec("distributed")):
        cluster = []
    paper = ["paper", "figure1", "--models", ".", "--offline", "--out", str(out / "paper")]
    return [
        *scans(out, drawn=drawn),
        *batches(out, *(processes if beside else []), ("threads", "--workers", "0"), *cluster),
        (["batch", "--merge", str(out / ("processes" if beside else "threads")), "--out", str(out / "merged")], 0),
        (["compare", *compared, "--out", str(out / "comparison")], 0),
        (["archs"], 0),
        (["archs", "--check", "."], 0),
        (["rules"], 0),
        (["advise", ".", "--lora", "-"], 0),
        (["--version"], 0),
        (["--help"], 0),
        *([(paper, 0)] if drawn and importlib.util.find_spec("matplotlib") else []),
    ]


def check(place: Place, commands: list[tuple[list[str], int]], *before: str, home: Path) -> None:
    laid = state(place.traps)
    done = place.run([words for words, _ in commands], *before, home=home)
    ran = place.canary.read_text().split() if place.canary.exists() else []
    assert ran == []
    for (words, code), (ended, talk) in zip(commands, done, strict=True):
        assert (words, ended) == (words, code), talk
        assert "This is a bug" not in talk
    assert state(place.traps) == laid
    assert place.written(home) == set()
    assert list(place.tmp.iterdir()) == []
    kept = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
    assert {path.parts[1] for path in kept} <= set(FOLDERS)


def of_nobody(place: Place, *folders: Path) -> None:
    """Give the folders, with all in them, the log and the place of the canary to the user that is nobody."""
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    place.log.touch()
    os.chown(place.log, NOBODY, NOBODY)
    place.canary.parent.chmod(0o1777)  # so that a trap could leave its line


def test_every_command(place: Place) -> None:
    """By a user who has scanned before, and then without a home; nobody, where root can become it.

    What `tests/compiled` shows of compiling, `tests/test_imports` of drawing and `tests/batches/test_safe_path` of
    processes goes without.
    """
    kernels = private_folder()
    assert kernels is not None
    shutil.copytree(kernels.path, place.home / ".cache" / "weightaudit")
    compared = wide(place.traps)
    commands = everything(place.out, compared, drawn=False, beside=False)
    (place.out / "homeless").mkdir()
    homeless = scans(place.out / "homeless", compared[0], drawn=False)
    commands += [(["HOMELESS", *words], code) for words, code in homeless]
    if BECOMES_NOBODY:
        of_nobody(place, place.traps, place.out, place.tmp, place.home)
    check(place, commands, *(AS_NOBODY if BECOMES_NOBODY else ()), home=place.home)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [False, True])
def test_every_command_for_the_first_time(place: Place, alike: bool) -> None:
    """Loops are compiled for the scans; where models ``alike`` are compared, for their difference too."""
    compared = [".", "other"] if alike else wide(place.traps)
    check(place, everything(place.out, compared, drawn=True, beside=True), home=place.home)
    assert list((place.home / ".cache" / "weightaudit").iterdir())
    assert (place.home / ".cache" / "weightaudit").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not BECOMES_NOBODY, reason="only root can become nobody, by setpriv")
@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_nobody_who_has_no_home(place: Place, compiled: bool) -> None:
    """Where loops are ``compiled``, each process does it for itself, as there is no place to keep them."""
    model, listed = (".", "list.txt") if compiled else (wide(place.traps)[0], "wide.txt")
    of_nobody(place, place.traps, place.out, place.tmp)
    commands = [*scans(place.out, model), (["batch", listed, "--out", str(place.out / "batch"), "--workers", "1"], 0)]
    check(place, commands, *AS_NOBODY, home=place.clean / "missing")
