"""What tests have worker processes do."""

from __future__ import annotations

import os
import signal
import sys
import time


def who_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def loaded(module: str) -> bool:
    return module in sys.modules


def torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def divide(a: float, b: float) -> float:
    return a / b


class Unpicklable(Exception):
    def __reduce__(self) -> str:
        raise TypeError


def raise_unpicklable() -> None:
    raise Unpicklable("no way home")


def return_unpicklable() -> object:
    return lambda: None


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> None:
    os.abort()


def leave() -> None:
    sys.exit(7)
