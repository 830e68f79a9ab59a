"""How a command ends when a signal comes, when nobody reads its output, and when that cannot be written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from tests.support.covering import in_turn
from tests.support.forks import ROOT, Fork, Forks, forks_in, linux, posix
from tests.support.running import CommandLine

FULL = "weightaudit: standard output: no space left on device. Send it where it can be written\n"
CLOSED = "weightaudit: standard output: it is closed. Send it where it can be written\n"


def filled(words: list[str], model: Path, folder: Path) -> list[str]:
    """``words`` with the model, a list of it and an output directory in ``folder``."""
    (folder / "list.txt").write_text(f"{model}\n")
    known = {"MODEL": str(model), "LIST": str(folder / "list.txt"), "OUT": str(folder / "out")}
    for short, path in known.items():
        words = [word.replace(short, path) for word in words]
    return words


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory, damaged: Path) -> Iterator[Forks]:
    """Commands with streams of every kind, without loading anything anew."""
    folder = tmp_path_factory.mktemp("streams")
    commands = [filled(COMMANDS[name][0], damaged, folder) for name in ("scan --format json", "batch")]
    with forks_in(folder, commands=commands) as runner:
        yield runner


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Programs that have what most of them want loaded, and no library that reads the environment at its import."""
    folder = tmp_path_factory.mktemp("programs")
    with forks_in(folder, ["weightaudit.batches.merge_batches"], [["archs"]]) as runner:
        yield runner


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, Path]) -> Path:
    """A model with an entry that is no number: an error is found in it."""
    folder = Path(shutil.copytree(tiny_checkpoints["bert"], tmp_path_factory.mktemp("damaged") / "bert"))
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["bert.encoder.layer.0.attention.self.query.weight"][0, 0] = float("nan")
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    return folder


ONE = ("--layers", "0", "--roles", "Q", "--threads", "1")
"""The matrix in which the error is."""
# words, exit code, whether they write on stdout
COMMANDS = {
    "--version": (["--version"], 0, True),
    "--help": (["--help"], 0, True),
    "no words": ([], 2, True),
    "scan --help": (["scan", "--help"], 0, True),
    "paper --help": (["paper", "--help"], 0, True),
    "paper figure1 --help": (["paper", "figure1", "--help"], 0, True),
    "archs": (["archs"], 0, True),
    "archs NAME": (["archs", "bert"], 0, True),
    "archs --check": (["archs", "--check", "MODEL"], 0, True),
    "advise": (["advise", "MODEL", "--lora", "-", "--quiet", "--threads", "1"], 0, True),
    "rules": (["rules"], 0, True),
    "rules ID": (["rules", "nonfinite"], 0, True),
    "scan": (["scan", "MODEL", *ONE], 1, True),
    "scan without findings that count": (["scan", "MODEL", "--fail-on", "never", *ONE], 0, True),
    "scan --format json": (["scan", "MODEL", "--format", "json", "--quiet", *ONE], 1, True),
    "scan --format github": (["scan", "MODEL", "--format", "github", *ONE], 1, True),
    "scan --quiet": (["scan", "MODEL", "--quiet", *ONE], 1, False),
    "batch": (["batch", "LIST", "--out", "OUT", "--workers", "0", *ONE], 0, True),
    "compare": (["compare", "MODEL", "MODEL", "--out", "OUT", *ONE], 0, False),
    "a missing model": (["scan", "MODEL/none"], 3, False),
    "wrong usage": (["scan", "MODEL", "--bogus"], 2, False),
}


# What is lost, and what is said of it where the command writes on stdout.
LOST = {
    "nobody reads": ({"stdout": "gone"}, None),
    "a full disk": ({"stdout": "full"}, FULL),
    "no stdout": ({"stdout": "closed"}, CLOSED),
    "a full disk for messages": ({"stderr": "full"}, None),
    "no stderr": ({"stderr": "closed"}, None),
    "neither": ({"stdout": "closed", "stderr": "closed"}, ""),
}
IN_ALL = ("scan", "a missing model")
"""By default these meet every loss: what a display does, and messages alone."""
ALONE = ("--version", "scan --format json", "batch", "wrong usage")
"""These a full disk, and others, which write as one of all these does, nothing."""


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, damaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """``undisturbed(name)`` is the command, and what it does with all its streams: exit code, stderr."""

    @cache
    def run(name: str) -> tuple[list[str], int, str]:
        words = filled(COMMANDS[name][0], damaged, tmp_path_factory.mktemp("undisturbed"))
        ends, says = forks.run(words)
        assert (ends, bool((forks.folder / "stdout").read_text())) == COMMANDS[name][1:]
        if name == "batch":
            says = says.splitlines()[-1].replace("1 models,", "1 models (1 from earlier runs),") + "\n"
        return words, ends, says

    return run


@linux
@pytest.mark.parametrize(
    ("name", "lost"),
    [
        (name, lost)
        if name in IN_ALL or (lost == "a full disk" and name in ALONE)
        else pytest.param(name, lost, marks=pytest.mark.slow)
        for name in COMMANDS
        for lost in LOST
    ],
)
def test_streams_that_cannot_be_written(name: str, lost: str, forks: Forks, undisturbed: Callable[[str], Any]) -> None:
    words, code, says = undisturbed(name)
    streams, failure = LOST[lost]
    if failure is not None and COMMANDS[name][2]:
        # Findings are not told after the failure: one line says why the code is what it is. Where results are, and what
        # is to be known, is told still.
        code, says = 3, (says if name in ("batch", "advise") else "") + failure
    assert forks.run(words, **streams) == (code, "" if "stderr" in streams else says)


@posix
@pytest.mark.parametrize("words", [["--version"], pytest.param(["scan", "MODEL"], marks=pytest.mark.slow)])
def test_processes_of_their_own(words: list[str], damaged: Path) -> None:
    """Nothing is said by the interpreter either, at its end."""
    process = subprocess.Popen(_alone(words, damaged), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    code, says = ended(process)
    assert (code, says.count("\n")) == ((0, 0) if words == ["--version"] else (1, 1))


def main_of(*words: str) -> str:
    """A program that is that command line."""
    return f"import sys\nsys.argv = ['weightaudit', *{words!r}]\nfrom weightaudit.cli import main\nmain()"


@linux
def test_the_end_of_an_interpreter(forks: Forks, damaged: Path) -> None:
    """That of a process that has all loaded and nobody who reads says nothing either."""
    process = forks.start(main_of("scan", str(damaged), *ONE))
    os.close(process.stdout)
    assert (forks.answer(), process.stderr.read_text("utf-8").count("\n")) == (1, 1)


@linux
@pytest.mark.parametrize("words", [["--version"], pytest.param(["scan", "MODEL"], marks=pytest.mark.slow)])
def test_processes_of_their_own_and_a_full_disk(words: list[str], damaged: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(_alone(words, damaged), stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (3, FULL)


def _alone(words: list[str], model: Path) -> list[str]:
    return [sys.executable, "-m", "weightaudit", *(word.replace("MODEL", str(model)) for word in words)]


@linux
def test_a_closed_stream_is_no_file_that_is_opened_next(forks: Forks, damaged: Path, tmp_path: Path) -> None:
    for lost in ({"stdout": "closed"}, {"stderr": "closed"}, {"stdout": "closed", "stderr": "closed"}):
        out = tmp_path / "r.csv"
        assert forks.run(["scan", str(damaged), *ONE, "--csv", str(out)], **lost)[0] in (1, 3)
        assert out.read_text().startswith("model,")
        assert "verdict" not in out.read_text()


# Each waits in the middle of a command, after it has said so, and is then sent signals.
WAITING = {
    "at work": "def families():\n    print('waiting', flush=True)\n    time.sleep(60)",
    "in what takes any failure for its own": (
        "def families():\n"
        "    try:\n        print('waiting', flush=True)\n        time.sleep(60)\n"
        "    except BaseException:\n        raise ImportError('half loaded') from None"
    ),
    "in what swallows it": (
        "def families():\n    try:\n        print('waiting', flush=True)\n        time.sleep(60)\n"
        "    except BaseException:\n        return []"
    ),
    "in a destructor": (
        "class Last:\n    def __del__(self):\n        print('waiting', flush=True)\n        time.sleep(60)\n"
        "def families():\n    last = Last()\n    del last\n    time.sleep(60)"
    ),
    "with a file begun": (
        "def families():\n"
        "    from weightaudit.report.atomic_write import replacing\n"
        "    with replacing('report.csv') as file:\n"
        "        file.write(b'half')\n        print('waiting', flush=True)\n        time.sleep(60)"
    ),
    "at the end": (
        "import atexit\natexit.register(lambda: (print('waiting', flush=True), time.sleep(60)))\n"
        "def families():\n    return []"
    ),
}
IMPORTING = """
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == 'weightaudit.cli.archs':
            print('waiting', flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""
STUCK = """
def families():
    from weightaudit.report.atomic_write import replacing
    with replacing('report.csv') as file:
        try:
            print('waiting', flush=True)
            time.sleep(60)
        finally:
            print('stuck', flush=True)
            time.sleep(60)
"""
SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if os.name != "nt":
    SAID[signal.SIGHUP] = "hung up"


def source(program: str, before: str) -> str:
    """The command ``archs`` as ``program`` has it."""
    return (
        f"import signal, sys, time\n{before}\n"
        "import weightaudit.architecture\n"
        f"{program}\n"
        "if 'families' in globals():\n    weightaudit.architecture.families = families\n"
        "sys.argv = ['weightaudit', 'archs']\n"
        "from weightaudit.cli import main\nmain()"
    )


def waiting(programs: Forks, program: str, folder: Path, *, before: str = "") -> Fork:
    """That command as a process of its own in ``folder``, once it waits."""
    process = programs.start(source(program, before), cwd=folder)
    while (line := process.line()) != "waiting\n":
        assert line, process.ended().stderr
    return process


def told(process: Fork) -> tuple[int, str]:
    """The exit code, and what it says on stderr."""
    done = process.ended()
    return done.returncode, done.stderr


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    assert process.stderr is not None
    stderr = process.stderr.read()
    return process.wait(60), stderr


@posix
@pytest.mark.parametrize(
    ("where", "number"),
    [
        *in_turn(list(WAITING), [signal.SIGINT, signal.SIGTERM]),
        ("with a file begun", 1),
    ],
)
def test_stopped(where: str, number: int, programs: Forks, tmp_path: Path) -> None:
    process = waiting(programs, WAITING[where], tmp_path)
    process.send_signal(number)
    assert told(process) == (128 + number, f"weightaudit: {SAID[signal.Signals(number)]}\n")
    assert list(tmp_path.iterdir()) == []


@posix
def test_stopped_while_commands_are_loaded(tmp_path: Path) -> None:
    """By an interpreter of its own, which has loaded nothing."""
    program = [sys.executable, "-c", source("", IMPORTING)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=env
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "weightaudit: interrupted\n")


@posix
def test_stopped_where_a_library_must_not_see_an_exception(programs: Forks, tmp_path: Path) -> None:
    """Native code that is being loaded may abort: nothing is raised there, and what was begun is removed."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "try:\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "except BaseException:\n    import os\n    os.abort()\n"
    )
    process = waiting(
        programs,
        "def families():\n"
        "    from weightaudit.report.atomic_write import replacing\n"
        "    with replacing('report.csv'):\n        import slow\n",
        tmp_path,
        before="sys.path.insert(0, '')\nsys.dont_write_bytecode = True",
    )
    process.send_signal(signal.SIGTERM)
    assert told(process) == (143, "weightaudit: terminated\n")
    assert [path.name for path in tmp_path.iterdir()] == ["slow.py"]


OF_A_CACHE = "from weightaudit.source import cache_writing\n"
"""Which takes a while, and what makes something elsewhere does without."""
# What makes something under a name for the time being, and is stopped before that gets its own.
MAKING = {
    "an output": "with replacing('made/a.csv'):\n    pass",
    "the machine code of a kernel": "PrivateFolder(Path('made')).write('a.kernel', b'code')",
    "a file that is downloaded": f"{OF_A_CACHE}cache_writing.CacheFolder('org/tiny').keep(Endless(), 'a' * 40)",
    "a link in a cache": f"{OF_A_CACHE}cache_writing._link(Path('blobs/blob'), Path('made/model.safetensors'))",
    "a copy in a cache": (
        f"{OF_A_CACHE}os.symlink = os.link = refuse\ncache_writing._link(Path('blobs/blob'), Path('made/blob'))"
    ),
    "the commit of a revision": f"{OF_A_CACHE}cache_writing.CacheFolder('org/tiny').remember('main', 'a' * 40)",
    "a file that is merged": (
        "results = Results(Path('blobs'), {'blob': content_of(Path('blobs/blob'))})\n"
        "merge_batches._link(results, 'blob', Path('made/blob'))"
    ),
}
STOPPED_IN = """
def families():
    import os
    os.environ['HF_HUB_CACHE'] = 'made'
    from weightaudit.batches import merge_batches
    from weightaudit.batches.results import Results, content_of
    from weightaudit.report.atomic_write import replacing
    from weightaudit.compiled.private_folder import PrivateFolder
    from pathlib import Path

    def stop(*_):
        import slow  # where nothing is raised: the process ends at once

    def refuse(*_):
        raise OSError

    class Endless:
        label, name, size, sha256, git_sha1 = 'it', 'config.json', 7, None, None
        def copy(self, put):
            put(0, b'half')
            stop()

    os.replace = stop
    os.makedirs('made')
    os.makedirs('blobs')
    Path('blobs/blob').write_bytes(b'weights')
"""


@posix
@pytest.mark.parametrize("what", MAKING)
def test_stopped_while_something_is_made(what: str, programs: Forks, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('waiting', flush=True)\ntime.sleep(60)\n")
    process = waiting(
        programs,
        STOPPED_IN + textwrap.indent(MAKING[what], "    "),
        tmp_path,
        before="sys.path.insert(0, '')\nsys.dont_write_bytecode = True",
    )
    files = [path for path in (tmp_path / "made").rglob("*") if not path.is_dir()]
    assert len(files) == 1
    process.send_signal(signal.SIGTERM)
    assert told(process) == (143, "weightaudit: terminated\n")
    assert not os.path.lexists(files[0])


@posix
def test_stopped_twice(programs: Forks, tmp_path: Path) -> None:
    """What does not come to its end after the first signal ends with the second, and leaves nothing."""
    process = waiting(programs, STUCK, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.line() == "stuck\n"
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(signal.SIGINT)
    assert told(process) == (143, "weightaudit: terminated\n")
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_signal_that_is_ignored_stays_so(programs: Forks, tmp_path: Path) -> None:
    """As nohup has it."""
    process = waiting(programs, WAITING["at work"], tmp_path, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert told(process) == (143, "weightaudit: terminated\n")


@linux
def test_a_batch_stopped(forks: Forks, damaged: Path, weightaudit: CommandLine, tmp_path: Path) -> None:
    """Without workers; `test_batch.py` has those."""
    copies = [tmp_path / f"model{number}" for number in range(12)]
    for copy in copies:
        copy.symlink_to(damaged)
    (tmp_path / "list.txt").write_text("".join(f"{copy}\n" for copy in copies))
    out = tmp_path / "out"
    words = ("batch", str(tmp_path / "list.txt"), "--out", str(out), "--quiet", "--workers", "0", *ONE)
    process = forks.start(main_of(*words))
    until = time.monotonic() + 60
    while len(list(out.glob("*/outcome.json"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    done = process.ended()
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
        130,
        "",
        [f"What is finished in {out} is kept; the same command goes on from there.", "weightaudit: interrupted"],
    )
    assert not list(out.rglob("*.tmp"))
    finished = {file: file.stat().st_ino for file in out.glob("*/outcome.json")}
    assert 3 <= len(finished) < len(copies)
    again = weightaudit(*words)
    assert (again.code, again.stderr) == (0, "")
    assert {file: file.stat().st_ino for file in finished} == finished
    assert len((out / "summary.csv").read_text().splitlines()) == 1 + len(copies)


def test_a_bug_is_told_in_one_line(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("weightaudit.architecture.families", broken)
    told = "weightaudit: ZeroDivisionError: division by zero. This is a bug; --debug shows where\n"
    done = weightaudit("archs")
    assert (done.code, done.stderr) == (3, told)
    debug = weightaudit("archs", "--debug")
    assert debug.code == 3
    assert debug.stderr.startswith("Traceback (most recent call last):\n")
    assert debug.stderr.endswith(f"\nZeroDivisionError: division by zero\n{told}")
