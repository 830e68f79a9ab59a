"""A batch of pairs on one page: a matrix of disturbance, who suffers by whom; and as a table of all sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol

from weightaudit.report.columns import number_text
from weightaudit.report.document import asset, colours, plain_document, write_document
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, link, shown
from weightaudit.report.layout import PAGE
from weightaudit.report.markup import UNKNOWN, section, table
from weightaudit.report.merge.columns import DOUBTFUL
from weightaudit.report.merge.sides import NUMBERS, Side
from weightaudit.report.merge.trust import TRUST
from weightaudit.report.merge.words import figure
from weightaudit.report.table_files import guarded, write_lines
from weightaudit.text import plural

WORST = 20
"""Sides in the list of those that suffer most."""
SHADES = 10
"""Steps of the colours, from D = 0 to 1 and above."""


class Pair(Protocol):
    """What became of a pair of models."""

    @property
    def titles(self) -> tuple[str, str]: ...
    @property
    def folder(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def sides(self) -> tuple[Side, ...]: ...
    @property
    def suggested(self) -> tuple[float, ...]: ...
    @property
    def verdict(self) -> str: ...


def write_pairs(pairs: Sequence[Pair], called: Sequence[str], base: str | None, title: str, file: BinaryIO) -> None:
    """UTF-8 CSV, one row a model and other; pairs that failed have a reason and no numbers."""
    write_lines([["victim", "other", *NUMBERS, "suggested_weight", "verdict", "reason"]], file)
    write_lines(_lines(pairs), file)


def _lines(pairs: Sequence[Pair]) -> Iterator[list[str]]:
    for pair in pairs:
        names = [guarded(name) for name in pair.titles]
        if not pair.sides:
            yield [*names, *("" for _ in NUMBERS), "", "", guarded(pair.reason)]
        for i, side in enumerate(pair.sides):
            numbers = (getattr(side, name) for name in NUMBERS)
            weight = number_text(pair.suggested[i]) if pair.suggested else ""
            told = ("" if value is None else number_text(value) for value in numbers)
            yield [guarded(side.victim), guarded(side.other), *told, weight, pair.verdict, ""]


def write_matrix(pairs: Sequence[Pair], called: Sequence[str], base: str | None, title: str, file: BinaryIO) -> None:
    """The page, UTF-8."""
    write_document(
        plain_document(
            title=f"merging {title}",
            style=join("", (colours(()), asset("page.css"), asset("merge.css"))),
            body=_body(pairs, called, base, title),
        ),
        file,
    )


def _body(pairs: Sequence[Pair], called: Sequence[str], base: str | None, title: str) -> Html:
    sides = {(side.victim, side.other): (side, pair) for pair in pairs for side in pair.sides}
    on = html(" on <code>{}</code>", base) if base is not None else html(", their weights as they are")
    return join(
        "\n",
        (
            html(
                '<header><p class="eyebrow">weightaudit · which of these can be added?</p><h1>{}</h1><p>{} of {}{}.</p>'
                '<div class="trust" role="note"><b>What this is worth</b>{}</div></header><main>',
                title,
                plural(len(pairs), "pair"),
                plural(len(called), "model"),
                on,
                shown(TRUST, 2000),
            ),
            _matrix(called, sides),
            _worst(sides),
            _failed(pairs),
            html("</main><footer>Made by weightaudit. Every number is in pairs.csv.</footer>"),
        ),
    )


def _matrix(called: Sequence[str], sides: Mapping[tuple[str, str], tuple[Side, Pair]]) -> Html:
    heads = each('<th scope="col"><span>{}</span></th>', called)
    lines = []
    for victim in called:
        cells = (_cell(sides.get((victim, other)), same=victim == other) for other in called)
        lines.append(html('<tr><th scope="row">{}</th>{}</tr>', victim, join("", cells)))
    return section(
        "matrix",
        "Disturbance D: who suffers by whom",
        html(
            "<p>Each row is a model that suffers, each column the one that is added to it, both at weight 1. Dark is "
            "much. Rows are to be compared with rows of models made alike, and no number says safe.</p>"
            '<div class="scroll" tabindex="0" role="group" aria-label="Disturbance"><table class="matrix"><thead><tr>'
            "<td></td>{}</tr></thead><tbody>{}</tbody></table></div>",
            heads,
            join("", lines),
        ),
    )


def _cell(found: tuple[Side, Pair] | None, *, same: bool) -> Html:
    if same:
        return html('<td class="diagonal"></td>')
    if found is None or found[0].disturbance is None:
        return html('<td class="n">{}</td>', UNKNOWN)
    side, pair = found
    shade = min(SHADES, int(SHADES * found[0].disturbance))
    return html('<td class="n d-{}">{}</td>', shade, link(f"{pair.folder}/{PAGE}", figure(side.disturbance or 0.0)))


def _worst(sides: Mapping[tuple[str, str], tuple[Side, Pair]]) -> Html:
    known = sorted(
        (one for one in sides.values() if one[0].disturbance is not None), key=lambda one: -(one[0].disturbance or 0.0)
    )
    lines = [
        [
            link(f"{pair.folder}/{PAGE}", side.victim),
            side.other,
            *(figure(value) if value is not None else UNKNOWN for value in _numbers(side)),
        ]
        for side, pair in known[:WORST]
    ]
    heads = ["Suffers", "By", "D", "Retention ρ", "Contamination κ", "Lift", "Cosine", "Sign conflict", "Size ratio"]
    said = html("<p><em>{}</em></p>", DOUBTFUL)
    inner = table("Most disturbed", heads, lines, numeric=tuple(range(2, len(heads))))
    return section("worst", "Most disturbed", said, inner) if lines else NOTHING


def _numbers(side: Side) -> tuple[float | None, ...]:
    return (
        *(side.disturbance, side.retention, side.contamination, side.lift),
        *(side.cosine, side.sign_conflict, side.size_ratio),
    )


def _failed(pairs: Sequence[Pair]) -> Html:
    lines = [[" + ".join(pair.titles), shown(pair.reason, 1000)] for pair in pairs if pair.reason]
    return section("failed", "Could not be checked", table("Failed", ["Pair", "Why"], lines)) if lines else NOTHING
