"""What the comparison page says, but for its table and its plot, which the script draws."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from weightaudit.report.comparison.apart import Apart
from weightaudit.report.comparison.collect import Gathered
from weightaudit.report.comparison.profile_store import MOST_POINTS
from weightaudit.report.hypertext import NOTHING, Html, html, join, link, shown
from weightaudit.report.markup import cards, count, definitions, details, figure, magnitude, navigation, section, share
from weightaudit.report.page_constants import TABLE_LINES
from weightaudit.text import plural
from weightaudit.version import __version__

FAILURES = 200
"""Failures in the banner: the first few open, the others folded; the table has all."""
OPEN = 5
FAMILIES = 12
"""Families named in the header."""


def body(
    found: Gathered,
    data: dict[str, Any],
    title: str,
    beside: Sequence[str],
    apart: Sequence[tuple[str, Apart]] = (),
) -> Html:
    """Everything between the page's body tags; ``beside`` are files that lie beside the page, ``apart`` says of models
    how far their weights are from the first's.
    """
    profiles = _profiles(data["profiles"])
    parts = (
        _header(found, title, beside, apart=bool(apart), profiles=bool(profiles)),
        html("<main>"),
        _failures(found),
        _summary(found),
        _apart(apart),
        section(
            "models",
            "Models",
            html(
                '<div id="table" style="--lines:{}"><noscript>This table needs JavaScript.</noscript></div>',
                min(found.models, TABLE_LINES),
            ),
        ),
        profiles,
        _reading(found),
        html("</main>"),
        html(
            "<footer>Made by weightaudit {}. This page draws with the plotly.js beside it and opens no "
            "connection.</footer>",
            __version__,
        ),
    )
    return join("\n", filter(None, parts))


def _header(found: Gathered, title: str, beside: Sequence[str], *, apart: bool, profiles: bool) -> Html:
    done = found.models - found.failed
    facts: list[tuple[str, str]] = [
        ("Models", plural(found.models, "model") + (f", {count(done)} finished" if found.failed else "")),
        ("Families", _families(found)),
        ("Files", join(", ", (link(name, name) for name in beside))),
    ]
    links = [("summary", "Summary"), *[("weights", "Weights")] * apart, ("models", "Models")]
    if found.failed:
        links.insert(0, ("failures", "Failures"))
    links += [("profiles", "Over depth")] * profiles + [("reading", "How to read it")]
    return html(
        '<header><p class="eyebrow">weightaudit · models side by side</p><h1>{}</h1>{}{}</header>',
        title,
        definitions("facts", ((name, fact) for name, fact in facts if fact)),
        navigation(links),
    )


def _families(found: Gathered) -> Html:
    """The first few, and how many more there are."""
    families = sorted({family for family in found.columns["family"] if family})
    further = len(families) - FAMILIES
    return html("{}{}", join(", ", map(shown, families[:FAMILIES])), f" and {further} more" if further > 0 else "")


def _failures(found: Gathered) -> Html:
    if not found.failed:
        return NOTHING
    items = [
        html(
            "<li><strong>{}</strong> {}{}</li>",
            name,
            shown(reason, 1000),
            html(" {}", link(log, "log")) if log else NOTHING,
        )
        for name, reason, log in found.failures
    ]
    first, rest = items[:OPEN], items[OPEN:]
    beyond = found.failed - len(items)
    return html(
        '<aside class="banner bad" id="failures"><h2>{} of {} failed</h2><ul>{}</ul>{}{}</aside>',
        count(found.failed),
        plural(found.models, "model"),
        join("", first),
        details(f"{len(rest)} more", html("<ul>{}</ul>", join("", rest))) if rest else NOTHING,
        html("<p>The table has the other {}.</p>", count(beyond)) if beyond > 0 else NOTHING,
    )


def _summary(found: Gathered) -> Html:
    done = found.models - found.failed
    errors, warnings = (sum(row[i] for row in found.columns["findings"]) for i in (0, 1))
    touched = sum(any(row[:2]) for row in found.columns["findings"])
    named = zip(found.columns["stable_rank"], found.columns["name"], strict=True)
    ranks = sorted((rank, name) for rank, name in named if rank)
    spread = found.known("norm_preservation_median")
    nonfinite = sum(1 for value in found.known("nonfinite") if value)
    analysed, parameters = sum(found.known("parameters_analysed")), sum(found.known("parameters"))
    guessed = sum(found.columns["guessed"])
    numbers = [
        (
            "Parameters analysed",
            magnitude(analysed),
            f"{share(analysed / parameters if parameters else None)} of {magnitude(parameters)} in "
            f"{plural(done, 'model')}"
            + (f", {plural(guessed, 'of them', 'of them')} with guessed roles" * bool(guessed)),
            False,
        ),
        (
            "Stable rank",
            figure(median(rank for rank, _ in ranks) if ranks else None, 4),
            html("median of the models; from {} to {}", _ranked(*ranks[0]), _ranked(*ranks[-1]))
            if ranks
            else "no model has one",
            False,
        ),
        (
            "Norm preservation",
            figure(median(spread) if spread else None, 3),
            html(
                "largest over smallest Frobenius norm of QKV, M1 and M2 in a layer: the median model's median layer; "
                "1 is equal"
            ),
            False,
        ),
        (
            "Findings",
            count(errors + warnings),
            _findings(found, errors, warnings, touched),
            errors > 0,
        ),
        (
            "NaN or infinite entries",
            plural(nonfinite, "model"),
            "have any; the norms of such a matrix are unknown",
            nonfinite > 0,
        ),
        (
            "Intervals wider than asked for",
            count(sum(found.known("not_converged"))),
            f"of {plural(sum(found.known('matrices')), 'matrix', 'matrices')}; their bounds hold as well",
            False,
        ),
    ]
    return section("summary", "Summary", cards(numbers))


def _apart(apart: Sequence[tuple[str, Apart]]) -> Html:
    """Whether the models have the first's weights, and how far they are apart where they have not."""
    if not apart:
        return NOTHING
    told = definitions("facts", ((name, f"{known.words}.") for name, known in apart))
    return section("weights", "Weights beside the first model's", told)


def _ranked(rank: float, name: str) -> Html:
    """A stable rank, and whose it is."""
    return html("{} ({})", figure(rank, 3), shown(name, 60))


def _findings(found: Gathered, errors: int, warnings: int, touched: int) -> str:
    """What was found, and in how many models nobody looked."""
    checked = sum(found.columns["checked"])
    if touched:
        said = f"{plural(errors, 'error')} and {plural(warnings, 'warning')}, in {plural(touched, 'model')}"
    elif checked:
        said = f"no error and no warning in the {plural(checked, 'model')} whose rules were checked"
    else:
        return "no rules were checked, so that is no clean bill of health"
    unchecked = found.models - found.failed - checked
    return said + (f"; of {plural(unchecked, 'model')} no rules were checked" if unchecked else "")


def _profiles(profiles: dict[str, Any]) -> Html:
    if not profiles["roles"]:
        return NOTHING
    left_out = []
    if profiles["thinned"]:
        left_out.append(f"Of deeper models {profiles['points']} layers of each role are drawn, evenly chosen.")
    if profiles["without"]:
        left_out.append(f"The last {plural(profiles['without'], 'model')} had no room here.")
    if profiles["rolesLeftOut"]:
        left_out.append(f"{plural(profiles['rolesLeftOut'], 'rarer role')} had no room here.")
    overlay = html(
        '<figure><figcaption><h3 id="overlay-title"></h3><p>One line a model, from its first layer to its last; a '
        "layer's experts by their median. Drawn are the models that the table above shows, in its order: filter or "
        "sort it to choose others. Point at a model to bring it forward, press it to keep it.</p>{}"
        '<div class="choices"><div class="choice" id="overlay-metric" role="group" aria-label="Number"></div>'
        '<div class="choice" id="overlay-role" role="group" aria-label="Role"></div></div></figcaption>'
        '<div class="overlay"><div><div id="overlay" class="plot"></div>'
        '<div id="overlay-families" class="families" role="group" aria-label="Families"></div></div>'
        '<div class="side"><p id="overlay-status" role="status"></p><ul id="overlay-models" aria-label="Models drawn">'
        "</ul></div></div></figure>",
        html("<p>{} The reports have everything.</p>", " ".join(left_out)) if left_out else NOTHING,
    )
    return section("profiles", "Over depth", overlay)


def _reading(found: Gathered) -> Html:
    columns = found.shown()
    return section(
        "reading",
        "How to read it",
        html(
            "<p>Every number of a model comes from its own report, which says how it was computed and within which "
            "interval. Stable ranks here are upper ends. A harmonic mean is 1 over the mean of 1/stable rank; no "
            "weight counts twice in it.</p>"
        ),
        html(
            "<p>Depth is 0 at the first layer of a stack and 1 at its last, so that models of any number of layers lie "
            "over each other. A profile keeps at most {} layers, numbers with 4 digits.</p>",
            MOST_POINTS,
        ),
        details("What every column means", definitions("facts", ((c.title, c.meaning) for c in columns)))
        if columns
        else NOTHING,
    )
