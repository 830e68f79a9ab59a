"""The kernels' machine code, kept from one process to the next.

In place of numba's own cache, which unpickles whatever lies in the folder that a setting names, fails where a file is
damaged or cannot be written, loses entries when several processes write its index, and is of no use without numba.
Here each entry is an object file by itself, in a private folder, under a digest of all that the code depends on and
with a digest of what it holds. A file that does not hold is compiled again and replaced.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from weightaudit.compiled import object_code
from weightaudit.compiled.private_folder import PrivateFolder, private_folder

DIGEST = hashlib.sha256().digest_size
SOURCES = tuple(Path(object_code.__file__).with_name(f"{name}.py") for name in ("functions", "jit", "object_code"))
"""What all machine code is made by, besides the loops' own sources; read, not imported."""
KernelName = tuple[str, tuple[str, ...]]
"""A loop, and the dtypes that it is for."""


@dataclass(frozen=True)
class KernelCache:
    """Object files in ``folder``. All but the kernel itself that they depend on is ``made_by``."""

    folder: PrivateFolder
    made_by: tuple[Any, ...]

    def read(self, kernel: KernelName) -> bytes | None:
        """The object file of ``kernel``; None where it is to be compiled."""
        key = self._key(kernel)
        kept = self.folder.read(_file(kernel, key)) or b""
        return kept[DIGEST:] if kept[:DIGEST] == _digest(key, kept[DIGEST:]) else None

    def write(self, kernel: KernelName, code: bytes) -> None:
        """Keep ``code``, if that can be done."""
        key = self._key(kernel)
        self.folder.write(_file(kernel, key), _digest(key, code) + code)

    def _key(self, kernel: KernelName) -> bytes:
        return hashlib.sha256(repr((tuple(kernel), self.made_by)).encode("utf-8", "surrogateescape")).digest()


def kernel_cache(sources: Sequence[Path]) -> KernelCache | None:
    """The user's, of the kernels that are written, and said how to be called, in the files ``sources``.

    None where there is no private folder for it, no numba, or no source that says whether they are still the same.
    """
    folder = private_folder()
    if folder is None:
        return None
    try:
        written = [path.read_bytes() for path in (*sources, *SOURCES)]
        numba = metadata.version("numba")
    except (OSError, metadata.PackageNotFoundError):
        return None
    versions = (sys.version, numba, llvmlite.__version__, np.__version__)
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if _matters(name))
    return KernelCache(folder, (written, versions, object_code.host(), settings))


def _file(kernel: KernelName, key: bytes) -> str:
    loop, dtypes = kernel
    return f"{'-'.join((loop, *dtypes))}-{key.hex()}.kernel"


def _digest(key: bytes, content: bytes) -> bytes:
    """By the key too, so that no file passes for another."""
    return hashlib.sha256(key + content).digest()


def _matters(variable: str) -> bool:
    """Whether what the compiler makes may depend on the environment's ``variable``."""
    return variable.startswith("NUMBA_") and variable != "NUMBA_CACHE_DIR"
