"""Watching a run of training: the weights of a live model measured at steps, into a log, with a warning where one dies.

The public names are imported on first use: each callback needs its own library, and neither needs the other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use

if TYPE_CHECKING:
    from weightaudit.training.lightning_callback import WeightauditLightningCallback as WeightauditLightningCallback
    from weightaudit.training.transformers_callback import WeightauditCallback as WeightauditCallback

_HOMES = {
    "WeightauditCallback": "weightaudit.training.transformers_callback",
    "WeightauditLightningCallback": "weightaudit.training.lightning_callback",
}

__all__ = ["WeightauditCallback", "WeightauditLightningCallback"]

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES)
