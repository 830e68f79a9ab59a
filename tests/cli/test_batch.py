"""`weightaudit batch` as a user meets it: messages, exit codes, Ctrl-C."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from safetensors.torch import load_file, save_file

from tests.support.running import CommandLine, a_terminal, on_a_terminal
from weightaudit.records import ScanResult
from weightaudit.report import tables

WEIGHTAUDIT = [sys.executable, "-m", "weightaudit"]
LITTLE = ("--layers", "0", "--roles", "Q")
"""One matrix: as good as all where numbers are not looked at."""


@pytest.fixture
def models(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A list of three models, the second of which is not there."""
    path = tmp_path / "list.txt"
    first, second = tiny_checkpoints["bert"], tiny_checkpoints["roberta"]
    path.write_text(f"# three\n{first}\n{tmp_path}/none\n{second}  # last\n")
    return path


def _with_a_nan(model: Path, root: Path) -> Path:
    """A copy of ``model`` with one in a matrix of its first layer."""
    copy = root / model.name
    shutil.copytree(model, copy)
    tensors = load_file(copy / "model.safetensors")
    first = next(one for one in sorted(tensors) if ".0." in one and tensors[one].ndim == 2)
    tensors[first][0, 0] = float("nan")
    save_file(tensors, copy / "model.safetensors")
    return copy


def test_a_run_and_the_next(weightaudit: CommandLine, models: Path, tmp_path: Path) -> None:
    words = ("batch", models, "--out", tmp_path / "out", "--workers", "0", *LITTLE)
    names = [Path(line.split()[0]).name for line in models.read_text().splitlines()[1:]]
    done = weightaudit(*words)
    missing = f"{tmp_path}/none: no such file or directory. Check the path"
    assert done.code == 1
    assert [line.split()[:2] for line in done.stdout.splitlines() if line[0] != " "] == [
        ["verdict", "model"],
        ["failed", "none"],  # the worst first
        ["clean", names[0]],
        ["clean", names[2]],
    ]
    assert "".join(missing.split()) in "".join(done.stdout.split())
    assert done.stderr.splitlines() == [
        f"[1/3] {names[0]}: done",
        f"[2/3] none: failed: {missing}",
        f"[3/3] {names[2]}: done",
        f"3 models, 1 failed: {tmp_path}/out/index.html",
    ]
    again = weightaudit(*words)
    assert again.code == 1
    assert again.stderr.splitlines() == [
        f"[2/3] none: failed before: {missing}; --retry-failed scans it again",
        f"3 models (3 from earlier runs), 1 failed (--retry-failed scans it again): {tmp_path}/out/index.html",
    ]
    assert "retry-failed" not in weightaudit(*words, "--retry-failed").stderr
    shutil.copytree(models.read_text().splitlines()[1], tmp_path / "none")
    mended = weightaudit(*words)
    assert (mended.code, mended.stderr.splitlines()[-1]) == (
        0,
        f"3 models (2 from earlier runs), 0 failed: {tmp_path}/out/index.html",
    )


def test_findings_count_where_they_are_shown(
    weightaudit: CommandLine, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a model that could not be joined are in none of the files, and decide nothing."""
    write_parquet = tables.write_parquet
    first, _, second = (line.split()[0] for line in models.read_text().splitlines()[1:])

    def cut_off(result: ScanResult, file: BinaryIO) -> None:
        write_parquet(result, file)
        if result.identity.name == Path(first).name:
            file.truncate(file.tell() - 9)

    monkeypatch.setattr(tables, "write_parquet", cut_off)
    spoiled = [_with_a_nan(Path(model), tmp_path) for model in (first, second)]
    models.write_text("".join(f"{model} layers=0\n" for model in spoiled))
    out = tmp_path / "out"
    words = ("--out", out, "--fail-on", "warning", "--quiet")
    done = weightaudit("batch", models, *words, "--workers", "0")
    with open(out / "summary.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["failed", "done"]
    shown = sum(int(line[kind] or 0) for line in lines for kind in ("errors", "warnings"))
    assert shown > 0
    assert done.code == 1
    assert done.stderr.splitlines()[-1].startswith(f"{shown} finding")
    merged = weightaudit("batch", "--merge", out, "--out", tmp_path / "merged", *words[2:])
    assert (merged.code, merged.stderr.splitlines()[-1]) == (1, done.stderr.splitlines()[-1])
    alone = weightaudit("batch", models, *words, "--workers", "0", "--shard", "1/2")
    assert (alone.code, "at or above" in alone.stderr) == (1, False)  # for the failed model


def test_quiet(weightaudit: CommandLine, models: Path, tmp_path: Path) -> None:
    words = ("batch", models, "--out", tmp_path / "out", "--workers", "0", "--quiet", *LITTLE)
    done = weightaudit(*words)
    assert done.code == 1
    assert done.stderr.splitlines()[0].startswith("failed: none: ")
    assert len(done.stderr.splitlines()) == 2
    shutil.copytree(models.read_text().splitlines()[1], tmp_path / "none")
    assert weightaudit(*words) == type(done)(0, "", "")


def test_options_reach_the_scans(weightaudit: CommandLine, models: Path, tmp_path: Path) -> None:
    models.write_text("".join(line + "\n" for line in models.read_text().splitlines() if "none" not in line))
    done = weightaudit(
        "batch", models, "--out", tmp_path / "out", "--workers", "0", "--roles", "q", "--layers", "0", "--seed", "5"
    )
    assert done.code == 0, done.stderr
    rows = (tmp_path / "out" / "all.csv").read_text().splitlines()[1:]
    assert [row.split(",")[3:6] for row in rows] == [["0", "", "Q"]] * 2


def test_shards_and_merge(weightaudit: CommandLine, models: Path, tmp_path: Path) -> None:
    parts = [tmp_path / "part1", tmp_path / "part2"]
    for i, part in enumerate(parts, 1):
        weightaudit("batch", models, "--out", part, "--workers", "0", "--shard", f"{i}/2", *LITTLE)
    done = weightaudit("batch", "--merge", *parts, "--out", tmp_path / "all")
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == f"3 models, 1 failed: {tmp_path}/all/index.html"
    alone = weightaudit("batch", "--merge", parts[0], "--out", tmp_path / "one")
    assert (alone.code, alone.stderr.splitlines()[0]) == (0, "note: shard 2/2 is not among them")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "3/2"], "shard '3/2': 3 is not from 1 to 2"),
        (["--shard", "x"], "shard 'x': is not written i/n"),
        (["--scheduler", "tcp://a:1", "--workers", "2"], "the cluster of --scheduler has its own workers"),
        (["--roles", ","], "roles: the list is empty"),
        (["--tol", "0"], "tol: 0.0 is not a positive number"),
        (["--memory", "x"], "that is no amount of memory"),
        (["other.txt"], "2 model lists were named. Name one; --merge joins directories"),
    ],
)
def test_wrong_usage(weightaudit: CommandLine, models: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = weightaudit("batch", models, "--out", tmp_path / "out", *words)
    assert done.code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_malformed_list(weightaudit: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("gpt2\ngpt2 rolls=Q\n\norg/na me\n")
    done = weightaudit("batch", path, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.stderr == (
        f"weightaudit: {path}: 2 lines cannot be used: line 2: 'rolls': it is no option of a line. Did you mean "
        "roles? A line may set roles, layers, all, spec, method, tol, delta, seed, spectrum, heads, ignore, severity, "
        "min_coverage, device, memory and download; line 4: 'me': it is no option. Options are written name=value; a "
        "name with blanks needs double quotes\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("workers", "number", "said", "group"),
    [
        ("1", signal.SIGINT, "interrupted", True),
        pytest.param("0", signal.SIGINT, "interrupted", True, marks=pytest.mark.slow),  # as in test_endings.py
        pytest.param("2", signal.SIGINT, "interrupted", True, marks=pytest.mark.slow),
        pytest.param("0", signal.SIGTERM, "terminated", False, marks=pytest.mark.slow),
        # Workers hear nothing of Ctrl-C either: who ends them is the parent, whatever the signal.
        pytest.param("1", signal.SIGTERM, "terminated", False, marks=pytest.mark.slow),
        pytest.param("2", signal.SIGTERM, "terminated", False, marks=pytest.mark.slow),
        pytest.param("2", signal.SIGTERM, "terminated", True, marks=pytest.mark.slow),
    ],
)
def test_stopped(
    weightaudit: CommandLine,
    tiny_checkpoints: dict[str, Path],
    tmp_path: Path,
    workers: str,
    number: int,
    said: str,
    group: bool,
) -> None:
    """Ctrl-C reaches the whole group of processes, SIGTERM one of them or all: one message, no traceback, nobody and
    nothing left, and what is done stays.
    """
    path, out = tmp_path / "list.txt", tmp_path / "out"
    copies = [tmp_path / f"model{i}" for i in range(12)]
    for copy in copies:
        copy.symlink_to(tiny_checkpoints["bert"])
    path.write_text("".join(f"{copy} layers=0 roles=Q\n" for copy in copies))
    words = ["batch", str(path), "--out", str(out), "--quiet", "--workers"]
    command = [*WEIGHTAUDIT, *words, workers]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(list(out.glob("*/outcome.json"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    (os.killpg if group else os.kill)(process.pid, number)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (128 + number, ""), stderr
    assert stderr.splitlines() == [
        f"What is finished in {out} is kept; the same command goes on from there.",
        f"weightaudit: {said}",
    ]
    for _ in range(200):  # the interpreter's own helper process ends a little later
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("some process of the run is still there")
    assert not list(out.rglob("*.tmp"))
    finished = {file: file.stat().st_ino for file in out.glob("*/outcome.json")}
    assert 3 <= len(finished) < len(copies)
    done = weightaudit(*words, "0")
    assert (done.code, done.stderr) == (0, "")
    assert {file: file.stat().st_ino for file in finished} == finished
    assert len((out / "summary.csv").read_text().splitlines()) == 1 + len(copies)
    # Of the same model, whether a worker or this thread has scanned it, there are the same bytes.
    header, *rows = (out / "all.csv").read_text().splitlines()
    assert header.startswith("model,")
    assert len({row.partition(",")[2] for row in rows}) == 1
    assert len(rows) == len(copies)


def _check_shown(shown: bytes, tmp_path: Path) -> None:
    text = shown.decode()
    assert " of 4 models, 2 failed, " in text  # on one line, however few models are under way
    assert "[red]gone" in text.rpartition("first finding")[2]
    assert "[red]gone: failed: " in text
    assert text.rstrip().endswith("4 models, 2 failed: " + str(tmp_path / "out" / "index.html"))


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_the_live_table(
    weightaudit: CommandLine, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal: a table that comes and goes, failures that stay, and names that are not taken for markup."""
    models.write_text(models.read_text() + f"{tmp_path}/[red]gone\n")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with a_terminal() as (stream, shown), pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        patched.setattr(sys, "stderr", stream)
        done = weightaudit("batch", models, "--out", tmp_path / "out", "--workers", "0", *LITTLE)
    assert done.code == 1
    _check_shown(b"".join(shown), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_the_live_table_of_a_process(models: Path, tmp_path: Path) -> None:
    models.write_text(models.read_text() + f"{tmp_path}/[red]gone\n")
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    words = [*WEIGHTAUDIT, "batch", str(models), "--out", str(tmp_path / "out"), "--workers", "1"]
    code, shown = on_a_terminal(words, env)
    assert code == 1
    _check_shown(shown, tmp_path)
