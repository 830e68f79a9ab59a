"""The data in the page: every number once, as JSON that is safe inside a script element.

Cells are the CSV's cells, text for text, so that the page can hand out the very bytes of the CSV.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from weightaudit.records import CoverageEntry, ScanResult
from weightaudit.report.full_spectra import full_payload
from weightaudit.report.html.anchors import anchors
from weightaudit.report.html.encoding import encoded
from weightaudit.report.html.findings import findings_payload, grouped
from weightaudit.report.html.heads import heads_payload
from weightaudit.report.html.method import command_ends
from weightaudit.report.page_constants import page_constants
from weightaudit.report.reference import references
from weightaudit.report.scales import scale_of
from weightaudit.report.scan_columns import columns_of
from weightaudit.report.spectra import spectra_payload
from weightaudit.report.style import FULL_LINES, HEAT, INK, LINES, SPECTRUM_LINES, role_styles
from weightaudit.report.table_files import guarded
from weightaudit.report.tables import csv_cells

INVERSE = {
    "name": "inverse_stable_rank",
    "label": "1 / stable rank",
    "meaning": "inverse of the stable rank's upper end",
    "numeric": True,
    "whole": False,
    "rounding": "down",
}
"""What the table shows beside the columns; the script computes it."""


def payload(report: ScanResult) -> dict[str, Any]:
    """What the page's script reads; the columns of its tables are `encoded`."""
    cells, columns = list(csv_cells(report)), columns_of(report)
    names = [column.name for column in columns]
    styles = role_styles(row.matrix.role for row in report.rows)
    coverage = report.coverage_entries
    spectra = spectra_payload(report)
    full = full_payload(report)
    lines = (*LINES, *(SPECTRUM_LINES if spectra else ()), *(FULL_LINES if full else ()))
    layered = [row for row in report.rows if row.matrix.layer is not None]
    groups = grouped(report)
    before, after = command_ends(report)
    return {
        "constants": page_constants(),
        "file": _file_stem(report.identity.name) + ".csv",
        "count": len(cells),
        "columns": [
            {
                "name": column.name,
                "label": column.label,
                "meaning": column.meaning,
                "numeric": column.dtype != "string",
                "whole": column.dtype in ("Int64", "int64"),
                "rounding": column.rounding,
            }
            for column in columns
        ],
        "derived": [INVERSE],
        "cells": {name: encoded([row[i] for row in cells]) for i, name in enumerate(names)},
        "roles": [{"role": guarded(role), **dataclasses.asdict(style)} for role, style in styles.items()],
        "ink": INK,
        "lines": [{**dataclasses.asdict(figure), "scale": scale_of(layered, figure).name} for figure in lines],
        "references": [] if report.identity.adapter else list(map(dataclasses.asdict, references(report.rows))),
        "heat": [{"column": column, "label": label, "scale": scale} for column, label, scale in HEAT],
        "spectra": spectra,
        "full": full,
        **heads_payload(report),
        "hidden": report.map.dimensions.get("hidden"),
        "findings": findings_payload(groups),
        "anchors": encoded(anchors([row.matrix for row in report.rows])),
        "digests": encoded([row.digest for row in report.rows]),
        "command": {"before": before, "after": after},
        "coverageCount": len(coverage),
        "coverage": {
            "tensor": encoded([entry.tensor for entry in coverage]),
            "shape": encoded([" × ".join(map(str, entry.shape)) or "scalar" for entry in coverage]),
            "dtype": encoded([entry.dtype if entry.scheme is None else entry.scheme.name for entry in coverage]),
            "parameters": encoded([str(entry.parameters) for entry in coverage]),
            "status": encoded([entry.status for entry in coverage]),
            "roles": encoded([" ".join(entry.roles) for entry in coverage]),
            "detail": encoded([_detail(entry) for entry in coverage]),
        },
    }


def _detail(entry: CoverageEntry) -> str:
    """Why it has its status, and which stored tensors it was decoded from."""
    parts = f"stored as {', '.join(entry.parts)}" if entry.parts else ""
    return "; ".join(filter(None, (entry.detail, parts)))


def _file_stem(name: str) -> str:
    """A file name any system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:80] or "layers"
