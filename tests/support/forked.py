"""A process with what it needs loaded that runs each line of its input in a fork of itself.

    python -m tests.support.forked

The first line is JSON: ``modules`` to import, and ``commands``, command lines to run here, which load what they need.
A later one is JSON too: what to run, either ``words``, a command line, or a ``program`` of Python with its ``argv``;
where ``stdout`` and ``stderr`` go: a file's path, "gone" (a pipe that nobody reads), "full" (a full disk) or "closed";
and ``cwd`` and ``env``, where these are not its own. It answers with the number of the process, and at its end with
the exit code; of a process ``beside`` others it tells the end only where it is asked: ``ended``, with its number, and
whether to ``wait``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, NoReturn, TextIO

import typer.main


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


def become(order: dict[str, Any]) -> None:
    """Have the streams, the folder and the environment of a process of its own."""
    stdin = os.open(os.devnull, os.O_RDONLY)
    os.dup2(stdin, 0)
    os.close(stdin)
    redirect(2, order["stderr"])
    redirect(1, order["stdout"])
    # As the interpreter makes them at its start.
    sys.stdout = opened(1, order["stdout"], "strict")
    sys.stderr = opened(2, order["stderr"], "backslashreplace")
    if order.get("env") is not None:
        os.environ.clear()
        os.environ.update(order["env"])
    if order.get("cwd"):
        os.chdir(order["cwd"])


def command(words: list[str]) -> NoReturn:
    """Run the command line, and end as an interpreter does, but for what takes long with all this loaded."""
    sys.argv = ["weightaudit", *words]
    from weightaudit.cli import main

    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    try:
        for stream in (sys.stdout, sys.stderr, *streams):
            if stream is not None:
                stream.flush()
    except OSError:
        code = 120  # as of an interpreter at its end
    os._exit(code)


def serve() -> dict[str, Any] | None:
    """Answer every order; in a fork, its order. None when there are no more."""
    from weightaudit.cli import main

    answers, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115  # for good
    first = json.loads(sys.stdin.readline())
    for name in first["modules"]:
        import_module(name)
    typer.main.get_command = cache(typer.main.get_command)  # built once, for all forks
    for words in first["commands"]:
        sys.argv = ["weightaudit", *words]
        with suppress(SystemExit):
            main()
    gc.collect()
    gc.freeze()  # so that no fork goes through what was loaded here, at its end least of all
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        if "ended" in order:
            print(exit_code(order["ended"], 0 if order["wait"] else os.WNOHANG), file=answers, flush=True)
            continue
        process = os.fork()
        if process == 0:
            return order
        print(process, file=answers, flush=True)
        if not order.get("beside"):
            print(exit_code(process), file=answers, flush=True)
    return None


def exit_code(process: int, how: int = 0) -> int | str:
    """Of a child that has ended; "running" where it has not."""
    ended, status = os.waitpid(process, how)
    return os.waitstatus_to_exitcode(status) if ended else "running"


if __name__ == "__main__":
    order = serve()
    if order is not None:
        become(order)
        if "words" in order:
            command(order["words"])
        # A program ends with the interpreter, which does then what it does at its end.
        sys.argv = order["argv"]
        exec(compile(order["program"], "<program>", "exec"), {"__name__": "__main__"})
