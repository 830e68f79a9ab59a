"""What the comparison page says, but for its table and its plot, which the script draws."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from weightaudit.report.comparison.collect import Gathered
from weightaudit.report.comparison.profile_store import MOST_POINTS
from weightaudit.report.markup import count, figure, magnitude, section, share, shown
from weightaudit.report.page_constants import TABLE_LINES
from weightaudit.text import plural
from weightaudit.version import __version__

FAILURES = 200
"""Failures in the banner: the first few open, the others folded; the table has all."""
OPEN = 5


def body(found: Gathered, data: dict[str, Any], title: str, beside: Sequence[str]) -> str:
    """Everything between the page's body tags; ``beside`` are files that lie beside the page."""
    profiles = _profiles(data["profiles"])
    parts = (
        _header(found, title, beside, bool(profiles)),
        "<main>",
        _failures(found),
        _summary(found),
        section(
            "models",
            "Models",
            f'<div id="table" style="--lines:{min(found.models, TABLE_LINES)}">'
            "<noscript>This table needs JavaScript.</noscript></div>",
        ),
        profiles,
        _reading(found),
        "</main>",
        f"<footer>Made by weightaudit {shown(__version__)}. This page draws with the plotly.js beside it "
        "and opens no connection.</footer>",
    )
    return "\n".join(part for part in parts if part)


def _header(found: Gathered, title: str, beside: Sequence[str], profiles: bool) -> str:
    done = found.models - found.failed
    families = sorted({family for family in found.columns["family"] if family})
    facts = [
        ("Models", plural(found.models, "model") + (f", {count(done)} finished" if found.failed else "")),
        ("Families", ", ".join(map(shown, families[:12])) + (f" and {len(families) - 12} more" * (len(families) > 12))),
        ("Files", ", ".join(f'<a href="./{shown(name)}">{shown(name)}</a>' for name in beside)),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts if fact)
    links = [("summary", "Summary"), ("models", "Models")]
    if found.failed:
        links.insert(0, ("failures", "Failures"))
    links += [("profiles", "Over depth")] * profiles + [("reading", "How to read it")]
    nav = "".join(f'<a href="#{target}">{label}</a>' for target, label in links)
    return (
        f'<header><p class="eyebrow">weightaudit · models side by side</p><h1>{shown(title)}</h1>'
        f'<dl class="facts">{listed}</dl><nav aria-label="Sections">{nav}</nav></header>'
    )


def _failures(found: Gathered) -> str:
    if not found.failed:
        return ""
    items = [
        f"<li><strong>{shown(name)}</strong> {shown(reason, 1000)}"
        + (f' <a href="{shown(log, 4000)}">log</a>' if log else "")
        + "</li>"
        for name, reason, log in found.failures
    ]
    first, rest = "".join(items[:OPEN]), "".join(items[OPEN:])
    more = f"<details><summary>{len(items) - OPEN} more</summary><ul>{rest}</ul></details>" if rest else ""
    beyond = found.failed - len(items)
    if beyond > 0:
        more += f"<p>The table has the other {count(beyond)}.</p>"
    return (
        f'<aside class="banner bad" id="failures"><h2>{count(found.failed)} of {plural(found.models, "model")} failed'
        f"</h2><ul>{first}</ul>{more}</aside>"
    )


def _summary(found: Gathered) -> str:
    done = found.models - found.failed
    errors, warnings = (sum(row[i] for row in found.columns["findings"]) for i in (0, 1))
    touched = sum(any(row[:2]) for row in found.columns["findings"])
    named = zip(found.columns["stable_rank"], found.columns["name"], strict=True)
    ranks = sorted((rank, name) for rank, name in named if rank)
    spread = found.known("norm_preservation_median")
    nonfinite = sum(1 for value in found.known("nonfinite") if value)
    analysed, parameters = sum(found.known("parameters_analysed")), sum(found.known("parameters"))
    guessed = sum(found.columns["guessed"])
    cards = [
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
            f"median of the models; from {figure(ranks[0][0], 3)} ({shown(ranks[0][1], 60)}) to "
            f"{figure(ranks[-1][0], 3)} ({shown(ranks[-1][1], 60)})"
            if ranks
            else "no model has one",
            False,
        ),
        (
            "Norm preservation",
            figure(median(spread) if spread else None, 3),
            "largest over smallest Frobenius norm of QKV, M1 and M2 in a layer: the median model's median layer; "
            "1 is equal",
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
    items = "".join(
        f'<div class="card{" alarm" if alarm else ""}"><dt>{name}</dt><dd><b>{value}</b><span>{text}</span></dd></div>'
        for name, value, text, alarm in cards
    )
    return section("summary", "Summary", f'<dl class="cards">{items}</dl>')


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


def _profiles(profiles: dict[str, Any]) -> str:
    if not profiles["roles"]:
        return ""
    left_out = []
    if profiles["thinned"]:
        left_out.append(f"Of deeper models {profiles['points']} layers of each role are drawn, evenly chosen.")
    if profiles["without"]:
        left_out.append(f"The last {plural(profiles['without'], 'model')} had no room here.")
    if profiles["rolesLeftOut"]:
        left_out.append(f"{plural(profiles['rolesLeftOut'], 'rarer role')} had no room here.")
    notes = f"<p>{' '.join(left_out)} The reports have everything.</p>" if left_out else ""
    return section(
        "profiles",
        "Over depth",
        '<figure><figcaption><h3 id="overlay-title"></h3><p>One line a model, from its first layer to its last; a '
        "layer's experts by their median. Drawn are the models that the table above shows, in its order: filter or "
        f"sort it to choose others. Point at a model to bring it forward, press it to keep it.</p>{notes}"
        '<div class="choices"><div class="choice" id="overlay-metric" role="group" aria-label="Number"></div>'
        '<div class="choice" id="overlay-role" role="group" aria-label="Role"></div></div></figcaption>'
        '<div class="overlay"><div><div id="overlay" class="plot"></div>'
        '<div id="overlay-families" class="families" role="group" aria-label="Families"></div></div>'
        '<div class="side"><p id="overlay-status" role="status"></p><ul id="overlay-models" aria-label="Models drawn">'
        "</ul></div></div></figure>",
    )


def _reading(found: Gathered) -> str:
    definitions = "".join(
        f"<div><dt>{shown(column.title)}</dt><dd>{shown(column.meaning)}</dd></div>" for column in found.shown()
    )
    return section(
        "reading",
        "How to read it",
        "<p>Every number of a model comes from its own report, which says how it was computed and within which "
        "interval. Stable ranks here are upper ends. A harmonic mean is 1 over the mean of 1/stable rank; no weight "
        "counts twice in it.</p>",
        "<p>Depth is 0 at the first layer of a stack and 1 at its last, so that models of any number of layers lie "
        f"over each other. A profile keeps at most {MOST_POINTS} layers, numbers with 4 digits.</p>",
        f'<details><summary>What every column means</summary><dl class="facts">{definitions}</dl></details>'
        if definitions
        else "",
    )
