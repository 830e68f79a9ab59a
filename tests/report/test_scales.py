"""One scale for the cards and the charts of a number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import factory
from weightaudit.report.html.payload import payload
from weightaudit.report.scales import Scale, ends_of, scale_of
from weightaudit.report.style import LINES, SPECTRUM_LINES

FROBENIUS, STABLE_RANK = LINES


def test_a_number_has_the_scale_that_suits_it_unless_values_lie_far_apart() -> None:
    rows = [row for row in factory.bert().rows if row.matrix.layer is not None]
    assert scale_of(rows, FROBENIUS).name == "linear"
    assert scale_of(rows, STABLE_RANK).name == "log"
    far = replace(rows[0], spectrum=replace(rows[0].spectrum, frobenius_norm=1e4))
    assert scale_of([*rows, far], FROBENIUS).name == "log"


def test_charts_have_the_scale_of_the_cards() -> None:
    for report in (factory.bert(), factory.judged(), factory.mixture(2, 8), factory.all_nan()):
        layered = [row for row in report.rows if row.matrix.layer is not None]
        told = {line["id"]: line["scale"] for line in payload(report)["lines"]}
        assert told == {figure.id: scale_of(layered, figure).name for figure in LINES}


def test_shares() -> None:
    assert Scale(2.0, 8.0, logarithmic=False).share(2.0) == 0.25
    assert Scale(2.0, 8.0, logarithmic=True).share(4.0) == pytest.approx(0.5)
    assert Scale(2.0, 8.0, logarithmic=True).share(0.0) == 0.0
    assert Scale(3.0, 3.0, logarithmic=True).share(3.0) == 0.5


def test_what_is_not_known_has_no_ends() -> None:
    (end,) = ends_of(factory.bert().rows[0], SPECTRUM_LINES[0])
    assert end != end
