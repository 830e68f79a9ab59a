"""The version of this package and of those that it computes with; nothing else need be imported for it."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0.dev0"


def versions_of(packages: Iterable[str], *, absent: str = "not installed") -> dict[str, str]:
    """name → version: this package's, Python's, and those of ``packages``; ``absent`` for one that is not there."""
    found = {package: _installed(package) or absent for package in packages}
    return {"weightaudit": __version__, "python": platform.python_version(), **found}


@cache
def _installed(package: str) -> str:
    """Its version, "" where it is not there. Kept: looking it up costs milliseconds, and a batch scans thousands."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
