"""A scan's page: one self-contained file, or one that shares plotly.js with the other pages of its batch."""

from __future__ import annotations

from typing import BinaryIO

from weightaudit.records import ScanResult
from weightaudit.report.document import asset, colours, document, script_json, write_document
from weightaudit.report.html.body import body
from weightaudit.report.html.payload import payload
from weightaudit.report.hypertext import Html, join
from weightaudit.report.style import role_styles

SCRIPTS = (
    *("data.js", "text.js", "elements.js", "decoding.js", "rows.js", "derived.js", "layers.js", "addresses.js"),
    *("starting.js", "drawing.js", "marks.js", "scales.js", "cards.js", "power-law.js", "points.js", "chart-marks.js"),
    *(
        "line-chart.js",
        "heat-map.js",
        "plots.js",
        "choice.js",
        "eigenvalues.js",
        "spectra.js",
        "heads.js",
        "exporting.js",
    ),
    *("paged.js", "experts.js", "copying.js", "details.js", "saving.js", "csv.js"),
    *("filter.js", "filter-columns.js", "filtering.js"),
    *("tables.js", "coverage.js", "sections.js", "in-sight.js", "start.js"),
)


def write_html(report: ScanResult, file: BinaryIO, plotly: str = "") -> None:
    """The page, UTF-8; the same bytes for the same report."""
    write_document(page(report, plotly), file)


def page(report: ScanResult, plotly: str = "") -> Html:
    """The page as text; ``plotly`` as in `document`."""
    styles = role_styles(row.matrix.role for row in report.rows).values()
    return document(
        title=report.identity.name,
        style=join("", (colours(styles), asset("page.css"))),
        body=body(report, alone=not plotly),
        data=script_json(payload(report)),
        scripts=SCRIPTS,
        plotly=plotly,
    )
