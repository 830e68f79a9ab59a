"""How a command ends when it is interrupted, when nobody reads its output, and when that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import CommandLine

WEIGHTAUDIT = [sys.executable, "-m", "weightaudit"]


@pytest.mark.parametrize("command", ["archs", "scan"])
def test_nobody_reads(command: str, tiny_checkpoints: dict[str, Path]) -> None:
    words = [command] if command == "archs" else [command, str(tiny_checkpoints["bert"])]
    process = subprocess.Popen([*WEIGHTAUDIT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk_behind_stdout() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*WEIGHTAUDIT, "archs"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (3, "weightaudit: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupted(tmp_path: Path) -> None:
    # Interrupted in the middle of a scan, which here only waits.
    program = (
        "import sys, time, weightaudit.audit as audit\n"
        "def scan(*args, **options): print('waiting', flush=True); time.sleep(60)\n"
        "audit.scan = scan\n"
        f"sys.argv = ['weightaudit', 'scan', '.', '--csv', {str(tmp_path / 'l.csv')!r}]\n"
        "from weightaudit.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)  # into the sleep
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "weightaudit: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_told_in_one_line(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("weightaudit.architecture.families", broken)
    done = weightaudit("archs")
    assert done.code == 3
    assert done.stderr == "weightaudit: ZeroDivisionError: division by zero. This is a bug; --debug shows where\n"
    with pytest.raises(ZeroDivisionError):
        weightaudit("archs", "--debug")
