"""index.html: models side by side, and plotly.js beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from weightaudit.report.atomic_write import Attempts, replacing
from weightaudit.report.comparison.apart import Apart
from weightaudit.report.comparison.body import FAILURES, body
from weightaudit.report.comparison.collect import gather
from weightaudit.report.document import asset, colours, document, script_json, share_plotly, write_document
from weightaudit.report.hypertext import Html, join
from weightaudit.report.layout import INDEX, PLOTLY

if TYPE_CHECKING:
    from weightaudit.report.comparison.model_entry import ModelEntry

SCRIPTS = ("data.js", "text.js", "elements.js", "drawing.js", "paged.js", "comparison.js", "overlay.js", "compare.js")


def write_index(
    entries: Iterable[ModelEntry],
    directory: Path,
    *,
    title: str,
    beside: Sequence[str] = (),
    apart: Sequence[tuple[str, Apart]] = (),
) -> None:
    """Write index.html and plotly.js into ``directory``, each whole or not at all. Raises OutputError where one cannot
    be written; the other is.

    ``entries`` are gone through once, and none is kept; ``beside`` are names of files there that the page links to.
    ``apart`` says of models, by name, how far their weights are from the first's.
    """
    whole = page(entries, title=title, beside=beside, apart=apart)
    attempts = Attempts()
    with attempts:
        share_plotly(directory)
    with attempts, replacing(directory / INDEX) as file:
        write_document(whole, file)
    attempts.conclude()


def page(
    entries: Iterable[ModelEntry],
    *,
    title: str,
    beside: Sequence[str] = (),
    apart: Sequence[tuple[str, Apart]] = (),
) -> Html:
    """The page as text."""
    found = gather(entries, FAILURES)
    data = found.page_data()
    return document(
        title=title,
        style=join("", (colours(()), asset("page.css"), asset("comparison.css"))),
        body=body(found, data, title, beside, apart),
        data=script_json(data),
        scripts=SCRIPTS,
        plotly=PLOTLY,
    )
