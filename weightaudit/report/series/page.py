"""index.html of a series: one page without a script, and its table beside it."""

from __future__ import annotations

from pathlib import Path

from weightaudit.records import Series
from weightaudit.report.atomic_write import Attempts, attempting, replacing
from weightaudit.report.document import asset, colours, plain_document, write_document
from weightaudit.report.hypertext import Html, join
from weightaudit.report.layout import INDEX, SERIES_CSV
from weightaudit.report.series.body import body
from weightaudit.report.series.tables import write_series
from weightaudit.report.style import role_styles


def write_over_steps(series: Series, directory: Path, attempts: Attempts | None = None) -> None:
    """Write index.html and series.csv into ``directory``, each whole or not at all. Raises OutputError where one cannot
    be written; the other is. ``attempts`` that the caller gives keep that error instead.
    """
    with attempting(attempts) as writing:
        with writing, replacing(directory / SERIES_CSV) as file:
            write_series(series, file)
        with writing, replacing(directory / INDEX) as file:
            write_document(page(series), file)


def page(series: Series) -> Html:
    """The page as text; the series has one measurement at least."""
    styles = role_styles(row.place.role for row in series.matrices)
    return plain_document(
        title=f"{series.name} over steps",
        style=join("", (colours(styles.values()), asset("page.css"), asset("series.css"))),
        body=body(series, (SERIES_CSV,)),
    )
