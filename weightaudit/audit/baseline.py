"""An earlier report to compare findings with: what it has is known, and what it lacks is new.

It is read as a stranger's: only the identities of its findings are taken from it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from weightaudit.errors import UsageError
from weightaudit.own_reports import MAX_REPORT
from weightaudit.records import SCHEMA, Finding, Suppressed
from weightaudit.stored import items, or_none, parse_stored, read_plain, text, whole
from weightaudit.text import printable

_MEASURED = re.compile(r"\d[\d,]*(?:\.\d+%?|%)")
"""Numbers that are measured: they have a decimal point, or are in percent. Counts are whole."""


def identity_of(finding: Finding) -> str:
    """What makes two findings the same, whatever was measured: the rule, the place and the tensors.

    One that has neither place nor tensors is told apart by its sentence, measured numbers left out.
    """
    where: list[Any] = [finding.stack, finding.layer, finding.expert, finding.role, *finding.tensors]
    said = [] if any(one not in ("", None) for one in where) else [_MEASURED.sub("#", finding.detail)]
    return json.dumps([finding.id, *where, *said])


@dataclass(frozen=True)
class Baseline:
    """The findings of an earlier report: how many of each identity. ``path`` is as it was given."""

    path: str
    model: str
    known: Counter[str]

    def compare(
        self, findings: Iterable[Finding], suppressed: Iterable[Suppressed], model: str
    ) -> tuple[tuple[Finding, ...], tuple[Suppressed, ...], dict[str, Any]]:
        """``findings`` and ``suppressed`` ones of ``model``, each with its baseline state, and what a report tells of
        the comparison, which counts the first only.

        Of findings of one identity as many are unchanged as the baseline has.
        """
        left = self.known.copy()

        def beside(finding: Finding) -> Finding:
            key = identity_of(finding)
            known = left[key] > 0
            left[key] -= known
            return replace(finding, baseline_state="unchanged" if known else "new")

        told = tuple(map(beside, findings))
        others = tuple(replace(one, finding=beside(one.finding)) for one in suppressed)
        counts = Counter(finding.baseline_state for finding in told)
        return (
            told,
            others,
            {
                "path": self.path,
                "model": self.model,
                "same_model": self.model == model,
                "new": counts["new"],
                "unchanged": counts["unchanged"],
                "gone": sum(number for number in left.values() if number > 0),
            },
        )


def read_baseline(path: str) -> Baseline:
    """The report at ``path``. UsageError where it cannot be read, or is no report of one model as JSON."""
    shown = printable(path, 1000)
    hint = "Name the JSON report of an earlier scan, or make one: weightaudit scan MODEL --baseline '' --json FILE"
    try:
        said = parse_stored(read_plain(path, limit=MAX_REPORT, follow=True))
    except OSError as error:
        raise UsageError(f"baseline {shown}", (error.strerror or str(error)).lower(), hint) from error
    except ValueError as error:
        raise UsageError(f"baseline {shown}", f"it cannot be read: {printable(str(error))}", hint) from error
    try:
        if not isinstance(said, dict) or not {"schema", "model", "findings"} <= said.keys():
            raise ValueError("it is not the report of one model")
        if said["schema"] != SCHEMA:
            raise ValueError("another version of weightaudit wrote it")
        found = Counter(identity_of(finding) for finding in items(_finding)(said["findings"]))
        return Baseline(path, text(said["model"]), found)
    except ValueError as error:
        raise UsageError(f"baseline {shown}", printable(str(error)), hint) from error


def _finding(said: Any) -> Finding:
    """What `identity_of` looks at. Other fields are left alone: later versions may have more."""
    if not isinstance(said, dict):
        raise ValueError("a finding is no object")
    try:
        return Finding(
            id=text(said["id"]),
            severity="info",
            title="",
            stack=text(said["stack"]),
            layer=or_none(whole)(said["layer"]),
            expert=or_none(whole)(said["expert"]),
            role=text(said["role"]),
            tensors=tuple(items(text)(said["tensors"])),
            detail=text(said["detail"]),
        )
    except KeyError as error:
        raise ValueError(f"a finding lacks {error}") from None
