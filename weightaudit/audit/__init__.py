"""The rooms joined: scan one model, or go through its matrices.

The public names are imported on first use: to read what to scan (roles, layers, rules) takes no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightaudit.audit.config_check import check_config as check_config
    from weightaudit.audit.progress import Progress as Progress
    from weightaudit.audit.scan import model_matrices as model_matrices
    from weightaudit.audit.scan import read_map as read_map
    from weightaudit.audit.scan import scan_model as scan_model

_HOMES = {
    "Progress": "weightaudit.audit.progress",
    "check_config": "weightaudit.audit.config_check",
    "model_matrices": "weightaudit.audit.scan",
    "read_map": "weightaudit.audit.scan",
    "scan_model": "weightaudit.audit.scan",
}

__all__ = ["Progress", "check_config", "model_matrices", "read_map", "scan_model"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'weightaudit.audit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
