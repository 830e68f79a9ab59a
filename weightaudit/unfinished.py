"""Files that this process is writing under a name for the time being, so that whatever ends it can remove them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_FILES: set[Path] = set()


def begin(path: Path) -> Path:
    """``path`` is about to be made."""
    _FILES.add(path)
    return path


def end(path: Path) -> None:
    """Nothing is at ``path`` any more: it has been renamed or removed."""
    _FILES.discard(path)


def remove_all() -> None:
    """Remove every file that was begun and has not ended; what cannot be removed stays."""
    for path in list(_FILES):
        with suppress(OSError):
            os.unlink(path)
        end(path)
