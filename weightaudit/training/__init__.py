"""Watching a run of training: the weights of a live model measured at steps, into a log, with a warning where one dies.

The public names are imported on first use: each callback needs its own library, and neither needs the other's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightaudit.training.lightning_callback import WeightauditLightningCallback as WeightauditLightningCallback
    from weightaudit.training.transformers_callback import WeightauditCallback as WeightauditCallback

_HOMES = {
    "WeightauditCallback": "weightaudit.training.transformers_callback",
    "WeightauditLightningCallback": "weightaudit.training.lightning_callback",
}

__all__ = ["WeightauditCallback", "WeightauditLightningCallback"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'weightaudit.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
