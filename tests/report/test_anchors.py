"""Addresses of rows in their page."""

from __future__ import annotations

from dataclasses import replace

from tests.support import factory
from weightaudit.records import Place
from weightaudit.report.html.anchors import anchors, layer_view, view
from weightaudit.report.html.encoding import encoded
from weightaudit.report.html.payload import payload


def test_a_row_is_addressed_by_its_place() -> None:
    matrices = [row.matrix for row in factory.judged_mixture(2, 3).rows]
    found = anchors(matrices)
    assert len(set(found)) == len(matrices)
    assert {"#layer-0-Q", "#layer-1-expert-2-M1"} <= set(found)
    assert "#decoder-layer-0-XQ" in anchors([row.matrix for row in factory.seq2seq(1).rows])


def test_what_has_no_place_of_its_own_goes_by_number() -> None:
    one = factory.matrix("Q", 0, (2, 2), "a")
    odd = replace(one, role=factory.HOSTILE)
    assert anchors([one, odd, one, replace(one, layer=1)]) == ["#m-0", "#m-1", "#m-2", "#layer-1-Q"]


def test_no_address_is_that_of_a_section() -> None:
    found = anchors([factory.matrix(role, None, (2, 2), role) for role in ("summary", "EMBED", "m-1", "")])
    assert found == ["#m-0", "#EMBED", "#m-2", "#m-3"]


def test_views_hold_any_name() -> None:
    assert view(role="a&b=c#\ud800") == "#role=a%26b%3Dc%23%3F"
    assert layer_view(Place("decoder", 3, 7, "M1")) == "#filter=decoder+layer+3&role=M1"


def test_the_script_has_the_same() -> None:
    report = factory.bert()
    assert payload(report)["anchors"] == encoded(anchors([row.matrix for row in report.rows]))
