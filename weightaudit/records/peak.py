"""Where in a matrix its largest entry stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peak:
    """The entry of largest magnitude: its output channel (``row``) and its input (``col``)."""

    row: int
    col: int
