"""The page's section on heads of attention, where they were measured: a map of them, and how its numbers are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from weightaudit.records import Attention, HeadNorms, HeadRow, Heads, ScanResult
from weightaudit.report.columns import number_text
from weightaudit.report.hypertext import NOTHING, Html, each, html, join, shown
from weightaudit.report.markup import count, details, figure, plot_hosts, section, table

DIGITS = 4
"""Significant digits of the numbers in the map."""
MAX_HEIGHT = 900
"""Of a map, in CSS pixels."""
LISTED = 20
"""Attentions that were not taken apart told one by one."""

Number = Callable[[HeadRow], float]


def _norm(part: str, field: str = "spectral_norm_upper") -> Number:
    def number(row: HeadRow) -> float:
        norms: HeadNorms | None = getattr(row, part)
        return math.nan if norms is None else float(getattr(norms, field))

    return number


CHOICES: tuple[tuple[str, str, Number], ...] = (
    ("logit", "Map to logits", _norm("logit")),
    ("any", "Logits at any distance", lambda row: row.logit_any_distance),
    ("bound", "Bound on logits", lambda row: row.logit_bound),
    ("ov", "What it writes (OV)", _norm("ov")),
    ("q", "Q", _norm("q")),
    ("k", "K", _norm("k")),
    ("v", "V", _norm("v")),
    ("o", "O", _norm("o")),
    ("rank", "Stable rank of the map", _norm("logit", "stable_rank")),
)
"""What the colours can show: its name in the data, its label, and the number; norms are spectral, their upper ends."""


def heads_payload(report: ScanResult) -> dict[str, Any]:
    """The maps, one for each stack and kind of attention, layers by heads; {} where heads were not measured.

    Of ``numbers`` those are there that some head has; a number that is not known is null.
    """
    heads = report.heads
    if heads is None or not heads.rows:
        return {}
    known = [choice for choice in CHOICES if any(math.isfinite(choice[2](row)) for row in heads.rows)]
    return {
        "heads": {
            "choices": [{"name": name, "label": label} for name, label, _ in known],
            "maps": [_map(rows, known) for rows in _maps(heads).values()],
        }
    }


def _maps(heads: Heads) -> dict[tuple[str, str], list[HeadRow]]:
    found: dict[tuple[str, str], list[HeadRow]] = {}
    for row in heads.rows:
        found.setdefault((row.stack, row.attention), []).append(row)
    return found


def _map(rows: list[HeadRow], known: list[tuple[str, str, Number]]) -> dict[str, Any]:
    by_layer: dict[int, list[HeadRow]] = {}
    for row in rows:
        by_layer.setdefault(row.layer, []).append(row)
    return {
        "stack": rows[0].stack,
        "attention": rows[0].attention,
        "layers": list(by_layer),
        "shares": [len(those) // len({row.kv_head for row in those}) for those in by_layer.values()],
        "numbers": {
            name: [[_shown(number(row)) for row in those] for those in by_layer.values()] for name, _, number in known
        },
    }


def _shown(value: float) -> float | None:
    return float(number_text(value, "up", DIGITS)) if math.isfinite(value) else None


def heads_section(report: ScanResult) -> Html:
    """The section; empty where heads were not asked for."""
    heads = report.heads
    if heads is None:
        return NOTHING
    if not heads.rows:
        none = html('<p class="empty">No attention was taken apart into heads.</p>')
        return section("heads", "Heads", none, _skipped(heads))
    text = html(
        "<p>What each head of attention can do to its input. The map to logits is s·D·W<sub>Q</sub>ᵀ·W<sub>K</sub>·D "
        "with the gains D of the norm before and the model's own scale s, what a head writes is "
        "W<sub>O</sub>·W<sub>V</sub>·D: products that are never formed, their spectral norms certified. The bound "
        "holds for every logit at any distance between two tokens, biases included.</p>"
    )
    return section("heads", "Heads", text, _drawn(report, heads), _attentions(heads), _skipped(heads))


def _drawn(report: ScanResult, heads: Heads) -> Html:
    choices = heads_payload(report)["heads"]["choices"]
    buttons = each(
        '<button type="button" aria-pressed="{}">{}</button>',
        (("false" if i else "true", choice["label"]) for i, choice in enumerate(choices)),
    )
    heights = [min(MAX_HEIGHT, 110 + 18 * (1 + max(row.head for row in rows))) for rows in _maps(heads).values()]
    return html(
        "<figure><figcaption><h3>Head by layer</h3><p>Every head as one cell; hover for its numbers, click for its "
        "layer's Q. Norms are upper ends of spectral norms; colours are on a logarithmic scale.</p>"
        '<div id="heads-choice" class="choice" role="group" aria-label="What the colours show">{}</div></figcaption>'
        "{}</figure>",
        buttons,
        plot_hosts("head-map", heights, drawn=bool(choices)),
    )


def _attentions(heads: Heads) -> Html:
    """How the numbers are made: attentions that are alike in one line."""
    alike: dict[tuple[object, ...], list[Attention]] = {}
    for one in heads.attentions:
        key = (one.stack, one.attention, one.heads, one.kv_heads, one.head_dim, one.value_dim, one.scale)
        alike.setdefault((*key, bool(one.norm), bool(one.head_norm), one.left_out), []).append(one)
    lines = [[*_geometry(those), *_made(those[0], several=len(those) > 1)] for those in alike.values()]
    columns = ["Attention", "Layers", "Heads", "K/V heads", "Rows of a head", "Scale", "Norm folded in", "Left out"]
    return table("Attentions", columns, lines, numeric=(2, 3))


def _geometry(those: list[Attention]) -> list[str]:
    first = those[0]
    rows = f"{first.head_dim:,}" if first.head_dim == first.value_dim else f"{first.head_dim:,}, V {first.value_dim:,}"
    layers = sorted(one.layer for one in those)
    told = f"{layers[0]}–{layers[-1]} ({len(layers):,})" if len(layers) > 1 else str(layers[0])
    name = " ".join(filter(None, (first.stack, "to itself" if first.attention == "self" else "to the encoder")))
    return [name, told, count(first.heads), count(first.kv_heads), rows]


def _made(one: Attention, *, several: bool) -> list[Html]:
    """Scale, norms and what is left out; the layer's number is * in a norm's name where ``several`` layers are told."""
    scale = html("{} = {}", one.scale_source, figure(one.scale)) if one.scale_source != "1" else html("1")
    before, after = (_of_all(names, one.layer) if several else names for names in (one.norm, one.head_norm))
    norms = [shown(before, 200)] if before else ["none"]
    norms += [f"after W_Q and W_K: {shown(after, 200)}"] if after else []
    return [scale, join("<br>", (html("{}", norm) for norm in norms)), html("{}", "; ".join(one.left_out) or "nothing")]


def _of_all(names: str, layer: int) -> str:
    """Names of norms in a layer as they are in each."""
    return ", ".join(name.replace(f".{layer}.", ".*.", 1) for name in names.split(", "))


def _skipped(heads: Heads) -> Html:
    if not heads.skipped:
        return NOTHING
    lines = join("", _lines(heads))
    return details(f"{len(heads.skipped):,} attentions whose heads are not known", html("<ul>{}</ul>", lines))


def _lines(heads: Heads) -> Iterator[Html]:
    for one in heads.skipped[:LISTED]:
        place = " ".join(filter(None, (one.stack, f"layer {one.layer}", "" if one.attention == "self" else "(cross)")))
        yield html("<li>{}: {}</li>", place, shown(one.why, 300))
    if len(heads.skipped) > LISTED:
        yield html("<li>and {:,} more</li>", len(heads.skipped) - LISTED)
