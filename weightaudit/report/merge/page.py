"""A merge check's page: one self-contained file in the look of a scan's."""

from __future__ import annotations

from typing import BinaryIO

from weightaudit.records import MergeCheckResult
from weightaudit.report.document import asset, colours, document, script_json, write_document
from weightaudit.report.html.findings import grouped
from weightaudit.report.hypertext import Html, join
from weightaudit.report.merge.body import body
from weightaudit.report.merge.payload import payload
from weightaudit.report.style import role_styles

SCRIPTS = (
    *("data.js", "text.js", "elements.js", "starting.js", "drawing.js"),
    *("effects.js", "merge.js", "in-sight.js", "start-merge.js"),
)


def write_html(result: MergeCheckResult, file: BinaryIO, *, plotly: str = "") -> None:
    """The page, UTF-8; the same bytes for the same check. ``plotly`` is the address of one that several pages share."""
    write_document(page(result, plotly=plotly), file)


def page(result: MergeCheckResult, *, plotly: str = "") -> Html:
    """The page as text."""
    groups = grouped(result)
    styles = role_styles(meeting.place.role for meeting in result.counted).values()
    return document(
        title=f"merging {' + '.join(result.names)}",
        style=join("", (colours(styles), asset("page.css"), asset("merge.css"))),
        body=body(result, groups),
        data=script_json(payload(result)),
        scripts=SCRIPTS,
        plotly=plotly,
    )
