"""A process with everything loaded that forks runs to be killed, so that a kill hits the run and not its imports.

    python -m tests.batches.killable LIST

LIST is run once, so that everything is loaded. Then each line of its input is ``LIST DIRECTORY [STEP]``: it forks,
prints the child's id, and the child runs the list into the directory; with STEP it kills itself before its STEP-th
change to the file system. Then the parent prints how the child ended: the exit code, or minus the signal.

What is changed is not waited for until it is on the disk: a process that is killed leaves all that it has written.
"""

from __future__ import annotations

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


def kill_before(step: int) -> Callable[[], int]:
    """Have this process kill itself before its ``step``-th change (0: never); gives how many there were."""
    count = 0

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted

    for name in CHANGES:
        setattr(os, name, counting(getattr(os, name)))
    return lambda: count


def main() -> None:
    os.fsync = lambda fd: None
    with tempfile.TemporaryDirectory() as scratch:
        run(Path(sys.argv[1]), Path(scratch) / "out")
    print("ready", flush=True)
    for line in sys.stdin:
        models, out, *step = line.split()
        child = os.fork()
        if child == 0:
            try:
                changes = kill_before(int(step[0])) if step else lambda: 0
                run(Path(models), Path(out))
                print(f"changes {changes()}", flush=True)
                os._exit(0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
        print(f"child {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
