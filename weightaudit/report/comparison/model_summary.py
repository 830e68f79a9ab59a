"""From a report to what a comparison says of its model."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from weightaudit.records import MergeCheckResult, ScanResult
from weightaudit.report.by_layer import medians_by_layer
from weightaudit.report.comparison.columns import RANKED_ROLES, Metric

Profiles = dict[str, dict[str, list[tuple[float, float]]]]

PROFILED = ("stable_rank", "frobenius_norm")
DIGITS = 6
"""Significant digits of a profile's points: they are drawn, not read."""


def metrics(report: ScanResult) -> dict[str, Metric]:
    """The numbers of `SUMMARY_COLUMNS`, by name; None where the model has no such number."""
    return metrics_of(report.summary, report.map.dimensions)


def metrics_of(summary: Mapping[str, Any], dimensions: Mapping[str, int]) -> dict[str, Metric]:
    """The same from a report's ``summary`` and its map's ``dimensions``."""
    ranks, spread = summary["stable_rank_harmonic_mean"], summary["norm_preservation"]
    return {
        "layers": dimensions.get("layers"),
        "hidden": dimensions.get("hidden"),
        "parameters": summary["parameters"],
        "parameters_analysed": summary["parameters_analysed"],
        "share_analysed": summary["share_analysed"],
        "matrices": summary["matrices"],
        "dtypes": ";".join(sorted(summary["dtypes"], key=lambda name: (-summary["dtypes"][name], name))),
        "stable_rank": _finite(ranks["all"]),
        **{f"stable_rank_{role}": _finite(ranks.get(role)) for role in RANKED_ROLES},
        "norm_preservation_median": _finite(spread["median"]),
        "norm_preservation_max": _finite(spread["max"]),
        "nonfinite": summary["nonfinite"],
        "zeros": summary["zeros"],
        "not_converged": summary["not_converged"],
    }


def profiles(report: ScanResult) -> Profiles:
    """role → number → (relative depth, value) by layer; the median where a layer has several (experts).

    A stack's roles are called "encoder Q" and so on. Depth is 0 at the first layer of the stack and 1 at the last.
    """
    return profiles_of(
        (
            Point(
                row.matrix.stack,
                row.matrix.layer,
                row.matrix.role,
                row.spectrum.stable_rank,
                row.spectrum.frobenius_norm,
            )
            for row in report.rows
        ),
        report.map.dimensions.get("layers", 0),
    )


class Point(NamedTuple):
    """What a profile needs of one matrix."""

    stack: str
    layer: int | None
    role: str
    stable_rank: float
    frobenius_norm: float


def profiles_of(points: Iterable[Point], layers: int) -> Profiles:
    """The same from ``points``; ``layers`` are those of a model that is one stack, as the config counts them."""
    by_role: dict[tuple[str, str], list[Point]] = defaultdict(list)
    deepest: dict[str, int] = defaultdict(int)
    for point in points:
        if point.layer is not None:
            by_role[point.stack, point.role].append(point)
            deepest[point.stack] = max(deepest[point.stack], point.layer)
    # The config counts the layers of a model that is one stack; restricted scans do not see them all.
    deepest[""] = max(deepest[""], layers - 1)
    return {
        f"{stack} {role}".strip(): {name: _by_depth(found, name, deepest[stack]) for name in PROFILED}
        for (stack, role), found in by_role.items()
    }


def _by_depth(points: list[Point], name: str, deepest: int) -> list[tuple[float, float]]:
    medians = medians_by_layer((point.layer, getattr(point, name)) for point in points if point.layer is not None)
    return [(_short(layer / deepest) if deepest else 0.0, _short(value)) for layer, value in medians.items()]


def finding_counts(report: ScanResult | MergeCheckResult) -> dict[str, int]:
    """severity → how many."""
    return dict(Counter(finding.severity for finding in report.findings))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
