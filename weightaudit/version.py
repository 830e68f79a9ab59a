"""The version of this package and of those that it computes with; nothing else need be imported for it.

importlib.metadata brings the package ``email`` and was a seventh of what ``weightaudit --version`` took: it is imported
where no folder as pip makes them says a version.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

__version__ = "0.1.0.dev0"
DISTRIBUTION = "llm-weightaudit"
_FOLDER = re.compile(r"(?P<name>[^-]+)(?:-.*)?\.(?:dist|egg)-info", re.IGNORECASE)
"""What an installed package's metadata lie in: https://packaging.python.org/specifications/recording-installed-packages;
and what they lay in once."""


def versions_of(packages: Iterable[str], *, absent: str = "not installed") -> dict[str, str]:
    """name → version: this package's, Python's, and those of ``packages``; ``absent`` for one that is not there."""
    found = {package: _installed(package) or absent for package in packages}
    return {"weightaudit": __version__, "python": platform.python_version(), **found}


@cache
def _installed(package: str) -> str:
    """Its version, "" where it is not there. Kept: looking it up costs milliseconds, and a batch scans thousands."""
    for folder in _folders().get(_normal(package), ()):
        if not folder.endswith(".dist-info"):
            break  # it comes first, and is read by importlib.metadata
        if said := _said(folder):
            return said
    from importlib.metadata import version

    try:
        return version(package) or ""  # None of a folder in which nothing is left
    except ModuleNotFoundError:
        return ""


@cache
def _folders() -> dict[str, list[str]]:
    """Package → what its metadata lie in, in the order in which Python looks; nothing behind a place that is an archive
    or a package by itself, as importlib.metadata may find it there.
    """
    found: dict[str, list[str]] = {}
    for place in map(str, sys.path):
        if place.lower().endswith(".egg"):
            break
        try:
            names = os.listdir(place or os.curdir)
        except NotADirectoryError:  # a zip file
            break
        except (OSError, ValueError):  # nothing
            continue
        for name in names:
            if said := _FOLDER.fullmatch(name):
                found.setdefault(_normal(said["name"]), []).append(os.path.join(place, name))
    return found


def _said(folder: str) -> str:
    """The version that the metadata in ``folder`` say; "" where there are none."""
    try:
        with open(os.path.join(folder, "METADATA"), encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.lower() == "version":
                    return value.strip()
                if not line.strip():
                    break
    except OSError:
        pass
    return ""


def _normal(package: str) -> str:
    """The same for all spellings of a name."""
    return re.sub(r"[-_.]+", "_", package).lower()


def metadata(distribution: str) -> PackageMetadata:
    """What is said of an installed package. ModuleNotFoundError where there is none."""
    from importlib.metadata import metadata

    return metadata(distribution)


def documentation() -> str:
    """Address of the documentation's site, as the installed package's [project.urls] have it; "" where they do not."""
    try:
        urls = metadata(DISTRIBUTION).get_all("Project-URL") or []
    except ModuleNotFoundError:
        return ""
    pairs = (url.partition(",") for url in urls)
    return next((address.strip() for label, _, address in pairs if label.strip().lower() == "documentation"), "")


def dependencies() -> frozenset[str]:
    """The packages that this one requires, or takes for its extras, by the names of their modules."""
    from importlib.metadata import requires

    try:
        lines = requires(DISTRIBUTION) or []
    except ModuleNotFoundError:
        return frozenset()
    return frozenset(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].replace("-", "_").lower() for line in lines)
