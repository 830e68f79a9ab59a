"""All models of a comparison, gone through once: the columns of its table, its totals, its profiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weightaudit.records import SEVERITIES
from weightaudit.report.comparison.columns import SUMMARY_COLUMNS, Metric, SummaryColumn
from weightaudit.report.comparison.profile_store import ProfileStore
from weightaudit.report.hypertext import local
from weightaudit.report.page_constants import page_constants
from weightaudit.report.style import INK, role_styles

if TYPE_CHECKING:
    from weightaudit.report.comparison.model_entry import ModelEntry

DIGITS = 6
"""Significant digits of the table's numbers; summary.csv has more."""
PALETTE = ("Q", "K", "V", "O", "QKV", "M1", "M2", "GATE")
"""Models are told apart by the colours that stay apart for everybody: those of the roles."""
MOST_WORDS = 1000
"""Characters of a reason: a table is no log."""


@dataclass
class Gathered:
    """``columns`` by name, one item a model; ``failures`` are (name, reason, log) of the first few that failed."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    profiles: ProfileStore = field(default_factory=ProfileStore)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    models: int = 0
    failed: int = 0

    def shown(self) -> list[SummaryColumn]:
        """The numbers that any model has."""
        return [column for column in SUMMARY_COLUMNS if any(v is not None for v in self.columns[column.name])]

    def known(self, name: str) -> list[Any]:
        """The numbers called ``name``, of the models that have it."""
        return [value for value in self.columns[name] if value is not None]

    def page_data(self) -> dict[str, Any]:
        """What the page's script reads."""
        names = ("name", "revision", "failed", "reason", "link", "log", "family", "guessed", "findings", "checked")
        return {
            "constants": page_constants(),
            "count": self.models,
            "models": {name: self.columns[name] for name in names},
            "columns": [
                {"name": column.name, "title": column.title, "meaning": column.meaning, "kind": column.kind}
                for column in self.shown()
            ],
            "metrics": {column.name: self.columns[column.name] for column in self.shown()},
            "profiles": self.profiles.data(),
            "palette": [
                {"light": style.light, "dark": style.dark, "symbol": style.symbol}
                for style in role_styles(PALETTE).values()
            ],
            "ink": INK,
        }


def gather(entries: Iterable[ModelEntry], failures: int) -> Gathered:
    """Go through ``entries`` once; none of them is kept. The first ``failures`` that failed are told apart."""
    metrics = {column.name: column.kind for column in SUMMARY_COLUMNS}
    names = (
        "name",
        "revision",
        "failed",
        "reason",
        "link",
        "log",
        "family",
        "guessed",
        "findings",
        "checked",
        *metrics,
    )
    found = Gathered({name: [] for name in names})
    columns = found.columns
    for entry in entries:
        failed = entry.status == "failed"
        reason, log = entry.reason[:MOST_WORDS], local(entry.log)
        row = {
            "name": entry.name,
            "revision": entry.revision,
            "failed": int(failed),
            "reason": reason,
            "link": local(entry.link),
            "log": log,
            "family": entry.family,
            "guessed": int(entry.guessed),
            "findings": [entry.findings.get(severity, 0) for severity in SEVERITIES],
            "checked": int(entry.rules > 0),
            **{name: _plain(entry.metrics.get(name), kind) for name, kind in metrics.items()},
        }
        for name, value in row.items():
            columns[name].append(value)
        if failed:
            found.failed += 1
            if len(found.failures) < failures:
                found.failures.append((entry.name, reason, log))
        found.profiles.add(found.models, entry.profiles)
        found.models += 1
    return found


def _plain(value: Metric, kind: str) -> Metric:
    if value is None or kind == "text":
        return None if value is None else str(value)
    if kind == "int":
        return int(value)
    return float(f"{float(value):.{DIGITS}g}") if math.isfinite(float(value)) else None
