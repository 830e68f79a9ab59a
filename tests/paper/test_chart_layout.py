"""Charts as data, and what page and PNG agree on."""

from __future__ import annotations

import math

import pytest

from tests.support.toy_experiment import charts
from weightaudit.paper import chart_layout
from weightaudit.paper.charts import Chart, Series, banded
from weightaudit.paper.plots import figures, payload


def panel(*names: str, column: int = 0) -> Chart:
    return Chart("", "", "", tuple(Series(name, [0], [0]) for name in names), panel=(0, column))


def test_a_series_whose_lengths_differ_is_a_bug() -> None:
    with pytest.raises(ValueError, match=r"'a'.*2 values for 3 places"):
        Series("a", [1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="both low and high"):
        Series("a", [1], [1], low=[0])


def test_a_band_is_one_standard_deviation_to_either_side() -> None:
    assert banded("a", [1, 2], [5.0, 7.0], [1.0, 0.5], [True, False]) == Series(
        "a", [1, 2], [5.0, 7.0], low=[4.0, 6.5], high=[6.0, 7.5], marked=[True, False]
    )


def test_a_group_keeps_its_look_and_those_that_meet_differ() -> None:
    numbers = chart_layout.numbering([panel("a", "b"), panel("c", "b", column=1), panel("a", "c", column=2)])
    assert len({numbers["a"], numbers["b"], numbers["c"]}) == 3
    apart = chart_layout.numbering([panel("a", "b"), panel("c", "d", column=1)])
    assert apart["a"] == apart["c"]
    many = chart_layout.numbering([panel(*map(str, range(20)))])
    assert sorted(many.values())[: len(chart_layout.COLOURS)] == list(range(len(chart_layout.COLOURS)))
    assert len(set(chart_layout.COLOURS)) == 8


def test_series_of_a_group_share_a_colour() -> None:
    two = Chart("", "", "", (Series("own", [1], [1], group="λ"), Series("merged", [1], [1], group="λ", style="dashed")))
    first, second = figures([two])[0]["data"]
    assert first["line"]["color"] == second["line"]["color"]
    assert (first["line"]["dash"], second["line"]["dash"]) == ("solid", "dash")


@pytest.mark.parametrize(
    ("x", "zero"),
    [([0, 1e-4, 1e-3], 1e-5), ([0, 1e-4, 1e-1], 1e-5), ([0, 2, 3], 1.0), ([0, 5], 0.5), ([1, 2], None), ([0], None)],
)
def test_where_zero_is_on_a_logarithmic_axis(x: list[float], zero: float | None) -> None:
    chart = Chart("", "", "", (Series("a", x, x),), log_x=True)
    assert chart_layout.zero_place(chart) == (None if zero is None else pytest.approx(zero))
    ticks = chart_layout.x_ticks(chart)
    if zero is None:
        assert ticks is None
    else:
        assert ticks is not None
        assert ticks.labels[0] == "0"
        assert ticks.places[0] == pytest.approx(zero)
        assert chart_layout.x_places(chart, chart.series[0])[0] == pytest.approx(zero)


def test_ticks_are_decades_or_the_values() -> None:
    wide = chart_layout.x_ticks(Chart("", "", "", (Series("a", [0, 1e-5, 3e-4, 1e-3], [0] * 4),), log_x=True))
    assert wide is not None
    assert wide.labels == ("0", "1e-05", "0.0001", "0.001")
    narrow = chart_layout.x_ticks(Chart("", "", "", (Series("a", [0, 2, 5], [0] * 3),), log_x=True))
    assert narrow is not None
    assert narrow.labels == ("0", "2", "5")


def test_what_a_logarithmic_axis_cannot_show_is_a_gap() -> None:
    first, second = charts()
    _, cloud = second, figures([first, second])[1]["data"][0]
    assert cloud["y"] == [None, 1e-9, 1e3]
    negative = Chart("", "", "", (Series("a", [-1, 1], [1, 1]),), log_x=True)
    assert math.isnan(chart_layout.x_places(negative, negative.series[0])[0])


def test_a_band_is_one_shape_for_each_stretch_without_gaps() -> None:
    band, line, *_ = figures(charts())[0]["data"]
    assert line["y"] == [0.4, None, 0.6, 0.7]
    # Around the first point alone, then around the last two, there and back.
    assert band["y"] == [0.5, 0.3, None, 0.7, 0.8, 0.6, 0.5]
    assert band["x"].count(None) == 1
    assert line["customdata"][0] == 0.0  # what the hover says, wherever it is drawn


def test_a_band_that_reaches_below_a_logarithmic_axis_goes_to_its_bottom() -> None:
    series = Series("a", [0, 1, 2], [1.0, 2.0, 3.0], low=[0.5, -1.0, math.nan], high=[2.0, 3.0, 4.0])
    chart = Chart("", "", "", (series, Series("b", [0], [0.1])), log_y=True)
    low, high = chart_layout.band_places(chart, series)
    assert low[:2] == [0.5, 0.1]
    assert math.isnan(low[2])
    assert high == [2.0, 3.0, 4.0]
    assert figures([chart])[0]["data"][0]["y"] == [2.0, 3.0, 0.1, 0.5]
    assert chart_layout.band_places(chart, chart.series[1]) == ([], [])


def test_hollow_points() -> None:
    symbols = figures(charts())[0]["data"][2]["marker"]["symbol"]
    assert [symbol.endswith("-open") for symbol in symbols] == [False, False, False, True]


def test_two_charts_in_one_panel_are_a_bug() -> None:
    assert chart_layout.panels(charts()) == (2, 2)
    with pytest.raises(ValueError, match="share a panel"):
        chart_layout.panels([panel("a"), panel("b")])


def test_counted_things_have_whole_ticks() -> None:
    layers = Chart("", "", "", (Series("a", [0, 1, 2], [1, 1, 1]),))
    steps = Chart("", "", "", (Series("a", [0, 5000], [1, 1]),))
    rates = Chart("", "", "", (Series("a", [0, 0.5], [1, 1]),))
    assert [chart_layout.counts(chart) for chart in (layers, steps, rates)] == [True, True, False]
    first, second, third = (figure["layout"]["xaxis"] for figure in figures([layers, steps, rates]))
    assert first["ticktext"] == ["0", "1", "2"]
    assert second["ticktext"] == ["0", "2,000", "4,000"]
    assert "ticktext" not in third


def test_ticks_of_a_page_with_a_zero_are_few_and_readable() -> None:
    decays = [0, *(10.0**power for power in range(-9, 1))]
    chart = Chart("", "", "", (Series("a", decays, decays),), log_x=True, log_y=True)
    (figure,) = figures([chart])
    x, y = figure["layout"]["xaxis"], figure["layout"]["yaxis"]
    assert x["ticktext"][:3] == ["0", "10<sup>−9</sup>", "10<sup>−7</sup>"]
    assert len(x["tickvals"]) == len(x["ticktext"]) == 6
    assert y["tickvals"][0] == pytest.approx(1e-9)
    nothing = Chart("", "", "", (Series("a", [1.0, 2.0], [0.0, -1.0]),), log_y=True)
    assert "tickvals" not in figures([nothing])[0]["layout"]["yaxis"]


def test_every_light_colour_has_its_dark_one() -> None:
    dark = payload(charts())["dark"]
    assert list(dark) == list(chart_layout.COLOURS)
    assert set(dark) & set(dark.values()) == set()
