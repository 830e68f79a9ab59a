"""The kernels' machine code, kept from one process to the next.

In place of numba's own cache, which unpickles whatever lies in the folder that a setting names, fails where a file is
damaged or cannot be written, and loses entries when several processes write its index. Here each entry is a file by
itself, in a private folder, under a digest of all that the code depends on and with a digest of what it holds. A file
that does not hold is compiled again and replaced.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from weightaudit.spectral.jit import numba
from weightaudit.spectral.private_folder import PrivateFolder, private_folder

DIGEST = hashlib.sha256().digest_size


class KernelCache:
    """What a numba dispatcher asks of a cache: `numba.core.caching` says how."""

    def __init__(self, name: str, source: bytes, folder: PrivateFolder) -> None:
        self.cache_path = str(folder.path)
        self._name, self._folder = name, folder
        settings = sorted(f"{name}={value}" for name, value in os.environ.items() if _matters(name))
        self._made_by = (source, sys.version, numba.__version__, llvmlite.__version__, np.__version__, settings)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The function compiled for the types ``signature``; None where it is to be compiled."""
        context.refresh()
        key = self._key(signature, context)
        kept = self._folder.read(self._file(key)) or b""
        if kept[:DIGEST] != _digest(key, kept[DIGEST:]):
            return None
        try:
            return numba.core.compiler.CompileResult._rebuild(context, *pickle.loads(kept[DIGEST:]))
        except Exception:  # by its digest we wrote it, but to something that has changed since
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled, if that can be done."""
        key = self._key(signature, compiled.target_context)
        content = numba.core.serialize.dumps(compiled._reduce())
        self._folder.write(self._file(key), _digest(key, content) + content)

    def flush(self) -> None:
        """Nothing to do: an entry is replaced when it is compiled again."""

    def _key(self, signature: Any, context: Any) -> bytes:
        """All that the machine code depends on: types, processor, source, versions and settings."""
        parts = (self._name, signature, context.codegen().magic_tuple(), self._made_by)
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).digest()

    def _file(self, key: bytes) -> str:
        return f"{self._name}-{key.hex()}.kernel"


def keep(dispatcher: Any) -> Any:
    """``dispatcher``, a jitted function, with its machine code kept; unless there is no private folder for it, or no
    source that says whether the function is still the same.
    """
    folder = private_folder()
    try:
        source = Path(dispatcher.py_func.__code__.co_filename).read_bytes()
    except OSError:
        return dispatcher
    if folder is not None:
        dispatcher._cache = KernelCache(dispatcher.py_func.__name__, source, folder)
    return dispatcher


def _digest(key: bytes, content: bytes) -> bytes:
    """By the key too, so that no file passes for another."""
    return hashlib.sha256(key + content).digest()


def _matters(variable: str) -> bool:
    """Whether what the compiler makes may depend on the environment's ``variable``."""
    return variable.startswith("NUMBA_") and variable != "NUMBA_CACHE_DIR"
