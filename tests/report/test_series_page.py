"""The page of a series: charts, maps and findings as they are, names harmless."""

from __future__ import annotations

import math
import re

import pytest

from weightaudit.records import Finding, Place, Series, SeriesRow, told_together
from weightaudit.report.series import heat
from weightaudit.report.series.columns import SERIES_NAMES
from weightaudit.report.series.heat import MOST_LAYERS, MOST_STEPS, SHADES, chosen, shade
from weightaudit.report.series.lines import tick_texts
from weightaudit.report.series.page import page
from weightaudit.report.series.scales import Axis, axis_of_steps


def row(step: int, layer: int | None, rank: float, role: str = "M1") -> SeriesRow:
    return SeriesRow(
        step=step,
        due=step,
        kind="matrix",
        place=Place("", layer, None, role),
        rows=64,
        cols=32,
        frobenius_norm=2.0,
        spectral_norm=1.0,
        spectral_norm_upper=1.0,
        stable_rank=rank,
        stable_rank_lower=rank,
    )


def series(*rows: SeriesRow, **more: object) -> Series:
    return Series(**{"name": "run", "rows": rows, **more})  # type: ignore[arg-type]  # some of its fields


def test_a_chart_has_the_median_and_the_range() -> None:
    text = str(page(series(*(row(step, layer, 10.0 + layer - step) for step in (0, 1, 2) for layer in range(3)))))
    assert "0: 11.00, layers from 10.00 to 12.00" in text
    assert "2: 9.000, layers from 8.000 to 10.00" in text
    assert text.count('class="band"') == 3  # one a number
    assert "Stable rank of M1 over steps: from 11.0 at 0 to 9.00 at 2, median over the layers" in text


def test_unknown_numbers_break_the_line_and_are_red_in_the_map() -> None:
    rows = [row(step, 0, math.nan if step == 2 else 10.0) for step in range(5)]
    text = str(page(series(*rows)))
    (path,) = set(re.findall(r'class="line" d="([^"]*)"', text.split('id="frobenius_norm"')[0]))
    assert path.count("M") == 2
    (unknown,) = re.findall(r'class="unknown-cell" d="([^"]*)"', text)
    assert unknown.count("M") == 1


def test_a_run_of_nothing_finite_has_sentences_for_charts() -> None:
    text = str(page(series(*(row(step, 0, math.nan) for step in range(3)))))
    assert "Stable rank: no number is finite and above zero" in text


def test_findings_are_told_and_marked() -> None:
    found = Finding("collapsing-stable-rank", "warning", "It collapses", role="M1", detail="At step 2.", advice="Look.")
    rows = [row(step, 0, 10.0, role) for step in range(3) for role in ("M1", "M2")]
    text = str(page(series(*rows, findings=(found,), found_at=(2,))))
    assert text.count("<title>Found at 2</title>") == 3  # in each chart of M1, in none of M2
    assert "Step 2: It collapses (M1)" in text


def test_findings_of_one_cause_are_told_together() -> None:
    found = [Finding("a", "error", "A", role=role, detail=f"Of {role}.") for role in ("Q", "K", "V")]
    ((step, one),) = told_together((7, each) for each in found)
    assert (step, one.role, one.detail) == (7, "", "Of Q. The same holds for K and V.")
    assert told_together([(1, found[0]), (2, found[0])]) == [(1, found[0]), (2, found[0])]


def test_names_are_harmless() -> None:
    text = str(page(series(*(row(step, 0, 10.0, "<b>") for step in (0, 1)), name="<script>", labels={1: "<i>"})))
    assert "<b>" not in text.replace("<dd><b>", "")
    assert "<script>\n" not in text
    assert "<i>" not in text


@pytest.mark.slow
def test_long_runs_stay_small() -> None:
    rows = [row(step, layer, 10.0 + layer) for step in range(MOST_STEPS + 30) for layer in range(100)]
    assert len(page(series(*rows))) < 1_500_000


def test_longer_runs_are_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat, "MOST_STEPS", 12)
    monkeypatch.setattr(heat, "MOST_LAYERS", 6)
    short, long = (
        len(page(series(*(row(step, layer, 10.0 + layer) for step in range(many) for layer in range(many)))))
        for many in (12, 48)
    )
    assert long < 1.5 * short  # of 16 times as many numbers


@pytest.mark.parametrize(("many", "most"), [(10, MOST_STEPS), (1000, MOST_STEPS), (1000, MOST_LAYERS)])
def test_evenly_chosen_steps_have_both_ends(many: int, most: int) -> None:
    found = chosen(list(range(many)), most)
    assert (found[0], found[-1], len(found)) == (0, many - 1, min(many, most))
    assert len(set(found)) == len(found)


def test_steps_that_grow_by_factors_lie_on_a_logarithmic_axis() -> None:
    assert not axis_of_steps(range(0, 1000, 10)).logarithmic
    pythia = [0, *(2**power for power in range(10)), *range(1000, 20000, 6000)]
    assert axis_of_steps(pythia).logarithmic
    axis = axis_of_steps(pythia)
    assert [axis.at(pythia[0]), axis.at(pythia[-1])] == [0.0, 1.0]


@pytest.mark.parametrize(
    "axis", [Axis(1, 100, True), Axis(2.1, 2.9, True), Axis(0, 85), Axis(3, 3), Axis(1e-9, 1e9, True)]
)
def test_ticks_lie_on_the_axis(axis: Axis) -> None:
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 7
    assert all(axis.low <= tick <= axis.high * (1 + 1e-12) for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (10.77, 10.86, "10.78 10.8 10.82 10.84 10.86"),
        (1.0, 1000.0, "1 10 100 1000"),
        (3.0, 3.0, "3"),
        (0.01009, 0.01041, "0.0101 0.0102 0.0103 0.0104"),
    ],
)
def test_no_two_ticks_say_the_same(low: float, high: float, texts: str) -> None:
    ticks = Axis(low, high, logarithmic=True).ticks()
    assert " ".join(tick_texts(ticks)) == texts


def test_shades_are_in_range() -> None:
    assert [shade(0.0), shade(0.5), shade(1.0)] == [0, SHADES // 2, SHADES - 1]


def test_the_columns_are_these() -> None:
    assert SERIES_NAMES[:7] == ("step", "due", "kind", "stack", "layer", "expert", "role")
