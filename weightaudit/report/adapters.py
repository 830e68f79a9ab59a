"""What a report says of an adapter: columns of their own, and the adapter in a line."""

from __future__ import annotations

import math
from collections.abc import Callable

from weightaudit.records import AdapterFacts, LayerRow, ModelIdentity, ScanResult
from weightaudit.report.columns import Column, Value
from weightaudit.text import listed, printable

MAX_MODULES = 12
"""Modules named in the line."""


def _of_facts(told: Callable[[AdapterFacts], Value]) -> Callable[[ModelIdentity, LayerRow], Value]:
    return lambda m, r: None if r.adapter is None else told(r.adapter)


ADAPTER: tuple[Column[LayerRow], ...] = (
    Column(
        "rank", "Rank", "r, the columns of B and rows of A of the change s·B·A", "Int64", _of_facts(lambda f: f.rank)
    ),
    Column(
        "scale",
        "Scale",
        "s, what B·A is multiplied by",
        "float64",
        lambda m, r: math.nan if r.adapter is None else r.adapter.scale,
    ),
    Column(
        "effective_rank",
        "Effective rank",
        "exp of the entropy of the singular values over their sum",
        "float64",
        lambda m, r: math.nan if r.adapter is None else r.adapter.effective_rank,
    ),
    Column(
        "dead_directions",
        "Dead directions",
        "of the rank's singular values those below a millionth of the largest",
        "Int64",
        _of_facts(lambda f: f.dead_directions),
    ),
    Column(
        "untrained",
        "Untrained",
        "yes where a factor is zero throughout, so that nothing is changed",
        "string",
        _of_facts(lambda f: "yes" if f.untrained else "no"),
    ),
)
"""Columns of reports on an adapter."""


def is_adapter(row: LayerRow) -> bool:
    """Whether the row is of a change, and not of a matrix that is stored itself."""
    return row.adapter is not None


def said_of_adapter(report: ScanResult) -> str:
    """``a LoRA adapter of org/base, r 16, alpha 32, of q_proj, v_proj``; "" where it is a model."""
    adapter = report.identity.adapter
    if adapter is None:
        return ""
    base = f" of {printable(adapter.base, 100)}" if adapter.base else ""
    rank = f"r {adapter.rank}" if adapter.rank is not None else ""
    alpha = f"alpha {adapter.alpha:g}" if adapter.alpha is not None else ""
    modules = listed((printable(name, 60) for name in adapter.modules), MAX_MODULES)
    return ", ".join(filter(None, (f"{adapter.label}{base}", rank, alpha, modules and f"on {modules}")))
