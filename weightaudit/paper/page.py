"""An experiment's page: verdicts, charts and settings in one file that needs no network (see `report.document`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, get_args

from weightaudit.paper.chart_layout import panels
from weightaudit.paper.charts import Chart
from weightaudit.paper.plots import payload
from weightaudit.paper.results import Claim, Outcome, Result
from weightaudit.report.document import asset, colours, document, script_json, write_document
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, shown
from weightaudit.report.markup import definitions, details, navigation, section, table
from weightaudit.text import plural
from weightaudit.version import __version__

SCRIPTS = ("data.js", "text.js", "elements.js", "starting.js", "drawing.js", "in-sight.js", "figures.js")
OUTCOME_CSS: dict[Outcome, str] = {"true": "fine", "false": "bad", "inconclusive": "warn"}
"""Class of the colours of an outcome."""
CLAIM_HEADS = ("Outcome", "Claim", "Why", "Judged by", "Source")


def write_page(result: Result, title: str, settings: Mapping[str, Mapping[str, Any]], file: BinaryIO) -> None:
    """The page as UTF-8; the same bytes for the same result."""
    body = (
        _header(result, title),
        html("<main>"),
        _claims(result.claims),
        _notes(result.notes),
        _charts(result.charts),
        _settings(settings),
        html("</main>"),
        html(
            "<footer>Made by weightaudit {}. This page is complete in itself and opens no connection.</footer>",
            __version__,
        ),
    )
    page = document(
        title=title,
        style=join("", (colours(()), asset("page.css"), asset("experiment.css"))),
        body=join("\n", filter(None, body)),
        data=script_json(payload(result.charts)),
        scripts=SCRIPTS,
    )
    write_document(page, file)


def number_text(value: Any) -> str:
    """A claim's number with five significant digits, a list in brackets, None as a dash."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else "—"
    if isinstance(value, list):
        return "[" + ", ".join(number_text(item) for item in value) + "]"
    return str(value)


def numbers_text(numbers: Mapping[str, Any]) -> str:
    """A claim's numbers, each after its name."""
    return "; ".join(f"{name} {number_text(value)}" for name, value in numbers.items())


def _whole(text: str) -> Html:
    # Names of models and files are a stranger's words; a claim's numbers may be many.
    return shown(text, limit=20_000)


def _header(result: Result, title: str) -> Html:
    counted = Counter(claim.outcome for claim in result.claims)
    told = ", ".join(f"{counted[outcome]} {outcome}" for outcome in get_args(Outcome) if counted[outcome])
    facts = [("Claims", f"{plural(len(result.claims), 'claim')} of the paper: {told or 'none judged'}")]
    links = [("claims", "Claims"), *[("notes", "Notes")] * bool(result.notes)]
    links += [*[("charts", "Charts")] * bool(result.charts), ("settings", "Settings")]
    return html(
        '<header><p class="eyebrow">weightaudit · the source paper’s experiments</p><h1>{}</h1>{}{}</header>',
        _whole(title),
        definitions("facts", facts),
        navigation(links),
    )


def _claims(claims: Sequence[Claim]) -> Html:
    lines = (
        # On a telephone a line is a block, and the column's name stands before each cell.
        [html('<span class="of">{}</span>{}', head, cell) for head, cell in zip(CLAIM_HEADS, cells, strict=True)]
        for cells in map(_claim_cells, claims)
    )
    return section("claims", "Claims", table("Claims", CLAIM_HEADS, lines))


def _claim_cells(claim: Claim) -> tuple[Html, ...]:
    pairs = ((_whole(name), _whole(number_text(value))) for name, value in claim.numbers.items())
    numbers = details("Numbers", definitions("numbers", pairs)) if claim.numbers else NOTHING
    return (
        html('<b class="outcome {}">{}</b>', OUTCOME_CSS[claim.outcome], claim.outcome),
        html("{}{}", _whole(claim.text), numbers),
        *map(_whole, (claim.why, claim.tolerance, claim.source)),
    )


def _notes(notes: Sequence[str]) -> Html:
    if not notes:
        return NOTHING
    return section("notes", "Notes", html("<ul>{}</ul>", each("<li>{}</li>", map(_whole, notes))))


def _charts(charts: Sequence[Chart]) -> Html:
    if not charts:
        return NOTHING
    _, columns = panels(charts)
    in_order = sorted(range(len(charts)), key=lambda i: charts[i].panel)
    noscript = html('<noscript><p class="empty">The charts need JavaScript.</p></noscript>')
    boxes = each(
        '<figure><figcaption><h3>{}</h3><p>{}</p></figcaption><div class="plot" id="plot-{}"></div></figure>',
        ((_whole(charts[i].title), _whole(charts[i].caption), i) for i in in_order),
    )
    grid = html('<div class="charts" style="--columns:{}">{}</div>', columns, boxes)
    return section("charts", "Charts", noscript, grid)


def _settings(settings: Mapping[str, Mapping[str, Any]]) -> Html:
    lines = (
        map(_whole, (name, number_text(one["value"]), one["unit"], one["origin"], one["about"]))
        for name, one in settings.items()
    )
    return section("settings", "Settings", table("Settings", ("Setting", "Value", "Unit", "Origin", "Meaning"), lines))
