"""The small drawings of the summary: one card a role, readable without a script, at one scale."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import median

import pytest

from tests.support import factory
from weightaudit.report.html.sparklines import HEIGHT, MARGIN, sparklines


def drawings(html: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", html)


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
    labels = [label(drawing) for drawing in drawings(sparklines(report))]
    ranks = [row.spectrum.stable_rank for row in report.rows if row.matrix.role == "M2"]
    assert len(labels) == 14
    (said,) = (text for text in labels if text.startswith("Stable rank of M2"))
    numbers = re.fullmatch(r"Stable rank of M2 by layer: from ([\d.]+) at layer (\d+) to ([\d.]+) at layer (\d+)", said)
    assert numbers
    assert float(numbers[1]) == pytest.approx(min(ranks), rel=1e-2)
    assert float(numbers[3]) == pytest.approx(max(ranks), rel=1e-2)
    assert (ranks.index(min(ranks)), ranks.index(max(ranks))) == (int(numbers[2]), int(numbers[4]))


def test_cards_share_a_scale_and_stay_inside() -> None:
    drawn = drawings(sparklines(factory.bert()))
    for number in (drawn[0::2], drawn[1::2]):
        every = [y for drawing in number for y in heights(path(drawing, "line"))]
        assert min(every) == pytest.approx(MARGIN, abs=0.01)
        assert max(every) <= HEIGHT - MARGIN
    # Of the stable ranks, on a logarithmic scale, the least lies at the bottom; norms are drawn from zero.
    assert max(y for d in drawn[0::2] for y in heights(path(d, "band"))) == pytest.approx(HEIGHT - MARGIN, abs=0.01)


def test_the_page_says_what_the_scales_are() -> None:
    report = factory.bert()
    usual = "stable ranks on a logarithmic scale, Frobenius norms from zero."
    assert usual in sparklines(report)
    assert usual in sparklines(factory.all_nan())
    rows = tuple(
        replace(row, spectrum=replace(row.spectrum, frobenius_norm=20 * row.spectrum.frobenius_norm)) if i == 5 else row
        for i, row in enumerate(report.rows)
    )
    spoilt = sparklines(replace(report, rows=rows))
    assert "stable ranks and Frobenius norms on a logarithmic scale." in spoilt
    (q,) = (one for one in drawings(spoilt) if label(one).startswith("Frobenius norm of Q "))
    assert min(heights(path(q, "line"))) < HEIGHT - 2 * MARGIN  # one odd layer does not press the others flat


def test_unknown_layers_are_gaps_and_told() -> None:
    drawn = [one for one in drawings(sparklines(factory.judged())) if " of M1 " in label(one)]
    assert len(drawn) == 2
    for one in drawn:
        assert label(one).endswith(", 1 layer unknown")
        assert path(one, "line").count("M") == 2
        assert len(heights(path(one, "line"))) == 11


def test_experts_are_a_median_within_their_range() -> None:
    report = factory.mixture(3, 8)
    html = sparklines(report)
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


@pytest.mark.parametrize("name", factory.ALL)
def test_odd_reports_draw_no_unknown_number(name: str) -> None:
    html = sparklines(factory.ALL[name]())
    assert "nan" not in re.sub(r'aria-label="[^"]*"', "", html).replace("NaN", "")
    if name == "all_nan":
        assert html.count("no number is finite") == 4
    if name == "embeddings_only":
        assert html == ""
