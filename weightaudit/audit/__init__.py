"""The rooms joined: scan one model, or go through its matrices.

The public names are imported on first use: to read what to scan (roles, layers, rules) takes no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightaudit.audit.progress import Progress as Progress
    from weightaudit.audit.scanning import matrices as matrices
    from weightaudit.audit.scanning import scan as scan

_HOMES = {
    "Progress": "weightaudit.audit.progress",
    "matrices": "weightaudit.audit.scanning",
    "scan": "weightaudit.audit.scanning",
}

__all__ = ["Progress", "matrices", "scan"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'weightaudit.audit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
