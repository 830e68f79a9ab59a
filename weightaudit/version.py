"""The version of this package and of those that it computes with; nothing else need be imported for it.

importlib.metadata is imported where it is asked: with all that it brings it was a fifth of `weightaudit --version`.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from functools import cache

__version__ = "0.1.0.dev0"
DISTRIBUTION = "llm-weightaudit"


def versions_of(packages: Iterable[str], *, absent: str = "not installed") -> dict[str, str]:
    """name → version: this package's, Python's, and those of ``packages``; ``absent`` for one that is not there."""
    found = {package: _installed(package) or absent for package in packages}
    return {"weightaudit": __version__, "python": platform.python_version(), **found}


@cache
def _installed(package: str) -> str:
    """Its version, "" where it is not there. Kept: looking it up costs milliseconds, and a batch scans thousands."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def documentation() -> str:
    """Address of the documentation's site, as the installed package's [project.urls] have it; "" where they do not."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        urls = metadata(DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    pairs = (url.partition(",") for url in urls)
    return next((address.strip() for label, _, address in pairs if label.strip().lower() == "documentation"), "")


def dependencies() -> frozenset[str]:
    """The packages that this one requires, or takes for its extras, by the names of their modules."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return frozenset()
    return frozenset(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].replace("-", "_").lower() for line in lines)
