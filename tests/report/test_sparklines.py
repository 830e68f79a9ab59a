"""The small drawings of the summary: one card a role, readable without a script, at one scale."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import median

import pytest

from tests.support import factory
from weightaudit import ScanReport
from weightaudit.report.html.card_drawing import HEIGHT, MARGIN, VISIBLE
from weightaudit.report.html.findings import grouped
from weightaudit.report.html.sparklines import sparklines


def cards(report: ScanReport) -> str:
    return sparklines(report, grouped(report))


def drawings(html: str) -> list[str]:
    """Those that are seen before another scale is chosen."""
    return re.findall(r'<div class="scaled " data-scale="\w+">(<svg.*?</svg>)', html)


def scale_words(html: str) -> list[str]:
    return re.findall(r'<span class="scaled " data-scale="\w+">([^<]*)</span>', html)


def label(drawing: str) -> str:
    found = re.search(r'aria-label="([^"]*)"', drawing)
    assert found
    return found[1]


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML][0-9.]+ ([0-9.]+)", path)]


def path(drawing: str, kind: str) -> str:
    found = re.search(rf'class="{kind}" d="([^"]*)"', drawing)
    return found[1] if found else ""


def test_every_role_has_its_two_numbers() -> None:
    report = factory.bert()
    labels = [label(drawing) for drawing in drawings(cards(report))]
    ranks = [row.spectrum.stable_rank for row in report.rows if row.matrix.role == "M2"]
    assert len(labels) == 14
    (said,) = (text for text in labels if text.startswith("Stable rank of M2"))
    numbers = re.fullmatch(r"Stable rank of M2 by layer: from ([\d.]+) at layer (\d+) to ([\d.]+) at layer (\d+)", said)
    assert numbers
    assert float(numbers[1]) == pytest.approx(min(ranks), rel=1e-2)
    assert float(numbers[3]) == pytest.approx(max(ranks), rel=1e-2)
    assert (ranks.index(min(ranks)), ranks.index(max(ranks))) == (int(numbers[2]), int(numbers[4]))


def test_cards_share_a_scale_and_stay_inside() -> None:
    drawn = drawings(cards(factory.bert()))
    for number in (drawn[0::2], drawn[1::2]):
        every = [y for drawing in number for y in heights(path(drawing, "line"))]
        assert min(every) == pytest.approx(MARGIN, abs=0.01)
        assert max(every) <= HEIGHT - MARGIN
    # Of the stable ranks, on a logarithmic scale, the least lies at the bottom; norms are drawn from zero.
    lines = [y for d in drawn[0::2] for y in heights(path(d, "line"))]
    assert max(lines) == pytest.approx(HEIGHT - MARGIN, abs=2 * VISIBLE)
    assert 'class="band"' not in "".join(drawn)  # intervals thinner than the line


def test_the_page_says_what_the_scales_are() -> None:
    report = factory.bert()
    usual = ["stable ranks on a logarithmic scale", "Frobenius norms from zero"]
    assert scale_words(cards(report)) == usual
    assert scale_words(cards(factory.all_nan())) == usual
    rows = tuple(
        replace(row, spectrum=replace(row.spectrum, frobenius_norm=20 * row.spectrum.frobenius_norm)) if i == 5 else row
        for i, row in enumerate(report.rows)
    )
    spoilt = cards(replace(report, rows=rows))
    assert scale_words(spoilt) == ["stable ranks on a logarithmic scale", "Frobenius norms on a logarithmic scale"]
    (q,) = (one for one in drawings(spoilt) if label(one).startswith("Frobenius norm of Q "))
    assert min(heights(path(q, "line"))) < HEIGHT - 2 * MARGIN  # one odd layer does not press the others flat


def test_unknown_layers_are_gaps_and_told() -> None:
    drawn = [one for one in drawings(cards(factory.judged())) if " of M1 " in label(one)]
    assert len(drawn) == 2
    for one in drawn:
        assert label(one).endswith(", 1 layer unknown")
        assert path(one, "line").count("M") == 2
        assert len(heights(path(one, "line"))) == 11


def test_experts_are_a_median_within_their_range() -> None:
    report = factory.mixture(3, 8)
    html = cards(report)
    assert html.count("3 layers × 8 experts") == 3
    (drawn,) = (one for one in drawings(html) if label(one).startswith("Stable rank of GATE"))
    medians = [
        median(r.spectrum.stable_rank for r in report.rows if (r.matrix.layer, r.matrix.role) == (i, "GATE"))
        for i in range(3)
    ]
    assert f"to {max(medians):.3g}"[:6] in label(drawn)
    line, band = heights(path(drawn, "line")), heights(path(drawn, "band"))
    assert len(band) == 2 * len(line) == 6
    for middle, high, low in zip(line, band[:3], reversed(band[3:]), strict=True):
        assert high < middle < low  # heights are from the top


@pytest.mark.parametrize("name", factory.SMALL)
def test_odd_reports_draw_no_unknown_number(name: str) -> None:
    html = cards(factory.SMALL[name]())
    assert "nan" not in re.sub(r'aria-label="[^"]*"', "", html).replace("NaN", "")
    if name == "all_nan":
        assert html.count("no number is finite") == 4
    if name == "embeddings_only":
        assert html == ""


def test_findings_are_ringed_and_a_layer_without_a_number_is_named() -> None:
    report = factory.judged()
    html = cards(report)
    ringed = re.findall(r'<path class="found (\w+)" d="[^"]*"><title>([^<]*)</title>', html)
    assert len(ringed) == 2 * 2 * 2 * 12  # on either scale, of either number, of Q and K in every layer
    assert ("warn", "layer 4: A norm unlike its neighbours&#x27;") in ringed
    gaps = re.findall(r'<path class="gap" d="[^"]*"><title>([^<]*)</title>', html)
    assert gaps == ["layer 3: NaN or ∞; NaN or infinite entries"] * 4
    assert html.count('<a href="#layer-3-M1">layer 3: NaN or ∞</a>') == 2


def test_numbers_of_a_card_lead_to_their_matrices() -> None:
    report = factory.bert()
    ranks = [row.spectrum.stable_rank for row in report.rows if row.matrix.role == "M2"]
    least = ranks.index(min(ranks))
    assert f'<a href="#layer-{least}-M2"><b title="layer {least}">' in cards(report)
    assert '<a href="#filter=layer+0&amp;role=GATE">' in cards(factory.mixture(1, 8))


def test_both_scales_are_drawn_and_one_is_seen() -> None:
    html = cards(factory.bert())
    assert html.count('class="scaled " data-scale="log"><svg') == 7
    assert html.count('class="scaled off" data-scale="linear"><svg') == 7
    assert html.count('class="scaled off" data-scale="log"><svg') == 7
