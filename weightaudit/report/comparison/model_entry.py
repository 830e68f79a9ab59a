"""What a comparison says of one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from weightaudit.report.comparison.columns import Metric
from weightaudit.report.comparison.model_summary import Profiles


@dataclass(frozen=True)
class ModelEntry:
    """One model of a comparison.

    ``name`` is unique among those compared; ``reason`` says why it failed; ``link`` and ``log`` are relative addresses
    of its report and its log. ``metrics`` are `SUMMARY_COLUMNS`; ``profiles``: role → "stable_rank" or
    "frobenius_norm" → (relative depth from 0 to 1, value) by layer; ``findings``: severity → how many, and
    ``rules`` how many rules were checked; 0 is none, so that no findings say nothing.
    """

    name: str
    revision: str
    status: Literal["done", "failed"]
    reason: str = ""
    link: str = ""
    log: str = ""
    family: str = ""
    guessed: bool = False
    metrics: dict[str, Metric] = field(default_factory=dict)
    profiles: Profiles = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    rules: int = 0
