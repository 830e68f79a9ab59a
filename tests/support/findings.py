"""Findings and rules to show, made without a scan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support import factory
from weightaudit import ScanReport
from weightaudit.audit.rules.rule import Rule
from weightaudit.records import Finding

CHECKED = tuple(f"rule-{i}" for i in range(21))
QUERY = "bert.encoder.layer.3.attention.self.query.weight"
FINDINGS = (
    Finding(
        "nonfinite",
        "error",
        "Entries that are no numbers",
        layer=3,
        role="Q",
        tensors=(QUERY,),
        value=12.0,
        threshold=0.0,
        advice="Do not use these weights.",
        detail="12 of 589,824 entries of layer 3 Q are NaN or infinite, the first in row 5 and column 7 of the matrix "
        "as stored.",
    ),
    Finding(
        "dead-rows",
        "warning",
        "Rows that are zero",
        stack="decoder",
        layer=11,
        expert=63,
        role="M1",
        tensors=("x.weight",),
        value=float("nan"),
        detail="Row 17 and 11 others of 3,072 have norms at most 1e-06 times the root mean square of all rows', so "
        "that these units of the network can never say anything, whatever comes in, and they could as well be left "
        "out.",
    ),
    Finding("saturated", "info", "Entries at the limit"),
)


def with_findings(report: ScanReport, *findings: Finding) -> ScanReport:
    """``report`` after 21 rules were checked."""
    return replace(report, findings=findings, rules=CHECKED)


def found() -> ScanReport:
    """BERT with one finding of each severity."""
    return with_findings(factory.bert(), *FINDINGS)


def made_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two rules, `untrained` and `dead-rows`, be all there are; neither finds anything."""

    def rule(id: str, **changes: Any) -> Rule:
        known: dict[str, Any] = {
            "title": f"The rule {id}",
            "severity": "warning",
            "measures": "The relative distance of σ₁ from what random weights would have, over all matrices.",
            "source": "Roy & Vetterli 2007",
            "advice": "TerminalStyle at it.",
            "check": lambda rule, evidence: (),
        }
        return Rule(id, **known | changes)

    rules = (rule("untrained", severity="error", threshold=1e-3), rule("dead-rows"))
    for home in ("weightaudit.audit.rules", "weightaudit.audit.rules.checking"):
        monkeypatch.setattr(f"{home}.RULES", rules)
    monkeypatch.setattr("weightaudit.pairs.rules.RULES", ())
    monkeypatch.setattr("weightaudit.merging.rules.RULES", ())
