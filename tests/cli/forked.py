"""A process with everything loaded that runs a command line in a fork of itself for each line of its input.

    python -m tests.cli.forked

The first line is JSON: command lines to run here, which loads what they need. A later one is JSON too: ``words``, and
where ``stdout`` and ``stderr`` go: a file's path, "gone" (a pipe that nobody reads), "full" (a full disk) or "closed".
It answers with the exit code.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import NoReturn, TextIO


def redirect(descriptor: int, where: str) -> None:
    """As a shell would."""
    os.close(descriptor)
    if where == "closed":
        return
    if where == "gone":
        reader, found = os.pipe()
        os.close(reader)
    else:
        found = os.open("/dev/full" if where == "full" else where, os.O_WRONLY | os.O_CREAT, 0o666)
    if found != descriptor:
        os.dup2(found, descriptor)
        os.close(found)


def opened(descriptor: int, where: str, errors: str) -> TextIO | None:
    return None if where == "closed" else open(descriptor, "w", encoding="utf-8", errors=errors)


def child(words: list[str], stdout: str, stderr: str) -> NoReturn:
    redirect(2, stderr)
    redirect(1, stdout)
    # As the interpreter makes them at its start.
    sys.stdout = opened(1, stdout, "strict")
    sys.stderr = opened(2, stderr, "backslashreplace")
    sys.argv = ["weightaudit", *words]
    from weightaudit.cli import main

    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    try:
        for stream in (sys.stdout, sys.stderr, *streams):
            if stream is not None:
                stream.flush()
    except OSError:
        code = 120  # as of an interpreter at its end, which takes long with all this loaded
    os._exit(code)


def main() -> None:
    from weightaudit.cli import main as command

    answers, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115  # for good
    for words in json.loads(sys.stdin.readline()):
        sys.argv = ["weightaudit", *words]
        with suppress(SystemExit):
            command()
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            child(**json.loads(line))
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    main()
