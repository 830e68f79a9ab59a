"""The rooms joined: scan one model, or go through its matrices.

The public names are imported on first use: to read what to scan (roles, layers, rules) takes no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use

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

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES)
