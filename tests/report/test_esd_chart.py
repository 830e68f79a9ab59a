"""The eigenvalues of one matrix as a Figure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import pytest

from tests.report.full_spectra import SPIKES, asked
from tests.support import factory
from weightaudit import ScanReport
from weightaudit.errors import UsageError
from weightaudit.records import OTHER, FullSpectrum, Part
from weightaudit.report.densities import curve_points, random_density, tail_density


def first_of(report: ScanReport, name: str) -> FullSpectrum:
    (row,) = [row for row in report.rows if row.matrix.place.words() == name]
    assert row.spectrum.full
    return row.spectrum.full


def test_a_matrix_is_drawn_beside_what_it_is_compared_with() -> None:
    report = asked(factory.bert(3))
    figure = report.plot(kind="esd", matrix="layer 1 Q")
    full = first_of(report, "layer 1 Q")
    assert full.tail
    names = [trace.name for trace in figure.data]
    assert names[:3] == ["eigenvalues", "shuffled entries", "Marchenko–Pastur"]
    assert names[3].startswith("power law, α = " if full.tail.fits else "no power law fits, α = ")
    assert (figure.data[3].x[0], figure.data[3].x[-1]) == pytest.approx((full.tail.x_min, full.tail.x_max))
    assert f"{SPIKES} spikes" in figure.layout.title.text
    edges, heights = figure.data[0].x, figure.data[0].y
    inside = sum(
        height * (high - low)
        for height, low, high in zip(heights[1:-1], edges[1:], edges[2:], strict=False)
        if height > min(heights)
    )
    assert inside == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("kind", ["esd", "spectrum"])
def test_names_are_no_markup(kind: Literal["esd", "spectrum"]) -> None:
    """Plotly would make a link of one: the names of a model's tensors are anybody's."""
    report = asked(factory.bert(1))
    matrix = replace(report.rows[0].matrix, role=OTHER, layer=None, parts=(Part("<a href='https://e'>x</a>"),))
    report = replace(report, rows=(replace(report.rows[0], matrix=matrix),))
    drawn = report.plot(kind=kind, matrix=matrix.place.words()).to_json()
    assert "&lt;a href" in drawn
    assert "<a href" not in drawn.replace("\\u003c", "<")


def test_what_is_not_known_is_not_drawn() -> None:
    report = asked(factory.bert(1))
    bare = tuple(
        replace(row, spectrum=replace(row.spectrum, full=FullSpectrum((2.0, 1.0), 0.0, (), None, None, ())))
        for row in report.rows
    )
    figure = replace(report, rows=bare).plot(kind="esd", matrix="layer 0 K")
    assert [trace.name for trace in figure.data] == ["eigenvalues"]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("layer 1 W", r"matrix 'layer 1 W': no matrix with a whole spectrum is called so. Did you mean layer"),
        ("", "this chart is of one matrix. Choose '"),
    ],
)
def test_a_matrix_that_there_is_not(matrix: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        asked(factory.bert(2)).plot(kind="esd", matrix=matrix)


def test_a_scan_without_whole_spectra() -> None:
    with pytest.raises(UsageError, match="Scan with spectrum='full'"):
        factory.bert(1).plot(kind="esd", matrix="layer 0 Q")


def test_densities_add_up_to_their_shares() -> None:
    full = first_of(asked(factory.bert(1)), "layer 0 K")
    count = len(full.singular_values)
    assert full.bulk
    assert full.tail

    def area(points: list[float], heights: list[float]) -> float:
        return math.fsum(
            (a + b) / 2 * (y - x) for x, y, a, b in zip(points, points[1:], heights, heights[1:], strict=False)
        )

    x = curve_points(full.bulk.lower**2 or 1e-9, full.bulk.upper**2, 20_000)
    assert area(x, [random_density(full.bulk, count, at) for at in x]) == pytest.approx(1 - SPIKES / count, rel=1e-3)
    x = curve_points(full.tail.x_min, full.tail.x_min * 1e12, 20_000)
    assert area(x, [tail_density(full.tail, count, at) for at in x]) == pytest.approx(full.tail.count / count, rel=1e-3)


def test_alpha_by_layer_has_its_interval_and_is_hollow_where_no_power_law_fits() -> None:
    report = asked(factory.bert(4))
    line = next(line for line in report.plot("alpha").data if line.name == "Q")
    tails = [first_of(report, f"layer {layer} Q").tail for layer in range(4)]
    known = [tail for tail in tails if tail]
    assert list(line.y) == pytest.approx([tail.alpha for tail in known], rel=1e-6)
    assert list(line.error_y.array) == pytest.approx([0.6] * 4, rel=1e-6)
    assert list(line.error_y.arrayminus) == pytest.approx([0.4] * 4, rel=1e-6)
    assert list(line.marker.symbol) == ["circle" if tail.fits else "circle-open" for tail in known]
    assert len(set(line.marker.symbol)) == 2
