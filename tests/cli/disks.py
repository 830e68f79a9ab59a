"""Disks that are full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def refusing(name: str) -> Callable[[str, Path], None]:
    """`os.replace` on a disk that is full when ``name`` is to be written."""
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    return full
