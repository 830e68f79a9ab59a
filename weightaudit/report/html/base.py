"""The page's section on the base that the weights were compared with: a line a role."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from weightaudit.records import BaseFacts, ScanResult
from weightaudit.report.base import compared
from weightaudit.report.hypertext import NOTHING, Html, html
from weightaudit.report.markup import UNKNOWN, count, figure, interval, section, table

HEADS = ("Role", "Matrices", "Frobenius: least", "Median", "Largest", "Spectral: largest")


def base_section(report: ScanResult) -> Html:
    """The section; nothing where no base was given."""
    if report.base is None:
        return NOTHING
    roles: dict[str, list[BaseFacts]] = {}
    for row, facts in compared(report):
        roles.setdefault(f"{row.matrix.stack} {row.matrix.role}".strip(), []).append(facts)
    text = html(
        "<p>How far each matrix is from that of <b>{}</b> in the same place: the norm of the difference over that of "
        "the base's matrix, in the Frobenius and in the spectral norm, whose interval is certified. What was not "
        "compared is among the notes; the table of matrices has these numbers for each.</p>",
        report.base.name,
    )
    lines = [[role, count(len(facts)), *_line(facts)] for role, facts in roles.items()]
    return section("base", "Against its base", text, table("Against its base", HEADS, lines, numeric=range(1, 6)))


def _line(facts: Sequence[BaseFacts]) -> list[str]:
    known = [one for one in facts if not math.isnan(one.relative_frobenius)]
    if not known:
        return [UNKNOWN] * 4
    errors = [one.relative_frobenius for one in known]
    worst = max(known, key=lambda one: one.relative_spectral_upper)
    return [
        figure(min(errors), 3),
        figure(median(errors), 3),
        figure(max(errors), 3),
        interval(worst.relative_spectral, worst.relative_spectral_upper, 3),
    ]
