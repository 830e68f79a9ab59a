"""What a difference's page says, from the verdict down to the method; the script draws plots and the long table."""

from __future__ import annotations

from weightaudit.records import DiffResult
from weightaudit.report.diff.composition import PARTS, Composition, Part, composition
from weightaudit.report.diff.kinds import KINDS, kind_chip
from weightaudit.report.diff.method import method_section
from weightaudit.report.diff.verdict import (
    RoleChanges,
    by_kind,
    by_role,
    change_name,
    group_words,
    headline,
    kind_words,
    largest,
    one_sided_name,
    relative_words,
    story,
    verdict_line,
)
from weightaudit.report.html.anchors import anchors
from weightaudit.report.html.findings import Group, findings_section
from weightaudit.report.html.verdict import verdict_block
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, link, shown
from weightaudit.report.markup import (
    UNKNOWN,
    cards,
    count,
    definitions,
    details,
    figure,
    model_line,
    navigation,
    plot_hosts,
    section,
    share,
    table,
)
from weightaudit.report.page_constants import BETWEEN
from weightaudit.report.style import heat_height, role_styles
from weightaudit.text import plural

MOST_MOVED = 20
"""Changes in the list of the largest."""
MOST_ALONE = 200
"""Matrices and vectors of one side that are listed."""
HEATS = ("Relative size", "Above rounding", "Kind")
"""What the colours of the heat map can show."""


def body(result: DiffResult, groups: list[Group]) -> Html:
    """Everything between the page's body tags."""
    parts = (
        _header(result, groups),
        html("<main>"),
        _summary(result),
        findings_section(result, groups),
        _made_of(result),
        _plots(result),
        _roles(result),
        _largest(result),
        _spectra(result),
        _table(result),
        _alone(result),
        method_section(result),
        html("</main>"),
        html(
            "<footer>Made by weightaudit {}. This page is complete in itself and opens no connection.</footer>",
            result.versions.get("weightaudit", ""),
        ),
    )
    return join("\n", filter(None, parts))


def _header(result: DiffResult, groups: list[Group]) -> Html:
    """Both names, the verdict in a sentence, which files were read and the way to the sections."""
    facts = [
        ("Base", model_line(result.base)),
        ("Derived", model_line(result.derived)),
        ("Parents", join("<br>", map(model_line, result.parents))),
        ("Family", html("{}", result.family)),
        ("Compared", html("{}", _compared(result))),
    ]
    links = [("summary", "Summary"), ("made-of", "What it is made of"), ("plots", "By layer"), ("roles", "By role")]
    links += [("largest", "What moved most"), ("spectra", "Spectra"), ("table", "Every row"), ("alone", "On one side")]
    there = {
        "made-of": bool(_composition(result).matrices),
        "plots": any(change.place.layer is not None for change in result.matrices),
        "largest": bool(largest(result)),
        "spectra": _has_spectra(result),
        "alone": bool(result.one_sided),
    }
    links = [link for link in links if there.get(link[0], True)] + [("method", "How it was computed")]
    if groups:
        links.insert(1, ("findings", "Findings"))
    said = each("<p>{}</p>", (shown(text, 1000) for text in (*story(result), verdict_line(result))))
    return html(
        '<header><p class="eyebrow">weightaudit · what one model changed of another</p>'
        "<h1>{} <small>from {}</small></h1>{}{}{}</header>",
        result.derived.name,
        result.base.name,
        verdict_block(result.verdict, headline(result), groups, said, result.rules),
        definitions("facts", ((name, fact) for name, fact in facts if fact)),
        navigation(links),
    )


def _compared(result: DiffResult) -> str:
    words = f"{plural(len(result.matrices), 'matrix', 'matrices')} and {plural(len(result.vectors), 'vector')}"
    return f"{words}; part of the models only: {', '.join(result.partial)}" if result.partial else words


def _summary(result: DiffResult) -> Html:
    summary = result.summary
    done = [change for change in result.matrices if change.kind != "unchanged"]
    moved = [change for change in result.vectors if change.kind != "unchanged"]
    most = by_kind(done)[0] if done else []
    floors = sum(change.kind == "at the resolution" for change in done)
    numbers = [
        (
            "Matrices changed",
            f"{count(len(done))} of {count(len(result.matrices))}",
            f"{count(len(result.matrices) - len(done))} are equal, entry for entry",
            False,
        ),
        (
            "Most of them",
            group_words(most) if most else "none",
            f"{plural(len(most), 'matrix', 'matrices')}: {KINDS[most[0].kind].meaning}" if most else "nothing changed",
            False,
        ),
        (
            "Relative size",
            relative_words(summary.relative),
            html("‖Δ‖ over ‖W₀‖, all matrices together; at most {} in one", relative_words(summary.largest)),
            False,
        ),
        (
            "Vectors changed",
            f"{count(len(moved))} of {count(len(result.vectors))}",
            "norms, biases and whatever else is no matrix",
            False,
        ),
        (
            "At the resolution",
            count(floors),
            "changed matrices that differ by no more than rounding makes",
            bool(done) and 5 * floors >= len(done),
        ),
        (
            "On one side only",
            count(len(result.one_sided)),
            "matrices and vectors that the other model does not have",
            False,
        ),
    ]
    if summary.decay is not None:
        why = ", as weight decay leaves it" if summary.decay > 0 else ": below 0 the matrices have grown"
        numbers.append(("Common shrink", figure(summary.decay, 3), f"c of W₁ ≈ (1 − c)·W₀{why}", False))
    return section("summary", "Summary", cards(numbers))


def _composition(result: DiffResult) -> Composition:
    return composition(result.matrices, result.summary.decay)


def _made_of(result: DiffResult) -> Html:
    """The bar of the whole, and one for every role."""
    whole = _composition(result)
    if not whole.matrices:
        return NOTHING
    decay = result.summary.decay
    roles = [(role, composition(role.changes, decay)) for role in by_role(result) if role.role]
    lines = [
        [_role_chip(result, role), _bar(made), *(_part(made, part) for part in PARTS)]
        for role, made in roles
        if made.matrices
    ]
    legend = each(
        '<li><i class="key m-{}"></i><b>{}</b> {} <small>{}</small></li>',
        ((part, name, _part(whole, part), meaning) for part, (name, meaning) in PARTS.items()),
    )
    left = (
        f" {plural(whole.left_out, 'matrix', 'matrices')} that stand elsewhere in the base, or nowhere, are left out."
    )
    return section(
        "made-of",
        "What the update is made of",
        html(
            "<p>The squared size of the change, ‖Δ‖², of {} together, in parts that add up to it.{}</p>",
            plural(whole.matrices, "matrix", "matrices"),
            left if whole.left_out else "",
        ),
        _bar(whole),
        html('<ul class="legend">{}</ul>', legend),
        table(
            "What the update is made of, by role",
            ["Role", "In parts", *(name for name, _ in PARTS.values())],
            lines,
            numeric=(2, 3, 4, 5),
        ),
    )


def _bar(made: Composition) -> Html:
    total = made.total or 1.0
    parts = each(
        '<i class="m-{}" style="flex-grow:{:.6f}"></i>',
        ((part, value / total) for part, value in made.parts.items() if value > 0),
    )
    return html('<div class="bar" aria-hidden="true">{}</div>', parts)


def _part(made: Composition, part: Part) -> str:
    if not made.total:
        return UNKNOWN
    value = made.parts[part] / made.total
    return share(value)


def _plots(result: DiffResult) -> Html:
    layered = [change for change in result.matrices if change.place.layer is not None]
    if not layered:
        return NOTHING
    stacks = list(dict.fromkeys(change.place.stack for change in layered))
    heights = [heat_height(len({c.place.role for c in layered if c.place.stack == stack})) for stack in stacks]
    buttons = each(
        '<button type="button" aria-pressed="{}">{}</button>',
        (("false" if i else "true", label) for i, label in enumerate(HEATS)),
    )
    present = [kind for kind in KINDS if any(change.kind == kind for change in layered)]
    legend = each(
        "<li>{} <code>{}</code> <small>{}</small></li>",
        ((kind_chip(kind), KINDS[kind].mark, KINDS[kind].meaning) for kind in present),
    )
    return section(
        "plots",
        "By layer",
        html('<noscript><p class="empty">The plots need JavaScript.</p></noscript>'),
        html(
            "<figure><figcaption><h3>What changed where</h3><p>Every matrix as one cell, a layer's experts by their "
            "median; hover for the numbers. Sizes are relative to the base's matrix, on a logarithmic scale. A cell in "
            "a dotted frame is at or below what rounding makes; a grey one is unchanged, or has no finite size.</p>"
            '<div id="heat-choice" class="choice" role="group" aria-label="What the colours show">{}</div></figcaption>'
            '{}<ul class="legend">{}</ul></figure>',
            buttons,
            plot_hosts("heat", heights),
            legend,
        ),
    )


def _roles(result: DiffResult) -> Html:
    roles = by_role(result)
    lines = [
        [
            _role_chip(result, role),
            count(len(role.changes)),
            join(
                "<br>",
                (
                    html("{} {}", count(len(group)), kind_chip(group[0].kind, group_words(group)))
                    for group in by_kind(role.changes)
                ),
            ),
            role.relative or UNKNOWN,
            _ranks(role),
            _median([change.entries.above_floor for change in role.changes if change.entries is not None]),
        ]
        for role in roles
    ]
    heads = ["Role", "n", "What was done", "Relative size", "Stable rank of Δ", "Above rounding, median"]
    return section("roles", "By role", table("By role", heads, lines, numeric=(1, 3, 4, 5))) if lines else NOTHING


def _ranks(role: RoleChanges) -> str:
    known = [
        c.spectrum for c in role.changes if c.spectrum is not None and c.spectrum.stable_rank == c.spectrum.stable_rank
    ]
    if not known:
        return UNKNOWN
    low = min(spectrum.stable_rank_lower for spectrum in known)
    return f"{figure(low, 3, 'down')} – {figure(max(spectrum.stable_rank for spectrum in known), 3, 'up')}"


def _median(values: list[float]) -> str:
    known = sorted(value for value in values if value == value)
    return figure(known[len(known) // 2], 3) if known else UNKNOWN


def _role_chip(result: DiffResult, role: RoleChanges) -> Html:
    if not role.role:
        return html("{}", role.name)
    index = list(role_styles(change.place.role for change in result.matrices)).index(role.role)
    chip = html('<span class="role role-{}">{}</span>', index, role.role)
    return html("{} {}", role.stack, chip) if role.stack else chip


def _largest(result: DiffResult) -> Html:
    ways = dict(zip(map(id, result.changes), anchors(result.changes), strict=True))
    lines = [
        [
            link(ways[id(change)], change_name(change, BETWEEN)),
            relative_words(change.relative),
            kind_chip(change.kind, kind_words(change)),
            UNKNOWN if change.entries is None else share(change.entries.changed / max(1, change.entries.entries)),
            join(" ", each_tensor(change.tensors)),
        ]
        for change in largest(result, MOST_MOVED)
    ]
    heads = ["Where", "Relative size", "What was done", "Entries changed", "Tensor"]
    text = html("<p>Matrices and vectors by ‖Δ‖ over ‖W₀‖, the largest first.</p>")
    return (
        section("largest", "What moved most", text, table("What moved most", heads, lines, numeric=(1, 3)))
        if lines
        else NOTHING
    )


def each_tensor(names: tuple[str, ...]) -> list[Html]:
    """The first of ``names`` as code, and how many more there are."""
    first = [html("<code>{}</code>", name) for name in names[:2]]
    return first + ([html("and {} more", len(names) - 2)] if len(names) > 2 else [])


def _has_spectra(result: DiffResult) -> bool:
    return any(change.ranks is not None and change.ranks.singular_values for change in result.changes)


def _spectra(result: DiffResult) -> Html:
    if not _has_spectra(result):
        return NOTHING
    return section(
        "spectra",
        "Spectrum of a change",
        html(
            '<figure><figcaption><h3>One matrix</h3><div class="tools" id="spectrum-choice"></div>'
            '<p id="spectrum-numbers" role="status"></p></figcaption>'
            '<div id="spectrum-leading" class="plot" style="height:380px"></div>'
            "<p>Points: leading singular values of Δ, within 1 %. Dashed: an estimate of all. Those below the edge of "
            "rounding cannot be told from it; a change without any direction, white noise as large as this one, would "
            "have its largest at the other line.</p>"
            "</figure>"
        ),
    )


def _table(result: DiffResult) -> Html:
    return section(
        "table",
        "Every matrix and vector",
        html(
            "<p>Open a row for all that is known of it.</p>"
            '<div id="layers" style="--lines:{}">'
            "<noscript>This table needs JavaScript; the CSV of the same comparison has every row.</noscript></div>",
            len(result.changes),
        ),
    )


def _alone(result: DiffResult) -> Html:
    if not result.one_sided:
        return NOTHING
    lines = [
        [
            "derived model" if one.side == "derived" else "base",
            one_sided_name(one, BETWEEN),
            " × ".join(map(str, one.shape)) or "scalar",
            join(" ", each_tensor(one.tensors)),
        ]
        for one in result.one_sided[:MOST_ALONE]
    ]
    beyond = len(result.one_sided) - len(lines)
    more = html("<p>{} more; the JSON report has all.</p>", count(beyond)) if beyond > 0 else NOTHING
    inner = table("On one side only", ["Only in the", "Where", "Shape", "Tensor"], lines)
    shown_at_once = inner if len(lines) <= 20 else details(plural(len(result.one_sided), "row"), inner)
    return section("alone", "On one side only", shown_at_once, more)
