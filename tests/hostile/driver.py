"""Commands run one after the other in one process, all that it and its workers do to files written down.

    DRIVER_LOG=FILE python driver.py COMMANDS

COMMANDS is a JSON list of the words of each command; stdout gets a JSON list of [exit code, stderr]. FILE gets the path
of each file that is opened to be written, made, moved, changed or removed. A command with the word CLUSTER gets the
address of a Dask cluster in this process; one after the word HOMELESS, and those that follow, have no home. The file is
copied to a folder of its own, as Python puts that first in its path.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

LOG = os.open(os.environ["DRIVER_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {
    **{f"os.{name}": ((0, -1),) for name in ("chmod", "chown", "mkdir", "remove", "rmdir", "utime")},
    **{f"os.{name}": ((0, None),) for name in ("removexattr", "setxattr", "truncate")},
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
}
"""event → where its arguments have a path that changes, and the directory that this starts from"""


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and arguments[2] & WRITES:
        write_down(arguments[0])
    for path, start in CHANGES.get(event, ()):
        write_down(arguments[path], -1 if start is None else arguments[start])


def write_down(path: Any, start: int = -1) -> None:
    if isinstance(path, int):  # open already
        return
    folder = os.getcwd() if start < 0 else os.readlink(f"/proc/self/fd/{start}")
    os.write(LOG, os.path.normpath(os.path.join(os.fsencode(folder), os.fsencode(path))) + b"\0")


sys.addaudithook(watch)  # in every worker too, which runs this file again


def run(words: list[str]) -> tuple[Any, str]:
    from weightaudit.cli import main

    sys.argv = ["weightaudit", *words]
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0, err.getvalue()
    raise AssertionError("main() does not return")


def run_all(commands: list[list[str]]) -> Iterator[tuple[Any, str]]:
    with contextlib.ExitStack() as stack:
        for words in commands:
            if "CLUSTER" in words:
                import distributed

                scratch = os.path.join(os.environ["HOME"], ".cache", "dask")
                options: dict[str, Any] = {
                    "local_directory": scratch,
                    "n_workers": 1,
                    "threads_per_worker": 1,
                    "processes": False,
                    "dashboard_address": None,
                }
                cluster = stack.enter_context(distributed.LocalCluster(**options))
                words = [cluster.scheduler_address if word == "CLUSTER" else word for word in words]
            if words[0] == "HOMELESS":
                os.environ["HOME"] = os.path.join(os.path.dirname(__file__), "missing")
                words = words[1:]
            yield run(words)


if __name__ == "__main__":
    print(json.dumps(list(run_all(json.loads(sys.argv[1])))))
