"""The whole result inside its JSON report: what `load` makes the result of again.

What a scan has twice is there once: a matrix that was measured is a number, its place among the map's; a tensor that
became what the map says is not told again.
"""

from __future__ import annotations

from typing import Any

from weightaudit.records import DiffResult, MergeCheckResult, Reported, ScanResult
from weightaudit.records.plain import from_plain, to_plain

KEY = "record"
"""Under which it is, the last of a document: every field of the result, as `weightaudit.records.plain` writes it."""
KINDS: dict[str, type[Reported]] = {"scan": ScanResult, "diff": DiffResult, "merge check": MergeCheckResult}


def record_of(result: Reported) -> dict[str, Any]:
    """``result`` as plain JSON values under the name of its kind."""
    kind, own = next((kind, own) for kind, own in KINDS.items() if isinstance(result, own))
    said = to_plain(own(**{name: getattr(result, name) for name in own.__dataclass_fields__}))
    if isinstance(result, ScanResult):
        _fold(said, result)
    return {kind: said}


def result_of(said: object) -> Reported:
    """The result that a record is of; ValueError where it is none."""
    if not isinstance(said, dict) or len(said) != 1 or not said.keys() <= KINDS.keys():
        raise ValueError(f"it is none of {', '.join(KINDS)}")
    ((kind, content),) = said.items()
    return from_plain(KINDS[kind], _unfolded(content) if kind == "scan" else content)


def _fold(said: dict[str, Any], result: ScanResult) -> None:
    places = {matrix.key: i for i, matrix in enumerate(result.map.matrices)}
    for row, measured in zip(said["rows"], result.rows, strict=True):
        place = places.get(measured.matrix.key)
        if place is not None and said["map"]["matrices"][place] == row["matrix"]:
            row["matrix"] = place
    mapped = {entry["tensor"]: entry for entry in said["map"]["coverage"]}
    said["coverage_entries"] = [one for one in said["coverage_entries"] if mapped.get(one["tensor"]) != one]


def _unfolded(said: Any) -> Any:
    """The same as it was before; KeyError, TypeError or IndexError where it was not so."""
    matrices = said["map"]["matrices"]
    rows = [
        {**row, "matrix": matrices[row["matrix"]] if isinstance(row["matrix"], int) else row["matrix"]}
        for row in said["rows"]
    ]
    other = {entry["tensor"]: entry for entry in said["coverage_entries"]}
    entries = [other.get(entry["tensor"], entry) for entry in said["map"]["coverage"]]
    return {**said, "rows": rows, "coverage_entries": entries}
