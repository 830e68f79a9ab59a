"""The rules for series, all of them: over the medians of roles, and for weights that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from weightaudit.records import Finding, SeriesRow
from weightaudit.text import listed, plural, printable
from weightaudit.training.collapse import collapse_findings
from weightaudit.training.explosion import explosion_findings
from weightaudit.training.medians import RoleMedian, medians_of

NONFINITE = "nonfinite-training"
"""The rule for a weight that has become NaN or infinite."""
MOST_NAMED = 6
"""Tensors named in a sentence; a finding has all."""

Medians = Mapping[tuple[str, str], Sequence[RoleMedian]]


def findings_of(medians: Medians, *, adapter: bool = False) -> list[tuple[int, Finding]]:
    """What the rules over medians find, with its step, in order of steps. Of the change that an ``adapter`` makes a
    small stable rank is what is wanted, and no collapse.
    """
    rules = (explosion_findings,) if adapter else (explosion_findings, collapse_findings)
    found = [one for (stack, role), known in medians.items() for rule in rules for one in rule(stack, role, known)]
    return sorted(found, key=lambda one: one[0])


def findings_at(step: int, medians: Medians, *, adapter: bool = False) -> list[Finding]:
    """What they find at this step."""
    return [found for at, found in findings_of(medians, adapter=adapter) if at == step]


def nonfinite_finding(step: int, since: int, tensors: Sequence[str]) -> Finding:
    """That ``tensors`` have entries that are NaN or infinite after ``step``, and had none after ``since``."""
    named = listed((printable(name) for name in tensors), MOST_NAMED, noun="tensors")
    had = f"; after step {since:,} none had" if step - since > 1 else ""
    return Finding(
        NONFINITE,
        "error",
        "Weights have become NaN or infinite",
        tensors=tuple(tensors),
        value=float(len(tensors)),
        advice="Nothing learnt after it is of use: go on from a checkpoint of before, with a smaller learning rate, "
        "clipped gradients or a wider precision.",
        detail=f"After step {step:,} {plural(len(tensors), 'tensor')} had NaN or infinite entries{had}: {named}.",
    )


def judged(rows: Sequence[SeriesRow], *, adapter: bool = False) -> list[tuple[int, Finding]]:
    """What all rules find in ``rows``, with its step, in order of steps; of NaN and infinite weights the first step, or
    what a log says of it.
    """
    found = findings_of(medians_of(rows), adapter=adapter)
    told = [row for row in rows if row.kind == "finding" and row.rule == NONFINITE]
    dead = sorted((row for row in rows if row.nonfinite), key=lambda row: row.step)
    if told:
        first = min(told, key=lambda row: row.step)
        finding = nonfinite_finding(first.step, first.step - 1, first.tensors)
        found.append((first.step, replace(finding, detail=first.note or finding.detail)))
    elif dead:
        step = dead[0].step
        earlier = [row.step for row in rows if row.kind == "matrix" and row.step < step]
        names = dict.fromkeys(name for row in dead if row.due == dead[0].due for name in row.tensors)
        found.append((step, nonfinite_finding(step, max(earlier, default=step - 1), tuple(names))))
    return sorted(found, key=lambda one: one[0])
