"""The page's section on how weights are quantised: a line a format."""

from __future__ import annotations

import math
from collections.abc import Iterable

from weightaudit.records import CodeFacts, ScanResult
from weightaudit.report.hypertext import Html, html, shown
from weightaudit.report.markup import UNKNOWN, count, figure, section, share, table
from weightaudit.report.quantisation import Format, formats

HEADS = ("Format", "Tensors", "Matrices", "Parameters", "Bits a weight", "Extreme codes", "Scales", "Read")


def quantisation_section(report: ScanResult) -> Html:
    """The section; empty where nothing is quantised."""
    found = formats(report)
    if not found:
        return section("quantisation", "Quantisation")
    text = html(
        "<p>What was measured is the float32 matrix that codes and scales give. Extreme codes are at the lowest or the "
        "highest level of the format: what was clipped is among them. The table of matrices has these numbers for each."
        "</p>"
    )
    lines = [_line(one) for one in found]
    return section("quantisation", "Quantisation", text, table("Quantisation", HEADS, lines, numeric=range(1, 7)))


def _line(one: Format) -> list[str]:
    codes = [row.codes for row in one.rows if row.codes is not None]
    return [
        one.label,
        count(len(one.entries)),
        count(len(one.rows)),
        count(one.parameters),
        figure(one.bits_per_weight, 4),
        _range([share(each.extreme / each.codes) for each in sorted(codes, key=_extreme) if each.codes]),
        _scales(codes),
        shown(f"no: {one.why_unread}", 200) if one.why_unread else "yes",
    ]


def _extreme(codes: CodeFacts) -> float:
    return codes.extreme / codes.codes if codes.codes else 0.0


def _scales(codes: Iterable[CodeFacts]) -> str:
    """The least and the largest magnitude of the scales."""
    known = [one for one in codes if math.isfinite(one.least_scale) and math.isfinite(one.largest_scale)]
    if not known:
        return UNKNOWN
    low, high = min(one.least_scale for one in known), max(one.largest_scale for one in known)
    return _range([figure(low, 3), figure(high, 3)])


def _range(texts: list[str]) -> str:
    """From the first to the last."""
    if not texts:
        return UNKNOWN
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} – {texts[-1]}"
