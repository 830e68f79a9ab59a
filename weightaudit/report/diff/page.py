"""A difference's page: one self-contained file in the look of a scan's."""

from __future__ import annotations

from typing import BinaryIO

from weightaudit.records import DiffResult
from weightaudit.report.diff.body import body
from weightaudit.report.diff.kinds import kind_colours
from weightaudit.report.diff.payload import payload
from weightaudit.report.document import asset, colours, document, script_json, write_document
from weightaudit.report.html.findings import grouped
from weightaudit.report.hypertext import Html, join
from weightaudit.report.style import role_styles

SCRIPTS = (
    *("data.js", "text.js", "elements.js", "decoding.js", "rows.js", "layers.js", "starting.js", "drawing.js"),
    *(
        "choice.js",
        "changes.js",
        "paged.js",
        "addresses.js",
        "marks.js",
        "saving.js",
        "csv.js",
        "changes-table.js",
        "in-sight.js",
        "start-diff.js",
    ),
)


def write_html(result: DiffResult, file: BinaryIO) -> None:
    """The page, UTF-8; the same bytes for the same difference."""
    write_document(page(result), file)


def page(result: DiffResult) -> Html:
    """The page as text."""
    groups = grouped(result)
    styles = role_styles(change.place.role for change in result.matrices).values()
    return document(
        title=f"{result.derived.name} from {result.base.name}",
        style=join("", (colours(styles), kind_colours(), asset("page.css"), asset("diff.css"))),
        body=body(result, groups),
        data=script_json(payload(result, groups)),
        scripts=SCRIPTS,
    )
