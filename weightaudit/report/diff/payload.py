"""The data in a difference's page: every number once, as JSON that is safe inside a script element.

Cells are the CSV's cells, text for text, so that the page can hand out the very bytes of the CSV.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from weightaudit.records import AT_RESOLUTION, Change, DiffResult
from weightaudit.report.columns import number_text
from weightaudit.report.diff.columns import CHANGES
from weightaudit.report.diff.kinds import KINDS
from weightaudit.report.diff.tables import csv_cells
from weightaudit.report.diff.verdict import kind_words
from weightaudit.report.html.anchors import anchors
from weightaudit.report.html.encoding import encoded
from weightaudit.report.html.findings import Group, findings_payload
from weightaudit.report.page_constants import page_constants
from weightaudit.report.style import INK, role_styles
from weightaudit.report.table_files import guarded
from weightaudit.text import slug

DIGITS = 4
"""Significant digits of the singular values in the page."""
VALUES = 64
"""Singular values of a matrix in the page."""
STEPS = 16
"""Steps of the estimate of all singular values of a matrix in the page."""


def payload(result: DiffResult, groups: list[Group]) -> dict[str, Any]:
    """What the page's script reads; the columns of its tables are `encoded`."""
    cells = list(csv_cells(result))
    styles = role_styles(change.place.role for change in result.matrices)
    return {
        "constants": page_constants(),
        "file": f"{slug(result.derived.name, longest=80) or 'changes'}-diff.csv",
        "count": len(cells),
        "columns": [
            {
                "name": column.name,
                "label": column.label,
                "meaning": column.meaning,
                "numeric": column.dtype not in ("string", "boolean"),
                "whole": column.dtype == "Int64",
                "rounding": column.rounding,
            }
            for column in CHANGES
        ],
        "derived": [],
        "cells": {column.name: encoded([row[i] for row in cells]) for i, column in enumerate(CHANGES)},
        "roles": [{"role": guarded(role), **dataclasses.asdict(style)} for role, style in styles.items()],
        "kinds": [{"kind": kind, **dataclasses.asdict(style)} for kind, style in KINDS.items()],
        "did": encoded([kind_words(change) for change in result.changes]),
        "ink": INK,
        "floor": AT_RESOLUTION,
        "spectra": [_spectrum(change) for change in result.changes],
        "findings": findings_payload(groups),
        "anchors": encoded(anchors(result.changes)),
    }


def _spectrum(change: Change) -> list[Any] | None:
    """The leading singular values of Δ, then the edge of rounding and that of white noise as large as Δ, and all
    singular values as they are estimated, each with how many are no smaller; None where none are known.
    """
    if change.ranks is None or not change.ranks.singular_values:
        return None
    noise = change.ranks.flatness * change.ranks.singular_values[0]
    return [
        [_rounded(value) for value in change.ranks.singular_values[:VALUES]],
        _rounded(change.ranks.edge),
        _rounded(noise),
        _all_values(change),
    ]


def _all_values(change: Change) -> list[list[float | None]]:
    """(how many are no smaller, singular value) for `STEPS` of them at most, the largest first."""
    detail = change.spectrum.detail if change.spectrum is not None else None
    if detail is None:
        return []
    count, number = min(*change.shape, *change.shape_base), 0.0
    known: list[list[float | None]] = []
    for value, share in reversed(detail.density):
        number += share * count
        if value > 0.0:
            known.append([_rounded(number), _rounded(value)])
    last = max(1, min(STEPS, len(known)) - 1)
    return [known[step * (len(known) - 1) // last] for step in range(last + 1)] if known else []


def _rounded(value: float) -> float | None:
    return float(number_text(value, digits=DIGITS)) if math.isfinite(value) else None
