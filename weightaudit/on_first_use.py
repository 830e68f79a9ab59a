"""Names of a package that are imported on first use, so that importing it loads only what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def on_first_use(
    package: str, homes: Mapping[str, str], also: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the ``__getattr__`` of ``package``, by which it has each name of ``homes`` from the module named there, and
    its ``__dir__``, which lists these names and those that it has ``also``.
    """

    def get(name: str) -> object:
        if name in homes:
            return getattr(import_module(homes[name]), name)
        raise AttributeError(f"module '{package}' has no attribute {name!r}")

    return get, lambda: sorted({*homes, *also})
