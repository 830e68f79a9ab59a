"""Runs killed at random moments and at every single change to the directory, then resumed: the same bytes in the end,
and nothing scanned twice.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.batches.killable import copied, killed, run, run_in_fork
from tests.batches.lists import entries_of
from tests.batches.remembered import Remembered
from tests.support.forks import linux
from tests.support.own_forks import ended
from tests.support.running import CommandLine
from weightaudit.batches import BatchResult, run_batch
from weightaudit.batches.executors import InlinePool
from weightaudit.batches.outcome import read_outcome

pytestmark = linux

JOINED = ("all.csv", "all.parquet", "summary.csv", "index.html")


@dataclass(frozen=True)
class Whole:
    """A list of models, and what a run of it that nobody disturbed leaves."""

    listed: Path
    models: list[Path]
    joined: list[bytes]


@pytest.fixture(scope="module")
def whole(few: list[Path], remembered: Remembered, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        remembered.taken(patch.setattr)
        run_batch(entries_of(few, folder), folder / "out", InlinePool, threads=1, title="list")
    return Whole(folder / "list.txt", few, joined(folder / "out"))


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Models that count as finished, each with what would change if it were scanned again."""
    found = {}
    for path in sorted(out.glob("*/outcome.json")):
        if read_outcome(path.parent) is not None:
            found[path.parent.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def outcomes(out: Path) -> int:
    """How many models have an outcome, quickly told."""
    return len(list(out.glob("*/outcome.json")))


def joined(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in JOINED]


@pytest.mark.parametrize("most", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    whole: Whole, remembered: Remembered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, most: int
) -> None:
    """Some time after a run has finished one or more models, or none."""
    remembered.taken(monkeypatch.setattr)
    rng = random.Random(1)
    out, kills = tmp_path / "out0", 0
    moments: list[int] = []
    before: dict[str, tuple[int, int]] = {}
    began = time.monotonic()
    assert run_in_fork(whole.listed, tmp_path / "timed").end() == (0, "0")
    took = (time.monotonic() - began) / len(whole.models)
    while kills < most or not any(0 < moment < len(whole.models) for moment in moments):
        assert kills < most + 20, "no run was killed between its first model and its last"
        running = run_in_fork(whole.listed, out)
        more = rng.choice([0, 1, 1, 2])
        while outcomes(out) < len(before) + more and not ended(running.process):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, took))
        with suppress(ProcessLookupError):  # it may have come to its end
            os.kill(running.process, signal.SIGKILL)
        code, _ = running.end()
        after = finished(out)
        assert before.items() <= after.items(), "a finished model was scanned again, or lost"
        before = after
        if code == -signal.SIGKILL:
            kills += 1
            moments.append(len(after))
        else:  # it came to its end first: the next kills are for a new run
            assert code == 0
            assert joined(out) == whole.joined
            out, before = tmp_path / f"out{kills}", {}
    assert run_in_fork(whole.listed, out).end() == (0, "0")
    assert before.items() <= finished(out).items()
    assert joined(out) == whole.joined


def names(out: Path) -> list[str]:
    """Of all files and folders; those of unfinished files are drawn."""
    return sorted(re.sub(r"-[0-9a-f]+\.tmp$", ".tmp", str(path.relative_to(out))) for path in out.rglob("*"))


@pytest.mark.parametrize(
    ("kind", "least", "count", "kills"),
    [
        ("changed", 25, 1, 6),
        pytest.param("changed", 25, 1, 1, marks=pytest.mark.slow),
        pytest.param("called", 80, 1, 1, marks=pytest.mark.slow),
        pytest.param("called", 120, 2, 1, marks=pytest.mark.slow),
    ],
)
def test_killed_before_every_change(
    batch: Callable[..., BatchResult],
    few: list[Path],
    tmp_path: Path,
    kind: str,
    least: int,
    count: int,
    kills: int,
) -> None:
    """One model's run makes every kind of change that two make; that a finished one stays is tested above, too.

    What a killed run leaves are its files as they are then, of which one run makes a copy before each of its changes.
    One in so many ``kills`` is made, and leaves the same.
    """
    batch([f"{model} layers=0 roles=Q" for model in few[:count]], tmp_path / "whole")
    whole, listed = joined(tmp_path / "whole"), tmp_path / "list.txt"

    def fresh(name: str) -> Path:
        """A directory that has but the large file that all runs share."""
        out = tmp_path / name
        out.mkdir()
        os.link(tmp_path / "whole" / "plotly.js", out / "plotly.js")
        return out

    run(listed, tmp_path / "first")  # or the counted run would open what those after it remember
    copying = fresh("copied")
    code, changes = run_in_fork(listed, copying, kind, lambda step: copied(copying, tmp_path / f"copy{step}")).end()
    assert code == 0, changes
    assert int(changes) > least
    for step in range(1, int(changes) + 1):
        out = tmp_path / f"copy{step}"
        if step % kills == 0:
            out = fresh(f"out{step}")
            assert killed(listed, out, kind, step).end()[0] == -signal.SIGKILL
            # Of two models the second is asked for beside the first, which takes its turn at another call each time.
            assert count > 1 or names(out) == names(tmp_path / f"copy{step}")
        before = finished(out)
        run(listed, out)
        assert before.items() <= finished(out).items()
        assert joined(out) == whole
        assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_command_killed_with_its_workers(
    whole: Whole,
    weightaudit: CommandLine,
    remembered: Remembered,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    workers: str,
) -> None:
    """As it is run: the processes of a killed command end too, and the same command goes on.

    See `test_processes` for what becomes of workers whose parent is killed.
    """
    out = tmp_path / "out"
    words = ["batch", str(whole.listed), "--out", str(out), "--threads", "1", "--workers"]
    process = subprocess.Popen([sys.executable, "-m", "weightaudit", *words, workers], stderr=subprocess.DEVNULL)
    while len(finished(out)) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = finished(out)
    assert 2 <= len(before) < len(whole.models)
    remembered.taken(monkeypatch.setattr)
    done = weightaudit(*words, "0")
    assert done.code == 0, done.stderr
    assert before.items() <= finished(out).items()
    assert joined(out) == whole.joined
