"""What the page says, from the identity of the model down to the coverage; the long tables are drawn by the
script.
"""

from __future__ import annotations

import math

from weightaudit.records import LayerRow, ScanResult, Status
from weightaudit.report.html.base import base_section
from weightaudit.report.html.findings import findings_section, grouped
from weightaudit.report.html.header import guessed, header, notes
from weightaudit.report.html.heads import heads_section
from weightaudit.report.html.method import method_section
from weightaudit.report.html.overview import summary
from weightaudit.report.html.quantisation import quantisation_section
from weightaudit.report.hypertext import NOTHING, Html, each, html, join
from weightaudit.report.markup import (
    UNKNOWN,
    captioned,
    count,
    figure,
    interval,
    plot_hosts,
    scale_choice,
    section,
    share,
    table,
)
from weightaudit.report.scales import scale_of
from weightaudit.report.spectra import spectra_section
from weightaudit.report.style import HEAT, LINES, heat_height, role_styles
from weightaudit.text import plural

STATUSES: dict[Status, str] = {
    "analysed": "measured, as a matrix of its own or as a part of one",
    "ignored": "left out by a stated rule",
    "tied": "another name for a tensor that is already counted",
    "not selected": "left out by the options of this scan",
    "unmapped": "no rule knows what it is",
}
PLOTS = (
    (
        "Frobenius norm by layer",
        "How large each matrix is. Norms of one role that hardly change from layer to layer, and QKV, M1 and M2 of one "
        "order, are what norm preservation predicts.",
    ),
    (
        "Stable rank by layer",
        "How many directions each matrix really uses: ‖W‖²/σ₁², between 1 and the full rank. The bar below a point is "
        "its certified interval, often thinner than the marker; thin lines show random matrices of the same shape.",
    ),
)
"""Title and text of each of `LINES`."""


def body(report: ScanResult, *, alone: bool = True) -> Html:
    """Everything between the page's body tags; ``alone`` says that it needs no other file."""
    groups = grouped(report)
    parts = (
        header(report, groups),
        html("<main>"),
        guessed(report),
        summary(report, groups),
        findings_section(report, groups),
        notes(report),
        _layer_plots(report),
        spectra_section(report),
        heads_section(report),
        _roles(report),
        _outside(report),
        section(
            "table",
            "Every matrix",
            html(
                "<p>Open a row for its interval, its tensors, what was found, and the command for its numbers.</p>"
                '<div id="layers" style="--lines:{}">'
                "<noscript>This table needs JavaScript; the CSV of the same scan has every row.</noscript></div>",
                table_lines(report),
            ),
        ),
        quantisation_section(report),
        base_section(report),
        _coverage(report),
        method_section(report),
        html("</main>"),
        html(
            "<footer>Made by weightaudit {}. This page {} and opens no connection.</footer>",
            report.versions.get("weightaudit", ""),
            "is complete in itself" if alone else "draws with the plotly.js of its batch",
        ),
    )
    return join("\n", filter(None, parts))


def _layer_plots(report: ScanResult) -> Html:
    layered = [row for row in report.rows if row.matrix.layer is not None]
    if not layered:
        return section("plots", "By layer", html('<p class="empty">No measured matrix belongs to a layer.</p>'))
    stacks = list(dict.fromkeys(row.matrix.stack for row in layered))
    heights = {stack: heat_height(len({r.matrix.role for r in layered if r.matrix.stack == stack})) for stack in stacks}
    known = any(math.isfinite(row.spectrum.frobenius_norm) and row.spectrum.frobenius_norm > 0 for row in layered)
    drawn = (
        captioned(
            title,
            text,
            plot_hosts(figure.id, [figure.height] * len(stacks), drawn=known),
            scale_choice(figure.id, figure.axis, scale_of(layered, figure).name) if known else NOTHING,
        )
        for figure, (title, text) in zip(LINES, PLOTS, strict=True)
    )
    buttons = each(
        '<button type="button" aria-pressed="{}">{}</button>',
        (("false" if i else "true", label) for i, (_, label, _) in enumerate(HEAT)),
    )
    heat = html(
        "<figure><figcaption><h3>Role by layer</h3><p>Every matrix as one cell, a layer's experts by their median; "
        "hover for the numbers. Colours are always on a logarithmic scale.</p>"
        '<div id="heat-choice" class="choice" role="group" aria-label="What the colours show">{}</div></figcaption>'
        "{}</figure>",
        buttons if known else NOTHING,
        plot_hosts("heat", [heights[stack] for stack in stacks], drawn=known),
    )
    noscript = html('<noscript><p class="empty">The plots need JavaScript.</p></noscript>')
    return section("plots", "By layer", noscript, join("", [*drawn, heat]))


def table_lines(report: ScanResult) -> int:
    """Lines that the table of matrices has at first: a layer's experts of one role are one."""
    return len(
        {
            (row.matrix.stack, row.matrix.layer, row.matrix.role, i if row.matrix.expert is None else -1)
            for i, row in enumerate(report.rows)
        }
    )


def _roles(report: ScanResult) -> Html:
    groups: dict[tuple[str, str], list[LayerRow]] = {}
    for row in report.rows:
        if row.matrix.layer is not None:
            groups.setdefault((row.matrix.stack, row.matrix.role), []).append(row)
    if not groups:
        return NOTHING
    spreads = report.summary.get("norm_spread") or {}
    ranks = report.summary.get("stable_rank_harmonic_mean") or {}
    lines = []
    for (stack, role), rows in groups.items():
        key = f"{stack} {role}".strip()
        spread = spreads.get(key) or {}
        finite = [row.spectrum for row in rows if math.isfinite(row.spectrum.stable_rank)]
        lowest = min((s.stable_rank_lower for s in finite), default=None)
        highest = max((s.stable_rank for s in finite), default=None)
        lines.append(
            [
                html("{} {}", stack, _chip(report, role)) if stack else _chip(report, role),
                count(len(rows)),
                _shapes(rows),
                f"{figure(spread.get('min'))} – {figure(spread.get('max'))}"
                if spread.get("min") is not None
                else UNKNOWN,
                figure(spread.get("mean")),
                figure(spread.get("ratio"), 3),
                interval(lowest, highest, 3) if finite else UNKNOWN,
                figure(ranks.get(key)),
                figure(1 / ranks[key], 3) if ranks.get(key) else UNKNOWN,
            ]
        )
    heads = [
        "Role",
        "Matrices",
        "Shape",
        "Frobenius norm",
        "Mean",
        "Max / min",
        "Stable rank",
        "Harmonic mean",
        "Mean 1 / stable rank",
    ]
    text = html(
        "<p>Spread of each role over the layers. Max / min near 1 says that its norm hardly changes with depth.</p>"
    )
    return section("roles", "By role", text, table("By role", heads, lines, numeric=(1, 3, 4, 5, 6, 7, 8)))


def _shapes(rows: list[LayerRow]) -> str:
    shapes = list(dict.fromkeys(row.matrix.shape for row in rows))
    return "several" if len(shapes) > 2 else ", ".join(f"{a:,} × {b:,}" for a, b in shapes)


def _chip(report: ScanResult, role: str) -> Html:
    index = list(role_styles(row.matrix.role for row in report.rows)).index(role)
    return html('<span class="role role-{}">{}</span>', index, role)


def _outside(report: ScanResult) -> Html:
    rows = [row for row in report.rows if row.matrix.layer is None]
    if not rows:
        return NOTHING
    lines = [
        [
            _chip(report, row.matrix.role),
            "{:,} × {:,}".format(*row.matrix.shape),
            figure(row.spectrum.frobenius_norm, 5),
            interval(row.spectrum.spectral_norm, row.spectrum.spectral_norm_upper, 5),
            interval(row.spectrum.stable_rank_lower, row.spectrum.stable_rank, 5),
            join("<br>", (html("<code>{}</code>", name) for name in row.matrix.tensors)),
        ]
        for row in rows
    ]
    heads = ["Role", "Shape", "Frobenius norm", "σ₁", "Stable rank", "Tensor"]
    return section("outside", "Outside the layers", table("Outside the layers", heads, lines, numeric=(2, 3, 4)))


def _coverage(report: ScanResult) -> Html:
    groups = {status: [entry for entry in report.coverage_entries if entry.status == status] for status in STATUSES}
    groups = {status: entries for status, entries in groups.items() if entries}
    sizes = {status: sum(entry.parameters for entry in entries) for status, entries in groups.items()}
    counted = {
        status: sum(entry.parameters for entry in entries if not entry.buffer)
        for status, entries in groups.items()
        if status != "tied"
    }
    total = sum(counted.values()) or 1
    bars = each(
        '<i class="s-{}" style="flex-grow:{:.6f}"></i>',
        ((_css(status), size / total) for status, size in counted.items()),
    )
    folds = (
        html(
            '{opening}<summary><i class="key s-{css}"></i><b>{status}</b> {tensors}, {elements} elements '
            "<small>{meaning}</small></summary>"
            '<div class="coverage"><noscript>This table needs JavaScript.</noscript></div></details>',
            opening=html(
                '<details data-status="{}" open>' if status == "unmapped" else '<details data-status="{}">', status
            ),
            status=status,
            css=_css(status),
            tensors=plural(len(entries), "tensor"),
            elements=count(sizes[status]),
            meaning=STATUSES[status],
        )
        for status, entries in groups.items()
    )
    text = html(
        "<p>{} of the parameters were analysed. Every tensor of the checkpoint is accounted for below; tied tensors "
        "count once, and buffers count in no share.</p>",
        share(report.summary.get("share_analysed")),
    )
    return section(
        "coverage", "Coverage", text, html('<div class="bar" aria-hidden="true">{}</div>', bars), join("", folds)
    )


def _css(status: Status) -> str:
    """Class of a status."""
    return status.replace(" ", "-")
