"""The key numbers: a strip of them, what is worth a look, the model's dimensions, and a card a role."""

from __future__ import annotations

import math

from weightaudit.records import LayerRow, ScanResult
from weightaudit.report.html.anchors import anchors, view
from weightaudit.report.html.findings import Group, marked
from weightaudit.report.html.method import matrix_command
from weightaudit.report.html.sparklines import sparklines
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, link, shown
from weightaudit.report.markup import UNKNOWN, cards, count, figure, interval, magnitude, section, setting, share, table
from weightaudit.report.page_constants import BETWEEN, SEVERITY_CSS
from weightaudit.text import plural

DIMENSIONS = {
    "layers": "Layers",
    "hidden": "Model dimension",
    "ff": "FF dimension",
    "heads": "Attention heads",
    "kv_heads": "Key/value heads",
    "head_dim": "Head dimension",
    "dense_ff": "FF dimension (dense)",
    "expert_ff": "FF dimension (expert)",
    "shared_ff": "FF dimension (shared experts)",
    "vocab": "Vocabulary",
    "embedding": "Embedding dimension",
    "decoder_layers": "Decoder layers",
    "decoder_hidden": "Decoder model dimension",
    "decoder_ff": "Decoder FF dimension",
    "decoder_heads": "Decoder attention heads",
    "decoder_kv_heads": "Decoder key/value heads",
    "decoder_head_dim": "Decoder head dimension",
    "q_rank": "Query rank",
    "kv_rank": "Key/value rank",
    "nope": "Head dimension without positions",
    "rope": "Head dimension with rotary positions",
    "v_dim": "Value head dimension",
    "v_heads": "Value heads",
}
"""The paper's Table 1 first, by the config's keys as the map names them."""
WORST = 5
"""Layers with findings that are named."""


def summary(report: ScanResult, groups: list[Group]) -> Html:
    """The section: what is drawn comes first."""
    ways = anchors([row.matrix for row in report.rows])
    return section(
        "summary",
        "Summary",
        sparklines(report, groups),
        _worth_a_look(report, groups, ways),
        _strip(report),
        _dimensions(report),
    )


def _strip(report: ScanResult) -> Html:
    summary = report.summary
    ranks = summary.get("stable_rank_harmonic_mean") or {}
    preserved = summary.get("norm_preservation") or {}
    hidden = report.map.dimensions.get("hidden")
    of_hidden = f" of {count(hidden)} dimensions" if hidden else ""
    open_ends = summary.get("not_converged")
    nonfinite, zeros = summary.get("nonfinite"), summary.get("zeros")
    worst = f"{figure(preserved.get('max'), 3)} at most; " if preserved.get("max") else ""
    numbers = [
        (
            "Parameters analysed",
            share(summary.get("share_analysed")),
            f"{magnitude(summary.get('parameters_analysed'))} of {magnitude(summary.get('parameters'))} in "
            f"{plural(len(report.rows), 'matrix', 'matrices')}",
            False,
        ),
        (
            "Stable rank",
            figure(ranks.get("all"), 4),
            html("harmonic mean over the layers' matrices,{}", of_hidden or " all roles"),
            False,
        ),
        (
            "Norm preservation",
            figure(preserved.get("median"), 3),
            f"largest over smallest norm of QKV, M1 and M2 in a layer, in the median; {worst}1 is equal",
            False,
        ),
        (
            "Within tolerance",
            UNKNOWN if open_ends is None else f"{count(len(report.rows) - open_ends)} of {count(len(report.rows))}",
            f"intervals of σ₁² with a relative width of at most {setting(report.options.get('tol'))}",
            False,
        ),
        ("NaN or infinite entries", count(nonfinite), "norms of a matrix with any are unknown", bool(nonfinite)),
        ("Zero entries", count(zeros), "exactly zero, in all measured matrices", False),
    ]
    return cards(numbers)


def _worth_a_look(report: ScanResult, groups: list[Group], ways: list[str]) -> Html:
    """The layers with the worst findings, and the extremes by name, with the command that gives the first again."""
    layered = [
        (i, row)
        for i, row in enumerate(report.rows)
        if row.matrix.layer is not None and math.isfinite(row.spectrum.stable_rank)
    ]
    worst = _worst_layers(report, groups, ways)
    if not layered:
        return html('<div class="look"><h3>Worth a look</h3><ul>{}</ul></div>', worst) if worst else NOTHING
    i, lowest = min(layered, key=lambda item: item[1].spectrum.stable_rank)
    spectrum = lowest.spectrum
    among = NOTHING if lowest.matrix.expert is None else html(" Measured again, with the layer's other experts, by")
    items = [
        html(
            'Lowest stable rank in a layer: {}, <b>{}</b> of {}.{}<pre tabindex="0"><code>{}</code></pre>',
            _link(ways[i], lowest),
            interval(spectrum.stable_rank_lower, spectrum.stable_rank, 5),
            count(min(lowest.matrix.shape)),
            among,
            shown(matrix_command(report, lowest.matrix.role, lowest.matrix.layer), 4000),
        )
    ]
    spreads = report.summary.get("norm_spread") or {}
    ratios = {role: spread["ratio"] for role, spread in spreads.items() if spread.get("ratio")}
    if ratios and (widest := max(ratios, key=lambda role: ratios[role])) and ratios[widest] > 1:
        of_role = [item for item in layered if f"{item[1].matrix.stack} {item[1].matrix.role}".strip() == widest]
        if of_role:
            small = min(of_role, key=lambda item: item[1].spectrum.frobenius_norm)
            large = max(of_role, key=lambda item: item[1].spectrum.frobenius_norm)
            items.append(
                html(
                    "Frobenius norm that changes most with depth: <b>{}</b>, by a factor of <b>{}</b> between {} and "
                    "{}.",
                    widest,
                    figure(ratios[widest], 3),
                    _link(ways[small[0]], small[1]),
                    _link(ways[large[0]], large[1]),
                )
            )
    return html(
        '<div class="look"><h3>Worth a look</h3><ul>{}{}</ul></div>', worst or NOTHING, each("<li>{}</li>", items)
    )


def _worst_layers(report: ScanResult, groups: list[Group], ways: list[str]) -> Html:
    """The layers with findings, those with the most severe first, each with its worst matrix."""
    worst: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for i, numbers in marked(groups).items():
        matrix = report.rows[i].matrix
        if matrix.layer is not None and groups[numbers[0]].severity != "info":
            worst.setdefault((matrix.stack, matrix.layer), []).append((numbers[0], i))
    if not worst:
        return NOTHING
    ordered = sorted(worst.items(), key=lambda item: (min(item[1])[0], -len(item[1]), min(item[1])))
    named = []
    for (stack, layer), found in ordered[:WORST]:
        number, i = min(found)
        others = plural(len(found) - 1, "more matrix", "more matrices")
        way = link(view(filter=f"{stack} layer {layer}".strip()), f"{others} of this layer")
        more = html(" and {}", way) if len(found) > 1 else NOTHING
        named.append(
            html(
                '<li><span class="severity {}">{}</span> {}: {}{}</li>',
                SEVERITY_CSS[groups[number].severity],
                groups[number].severity,
                _link(ways[i], report.rows[i]),
                groups[number].title,
                more,
            )
        )
    beyond = len(ordered) - len(named)
    further = html("<li>and {}</li>", link(view(rule="any"), plural(beyond, "more layer")))
    return html(
        '<li>Layers with findings, the worst first:<ul class="worst">{}{}</ul></li>',
        join("", named),
        further if beyond else NOTHING,
    )


def _link(way: str, row: LayerRow) -> Html:
    return link(way, row.matrix.place.words(BETWEEN))


def _dimensions(report: ScanResult) -> Html:
    dimensions = report.map.dimensions
    if not dimensions:
        return NOTHING
    keys = [key for key in DIMENSIONS if key in dimensions] + [key for key in dimensions if key not in DIMENSIONS]
    heads = ["Model", *(DIMENSIONS.get(key) or key.replace("_", " ").capitalize() for key in keys)]
    line = [report.identity.name, *(count(dimensions[key]) for key in keys)]
    return table("Dimensions", heads, [line], numeric=range(1, len(heads)))
