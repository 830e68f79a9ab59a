"""What a comparison says of a model, checked where it comes out of a file."""

from __future__ import annotations

from typing import Any

from weightaudit.records import SEVERITIES
from weightaudit.report.comparison.columns import SUMMARY_COLUMNS, Metric
from weightaudit.report.comparison.model_summary import PROFILED, Profiles
from weightaudit.stored import by_name, finite, flag, items, one_of, or_none, record, text, whole

_METRICS = {
    column.name: or_none({"float": finite, "int": whole, "text": text}[column.kind]) for column in SUMMARY_COLUMNS
}
_severity = one_of(SEVERITIES)


def check_metrics(said: Any) -> dict[str, Metric]:
    """`SUMMARY_COLUMNS` by name, all of them, each of its kind. Raises ValueError."""
    return record(said, _METRICS)


def check_profiles(said: Any) -> Profiles:
    """Points of each role and number: [depth, value]. Raises ValueError."""
    return by_name(_profile)(said)


def _profile(said: Any) -> dict[str, list[tuple[float, float]]]:
    return record(said, dict.fromkeys(PROFILED, items(_point)))


def _point(said: Any) -> tuple[float, float]:
    if not isinstance(said, list) or len(said) != 2:
        raise ValueError("a point is two numbers")
    return finite(said[0]), finite(said[1])


def check_findings(said: Any) -> dict[str, int]:
    """severity → how many. Raises ValueError."""
    return {_severity(name): count for name, count in by_name(whole)(said).items()}


def check_entry(said: Any) -> dict[str, Any]:
    """The fields of a `ModelEntry` that its scan gives. Raises ValueError."""
    return record(
        said,
        {
            "family": text,
            "guessed": flag,
            "metrics": check_metrics,
            "profiles": check_profiles,
            "findings": check_findings,
            "rules": whole,
        },
    )
