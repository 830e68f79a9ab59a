"""What the rules are shown: everything one scan knows, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weightaudit.records import CoverageEntry, LayerRow, ModelIdentity, ModelMap


@dataclass(frozen=True)
class Evidence:
    """One finished scan, before it is judged.

    ``config`` is config.json, None for a weight file without one. ``rows`` are in report order, ``ledger`` in name
    order. ``broken_ties`` are (tensor, the tensor it should repeat) that the config ties and whose values differ.
    ``restricted`` says that --roles or --layers left something out, so that what is not there proves nothing.
    """

    identity: ModelIdentity
    config: Mapping[str, Any] | None
    map: ModelMap
    rows: tuple[LayerRow, ...]
    ledger: tuple[CoverageEntry, ...]
    broken_ties: tuple[tuple[str, str], ...] = ()
    restricted: bool = False
