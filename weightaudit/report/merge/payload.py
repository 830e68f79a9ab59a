"""The data in a merge check's page: inner products of every matrix, of which every number follows for any weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from weightaudit.records import Meeting, MergeCheckResult
from weightaudit.report.columns import number_text
from weightaudit.report.page_constants import page_constants
from weightaudit.report.style import INK, role_styles

DIGITS = 6
"""Significant digits of an inner product in the page."""
MOST_NUMBERS = 600_000
"""Inner products in a page: of more matrices some, evenly spaced, stand for all."""


def payload(result: MergeCheckResult) -> dict[str, Any]:
    """What the page's script reads."""
    styles = role_styles(meeting.place.role for meeting in result.counted)
    return {
        "constants": page_constants(),
        "ink": INK,
        "models": list(result.names),
        "weights": list(result.weights),
        "suggested": list(result.summary.suggested),
        "roles": [{"role": role, **dataclasses.asdict(style)} for role, style in styles.items()],
        "meetings": [_meeting(meeting) for meeting in shown_meetings(result)],
    }


def shown_meetings(result: MergeCheckResult) -> list[Meeting]:
    """The matrices that count and are in the page: all, or some of very many."""
    counted = list(result.counted)
    each = sum(len(one) ** 2 for one in (result.models,)) * (len(result.weights) + 1)
    step = max(1, -(-len(counted) * each // MOST_NUMBERS))
    return counted[::step]


def _meeting(meeting: Meeting) -> dict[str, Any]:
    one = meeting.interactions
    return {
        "place": dataclasses.asdict(meeting.place),
        "cols": one.cols,
        "inner": [_rounded(row) for row in one.inner],
        "on_inputs": [[_rounded(row) for row in square] for square in one.on_inputs],
        "participation": _rounded(one.participation),
        "errors": _rounded(one.errors),
    }


def _rounded(values: Iterable[float]) -> list[float | None]:
    return [float(number_text(value, digits=DIGITS)) if math.isfinite(value) else None for value in values]
