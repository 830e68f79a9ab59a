"""What is being done, step by step, for whoever asks: records of the logger "weightaudit", which is silent by itself.

``weightaudit … --verbose`` shows them; a program does so by `logging`. Names in them are printable,
and addresses without what is a key to the file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from weightaudit.redact import without_secrets

LOGGER = logging.getLogger("weightaudit")


def asked_for() -> bool:
    """Whether anybody listens: what it costs to say something need not be paid else."""
    return LOGGER.isEnabledFor(logging.INFO)


def step(text: str) -> None:
    """Say what is done, or what came of it."""
    LOGGER.info("%s", without_secrets(text))


@contextmanager
def timed(text: str) -> Iterator[None]:
    """Say what was done in the block, or in the function that this decorates, and how many seconds it took."""
    began = time.perf_counter()
    yield
    step(f"{text}: {time.perf_counter() - began:.2f} s")


def size(nbytes: int) -> str:
    """A number of bytes for people, in decimal units.

    Example:
        >>> size(999), size(90_868_376), size(2_500_000_000)
        ('999 bytes', '90.9 MB', '2.5 GB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if nbytes >= unit:
            return f"{nbytes / unit:.3g} {name}"
    return f"{nbytes} bytes"
