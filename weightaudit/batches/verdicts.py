"""What a batch comes to: the verdict of each model, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from weightaudit.batches.manifest import Listed
from weightaudit.batches.outcome import Outcome
from weightaudit.batches.results import Results
from weightaudit.records import SEVERITIES, Place
from weightaudit.report.layout import SUMMARY_JSON
from weightaudit.stored import or_none, parse_stored, text, whole

Standing = Literal["errors", "warnings", "failed", "unchecked", "clean"]
WORST_FIRST: tuple[Standing, ...] = ("errors", "warnings", "failed", "unchecked", "clean")
MAX_SUMMARY = 1 << 26
"""Bytes of a summary that is looked at for its first finding."""


@dataclass(frozen=True)
class ModelVerdict:
    """What one model's scan came to: severity → how many ``findings``; a failed one has a ``reason`` instead, and only
    one that is done has ``results``.
    """

    title: str
    standing: Standing
    findings: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    results: Results | None = None

    def first_finding(self) -> str:
        """The rule of its most severe finding, and where; "" where there is none, or its summary cannot be read now."""
        if self.results is None or not any(self.findings.values()):
            return ""
        try:
            with self.results.open(SUMMARY_JSON) as file:
                return _first(parse_stored(file.read(MAX_SUMMARY)))
        except (OSError, ValueError, LookupError, TypeError):  # of a file that anybody may have written
            return ""


def _first(summary: Any) -> str:
    said = summary["findings"][0]
    place = Place(
        text(said["stack"]), or_none(whole)(said["layer"]), or_none(whole)(said["expert"]), text(said["role"])
    )
    where = place.words()
    return f"{text(said['id'])} ({where})" if where else text(said["id"])


def verdict_of(one: Listed, outcome: Outcome | None, directory: Path, unfinished: str) -> ModelVerdict:
    """That of a model of ``directory``; without an outcome it has failed, since it is ``unfinished``."""
    if outcome is None or outcome.status == "failed":
        return ModelVerdict(one.title, "failed", reason=unfinished if outcome is None else outcome.reason)
    findings = outcome.entry.get("findings", {})
    standing: Standing = next((known for known in WORST_FIRST if known == outcome.verdict), "unchecked")
    return ModelVerdict(one.title, standing, findings, results=outcome.results(directory / one.folder))


def worst_first(verdicts: Iterable[ModelVerdict]) -> tuple[ModelVerdict, ...]:
    """In the order in which a person wants to look at them: verdict, then number of findings; else as they come."""
    return tuple(
        sorted(
            verdicts,
            key=lambda one: (
                WORST_FIRST.index(one.standing),
                *(-one.findings.get(severity, 0) for severity in SEVERITIES),
            ),
        )
    )
