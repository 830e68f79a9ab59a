"""Room for our own files in a directory that may come from a stranger.

Whatever stands where a file or a folder of ours belongs and is none is not followed, opened or emptied: a link leads
out of the directory, and a named pipe waits for ever.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from weightaudit.stored import is_link


def clear(path: Path, *, folder: bool = False) -> None:
    """Have nothing at ``path`` but a plain file, or with ``folder`` a directory. Raises OSError.

    A symbolic link is removed, and what it leads to is left as it is; anything else that is in the way is moved aside,
    as NAME.aside-…, for it may be somebody's.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        path.unlink(missing_ok=True)
    elif is_link(status) or not (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode):
        path.rename(path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}"))


def remove(path: Path) -> None:
    """Have nothing at ``path``. Raises OSError."""
    clear(path)
    path.unlink(missing_ok=True)
