"""What a merge check's page says: which model suffers, what to try first, where the updates meet, and, as prominently,
what that is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weightaudit.records import Encounter, Meeting, MergeCheckResult
from weightaudit.report.html.anchors import anchors
from weightaudit.report.html.findings import Group, findings_section
from weightaudit.report.html.verdict import verdict_block
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, link, shown
from weightaudit.report.markup import (
    UNKNOWN,
    count,
    definitions,
    details,
    model_line,
    navigation,
    plot_hosts,
    section,
    table,
)
from weightaudit.report.merge.columns import DOUBTFUL, MEETINGS
from weightaudit.report.merge.lines import Line
from weightaudit.report.merge.payload import shown_meetings
from weightaudit.report.merge.trust import TRUST, WHY
from weightaudit.report.merge.words import (
    figure,
    headline,
    meeting_most,
    share,
    standing_cells,
    story,
    verdict_line,
    weights_words,
)
from weightaudit.report.page_constants import BETWEEN
from weightaudit.report.style import heat_height
from weightaudit.text import plural

MOST_GROUPS = 30
"""Layers, or roles, in a table that is open."""
MOST_ROWS = 2000
"""Matrices in the page's table; the CSV has all."""
STANDING = ("D", "Retention ρ", "Contamination κ", "Lift κ/κ₀", "D, first layer")


def body(result: MergeCheckResult, groups: list[Group]) -> Html:
    """Everything between the page's body tags."""
    parts = (
        _header(result, groups),
        html("<main>"),
        _models(result),
        findings_section(result, groups),
        _weights(result),
        _meetings(result),
        _plane(result),
        _encounters(result),
        _meeting_most(result),
        _groups(result),
        _table(result),
        _method(result),
        html("</main>"),
        html(
            "<footer>Made by weightaudit {}. This page is complete in itself and opens no connection.</footer>",
            result.versions.get("weightaudit", ""),
        ),
    )
    return join("\n", filter(None, parts))


def _header(result: MergeCheckResult, groups: list[Group]) -> Html:
    facts = [
        ("Base", NOTHING if result.base is None else model_line(result.base)),
        ("Models", join("<br>", map(model_line, result.models))),
        ("Merge", NOTHING if result.merged is None else model_line(result.merged)),
        ("Family", html("{}", result.family)),
        ("Merged at", NOTHING if result.merged is not None else html("{}", weights_words(result))),
    ]
    links = [("models", "Models"), *([("findings", "Findings")] if groups else []), ("what-if", "Other weights")]
    links += [("meetings", "Where they meet"), ("plane", "The plane"), ("pairs", "Pairs"), ("most", "Most")]
    links += [("groups", "By role and layer"), ("table", "Every matrix"), ("method", "How it was computed")]
    said = each("<p>{}</p>", (shown(text, 1000) for text in (*story(result), verdict_line(result))))
    base = html(" <small>from {}</small>", result.base.name) if result.base is not None else NOTHING
    return html(
        '<header><p class="eyebrow">weightaudit · will these models survive being added?</p>'
        '<h1>{}{}</h1>{}<div class="trust" role="note"><b>What this is worth</b>{}</div>{}{}</header>',
        join(" + ", (html("{}", name) for name in result.names)),
        base,
        verdict_block(result.verdict, headline(result), groups, said, result.rules),
        shown(TRUST, 2000),
        definitions("facts", ((name, fact) for name, fact in facts if fact)),
        navigation(links),
    )


def _models(result: MergeCheckResult) -> Html:
    """Each model in the merge that was asked for, and at the suggested weights."""
    summary = result.summary
    suggested = summary.suggested_standings or [None] * len(result.models)
    weights = summary.suggested or [None] * len(result.models)
    lines = []
    for i, (name, standing) in enumerate(zip(result.names, summary.standings, strict=True)):
        own, then = weights[i], suggested[i]
        lines.append(
            [
                html("<b>{}</b>{}", name, html(" · low rank") if summary.low_rank[i] else NOTHING),
                count(standing.matrices),
                *standing_cells(standing),
                UNKNOWN if own is None else figure(own),
                UNKNOWN if then is None else figure(then.disturbance),
            ]
        )
    how = "In the merge that is judged" if result.merged is not None else f"At {weights_words(result)}"
    heads = ["Model", "Matrices", *STANDING, "Suggested weight", "D there"]
    return section(
        "models",
        "The models in the merge",
        html(
            "<p>{}, as means over the matrices that each model changed. D is 0 where the merged weights do to a "
            "model's inputs what its own did; 1 is as far from that as the base is.</p>",
            how,
        ),
        table("The models in the merge", heads, lines, numeric=tuple(range(1, len(heads)))),
    )


def _weights(result: MergeCheckResult) -> Html:
    counted, drawn = len(result.counted), len(shown_meetings(result))
    if not counted:
        return NOTHING
    some = f" Of {counted:,} matrices {drawn:,}, evenly spaced, stand for all here." if drawn < counted else ""
    heads = html('<th scope="col">Model</th>{}', each('<th scope="col" class="n">{}</th>', STANDING))
    return section(
        "what-if",
        "What if the weights were others?",
        html(
            "<p>Every number follows from a few inner products that are in this page: nothing is read again.{}</p>"
            '<div id="weight-choices" role="group" aria-label="Weights to choose from"></div><div id="weights"></div>'
            '<div class="scroll" tabindex="0" role="group" aria-label="The models at these weights"><table><thead><tr>'
            '{}</tr></thead><tbody id="standings"></tbody></table></div>'
            '<noscript><p class="empty">Moving the weights needs JavaScript.</p></noscript>',
            some,
            heads,
        ),
    )


def _meetings(result: MergeCheckResult) -> Html:
    layered = [one for one in result.counted if one.place.layer is not None]
    if not layered or len(result.models) < 2:
        return NOTHING
    height = heat_height(len({(one.place.stack, one.place.role) for one in layered}))
    return section(
        "meetings",
        "Where the updates meet",
        html(
            "<figure><figcaption><h3>Contamination, both ways</h3><p>What the other model's update does on the inputs "
            "of each matrix, relative to its own: light is much, on one scale for both. Hover for the lift over "
            "chance. It says where updates meet, not which layers do the damage: that, weights alone told badly.</p>"
            '<div id="pair-choice" class="tools"></div></figcaption>{}</figure>',
            plot_hosts("meet", [height, height]),
        ),
    )


def _plane(result: MergeCheckResult) -> Html:
    if not result.counted:
        return NOTHING
    return section(
        "plane",
        "Retention and contamination",
        html(
            "<figure><figcaption><h3>Every matrix, at the weights that are set</h3><p>At (1, 0) a matrix does to its "
            "model's inputs what it did before; circles are of equal D. To the right of 1 an update is there more than "
            "once: others act alike. To the left it is cut down.</p></figcaption>"
            '<div id="plot-plane" class="plot" style="height:460px"></div></figure>'
        ),
    )


def _encounters(result: MergeCheckResult) -> Html:
    if len(result.models) < 2:
        return NOTHING
    lines = [
        [result.names[one.victim], result.names[one.other], *standing_cells(one.standing)]
        for one in result.summary.encounters
    ]
    heads = ["Inputs of", "Merged with", *STANDING]
    doubtful = [
        [result.names[one.victim], result.names[one.other], *_doubtful(one)] for one in result.summary.encounters
    ]
    doubtful_heads = ["Inputs of", "Merged with", "Cosine", "Cosine without W₀", "Sign conflict", "Size ratio"]
    return section(
        "pairs",
        "Two at a time",
        html("<p>Each pair alone.</p>"),
        table("Two at a time", heads, lines, numeric=tuple(range(2, len(heads)))),
        html("<h3>What did not predict, or less than D</h3><p>{}</p>", DOUBTFUL),
        table(
            "What did not predict, or less than D",
            doubtful_heads,
            doubtful,
            numeric=tuple(range(2, len(doubtful_heads))),
        ),
    )


def _doubtful(one: Encounter) -> Iterator[Html]:
    cosines = (figure(one.cosine), figure(one.cosine_without_base), share(one.opposed), figure(one.size_ratio))
    yield from (html('<span class="doubt">{}</span>', text) for text in cosines)


def _meeting_most(result: MergeCheckResult) -> Html:
    ways = dict(zip(map(id, result.meetings), anchors(result.meetings), strict=True))
    lines = [
        [
            link(ways[id(line.meeting)], line.meeting.place.words(BETWEEN)),
            result.names[line.victim],
            *_numbers(line),
        ]
        for line in meeting_most(result)
    ]
    heads = ["Where", "On the inputs of", "Contamination κ", "Lift", "Retention ρ", "D"]
    text = html("<p>Where the updates meet most, not where the damage is done.</p>")
    return (
        section("most", "Where they meet most", text, table("Most", heads, lines, numeric=(2, 3, 4, 5)))
        if lines
        else NOTHING
    )


def _groups(result: MergeCheckResult) -> Html:
    """Means over the matrices of each role, and of each layer."""
    roles: dict[str, list[Meeting]] = {}
    layers: dict[str, list[Meeting]] = {}
    for meeting in result.counted:
        place = meeting.place
        roles.setdefault(f"{place.stack} {place.role}".strip(), []).append(meeting)
        if place.layer is not None:
            layers.setdefault(f"{place.stack} layer {place.layer}".strip(), []).append(meeting)
    tables = []
    for caption, groups in (("By role", roles), ("By layer", layers)):
        heads = [caption, "n", *(head for name in result.names for head in (f"D of {name}", f"κ on {name}"))]
        lines = [[name, count(len(some)), *_means(result, some)] for name, some in groups.items()]
        if lines:
            inner = table(caption, heads, lines, numeric=tuple(range(1, len(heads))))
            tables.append(inner if len(lines) <= MOST_GROUPS else details(f"{caption}: {len(lines):,}", inner))
    return section("groups", "By role and by layer", *tables)


def _means(result: MergeCheckResult, some: Sequence[Meeting]) -> Iterator[str]:
    for a in range(len(result.models)):
        effects = [one.interactions.effect(a, result.weights) for one in some if one.interactions.changed_by(a)]
        for numbers in ([one.disturbance for one in effects], [one.contamination for one in effects]):
            yield figure(sum(numbers) / len(numbers)) if numbers else UNKNOWN


def _numbers(line: Line) -> tuple[str, ...]:
    effect = line.effect
    return tuple(map(figure, (effect.contamination, effect.lift, effect.retention, effect.disturbance)))


def _table(result: MergeCheckResult) -> Html:
    if not result.meetings:
        return NOTHING
    names = result.names
    heads = ["Where", "Shape", *(f"D of {name}" for name in names), *(f"κ on {name}" for name in names)]
    ways = anchors(result.meetings)
    lines = [[*_row(result, *one)] for one in zip(ways, result.meetings[:MOST_ROWS], strict=False)]
    beyond = len(result.meetings) - MOST_ROWS
    more = html("<p>{} more; the CSV has all.</p>", count(beyond)) if beyond > 0 else NOTHING
    inner = table("Every matrix", heads, lines, numeric=tuple(range(2, len(heads))))
    return section(
        "table",
        "Every matrix",
        details(plural(len(lines), "matrix", "matrices"), inner) if len(lines) > 40 else inner,
        more,
    )


def _row(result: MergeCheckResult, way: str, meeting: Meeting) -> Iterator[str]:
    table_words = html(" · table") if meeting.table else NOTHING
    yield html('<span id="{}">{}</span>{}', way.removeprefix("#"), meeting.place.words(BETWEEN), table_words)
    yield " × ".join(f"{size:,}" for size in meeting.shape)
    effects = [meeting.interactions.effect(a, result.weights) for a in range(len(result.models))]
    yield from (figure(effect.disturbance) for effect in effects)
    yield from (figure(effect.contamination) for effect in effects)


def _method(result: MergeCheckResult) -> Html:
    options = [(name, shown(str(value), 1000)) for name, value in result.options.items() if value is not None]
    return section(
        "method",
        "How it was computed, and what it is worth",
        each("<p>{}</p>", (shown(text, 4000) for text in WHY)),
        definitions("terms", ((name, html("{}", text)) for name, text in TERMS)),
        html(
            '<div class="pair"><div><h3>Options</h3>{}</div><div><h3>Versions</h3>{}</div></div>',
            table("Options", ("Option", "Value"), options),
            table("Versions", ("Package", "Version"), result.versions.items()),
        ),
        details(
            "What every column of the CSV means",
            definitions("facts", ((html("<code>{}</code>", c.name), c.meaning) for c in MEETINGS)),
        ),
    )


TERMS = (
    (
        "Inputs",
        "A model's update Δ_A = W_A − W₀ of a matrix has its rows in the span of the activations that it was trained "
        "on, so Δ_AᵀΔ_A stands for their second moment, and ⟨X, Y⟩_A = ⟨XΔ_Aᵀ, YΔ_Aᵀ⟩ for what X and Y do alike there.",
    ),
    ("Retention ρ", "⟨E, Δ_A⟩_A/⟨Δ_A, Δ_A⟩_A of the merged update E: 1 where the model's own update acts in full."),
    ("Contamination κ", "‖E − ρΔ_A‖_A/‖Δ_A‖_A: what else acts on the model's inputs."),
    ("Disturbance D", "√((ρ − 1)² + κ²) = ‖(W_M − W_A)Δ_Aᵀ‖/‖Δ_AΔ_Aᵀ‖, Frobenius norms."),
    (
        "Chance κ₀, lift",
        "κ₀ is what κ would be if the others' updates met the model's inputs in random directions. Any two fine-tunes "
        "of one base meet more often than that.",
    ),
    ("Suggested weights", "Those that minimise the sum of the models' mean D²: a start, no optimum."),
    (
        "Tables of tokens",
        "Each input of an embedding is a row of its own: two models meet there row by row, so these do not count.",
    ),
)
