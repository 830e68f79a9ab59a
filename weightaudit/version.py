"""The version of this package and of those that it computes with; nothing else need be imported for it."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0.dev0"


def versions_of(packages: Iterable[str], *, absent: str = "not installed") -> dict[str, str]:
    """name → version: this package's, Python's, and those of ``packages``; ``absent`` for one that is not there."""
    versions = {"weightaudit": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = absent
    return versions
