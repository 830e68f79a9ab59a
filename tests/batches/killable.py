"""A process with everything loaded that forks runs to be killed, so that a kill hits the run and not its imports.

    python -m tests.batches.killable LIST

LIST is run once, so that everything is loaded, and its models are scanned; runs of them are of what was found then (see
`tests.batches.remembered`), since nothing is changed while a model is scanned. Then each line of its input is ``LIST
DIRECTORY [KIND STEP]``: it forks, prints the child's id, and the child runs the list into the directory; with STEP it
kills itself before its STEP-th call that may change the file system, or, of the KIND "changed", before the STEP-th that
does: what a kill leaves is the same before each of the calls between two of these. Then the parent prints how the child
ended: the exit code, or minus the signal. After ``LIST DIRECTORY here`` it runs the list itself, and prints but how
that ended.

What is changed is not waited for until it is on the disk: a process that is killed leaves all that it has written.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("replace", "unlink", "mkdir", "fsync", "open")
"""Functions of os through which a run changes its directory, or settles what it changed."""


def run(models: Path, out: Path) -> None:
    from weightaudit.batches import read_model_list, run_batch
    from weightaudit.batches.executors import InlinePool
    from weightaudit.config import AuditConfig

    run_batch(read_model_list(models, AuditConfig()), out, InlinePool, threads=1, title=models.stem)


def changes(name: str, path: Any, flags: int = 0, *_: Any, dir_fd: int | None = None) -> bool:
    """Whether this call of the function of os leaves other files or names than it finds."""
    if name == "open":
        return bool(flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC))
    if name == "fsync":
        return False
    there = name == "replace" or os.path.lexists(path) or dir_fd is not None
    return there is not (name == "mkdir")


def kill_before(step: int, kind: str) -> Callable[[], int]:
    """Have this process kill itself before its ``step``-th call or change (0: never); gives how many there were."""
    count = 0

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if kind == "called" or changes(name, *args, **kwargs):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted

    for name in CHANGES:
        setattr(os, name, counting(name, getattr(os, name)))
    return lambda: count


def main() -> None:
    os.fsync = lambda fd: None
    from tests.batches.remembered import Remembered

    Remembered([Path(line) for line in Path(sys.argv[1]).read_text().splitlines()]).taken(setattr)
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(sys.argv[1]), Path(scratch) / "out")
    gc.collect()
    gc.freeze()  # or each child's first collection copies all that is loaded
    print("ready", "torch" in sys.modules, flush=True)
    for line in sys.stdin:
        models, out, *how = line.split()
        if how == ["here"]:
            print(f"ended {tried(Path(models), Path(out))}", flush=True)
            continue
        child = os.fork()
        if child == 0:
            changes = kill_before(int(how[1]), how[0]) if how else lambda: 0
            code = tried(Path(models), Path(out))
            print(f"changes {changes()}", flush=True)
            os._exit(code)
        print(f"child {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


def tried(models: Path, out: Path) -> int:
    """The exit code of a run: 1 where it failed, which stderr tells."""
    try:
        run(models, out)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    main()
