"""What all changes come to: which moved, what is common to all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.pairs.changes import LAYERS, NAN, change, explained, facts, low_rank, model, vector
from weightaudit.pairs.summary import settle, summarise
from weightaudit.records import Change, Kind, OneSided, Place
from weightaudit.spectral import measure


def shrunk(by: float, spread: float, kind: Kind = "dense") -> list[Change]:
    draw = np.random.default_rng(3)
    return [
        change(Place(layer=i, role="Q"), kind, entries=facts(inner=-100.0 * (by + spread * draw.standard_normal())))
        for i in range(16)
    ]


@pytest.mark.parametrize("kind", ["unrelated", "rotated", "dense"])
def test_what_stood_elsewhere_has_moved(kind: Kind) -> None:
    here, there = Place(layer=0, role="Q"), Place(layer=2, role="Q")
    (settled,) = settle([change(here, kind)], {"x": there}, {here.key: "x"})
    assert (settled.kind, settled.moved_from, settled.spectrum) == ("moved", there, None)


@pytest.mark.parametrize("kind", ["unchanged", "pruned"])
def test_what_stays_what_it_is(kind: Kind) -> None:
    """Of matrices of zeros one is another's twin, wherever it stands."""
    here, there = Place(layer=0, role="Q"), Place(layer=2, role="Q")
    assert settle([change(here, kind)], {"x": there}, {here.key: "x"}) == (change(here, kind),)
    other = change(here, "unrelated")
    assert settle([other], {"x": there}, {here.key: "y"}) == (other,)
    assert settle([other], {}, {}) == (other,)
    assert settle([other], {"": there}, {}) == (other,)  # of no digest


def test_kinds_are_counted() -> None:
    summary = summarise(model(Q=low_rank()), ())
    assert summary.kinds == {"unchanged": 5 * LAYERS + 1, "low rank": LAYERS}
    assert (summary.matrices, summary.vectors, summary.vector_kinds) == (6 * LAYERS + 1, 2, {"unchanged": 2})
    assert summary.relative == pytest.approx(math.sqrt(LAYERS * 0.01 / (100 * (6 * LAYERS + 1))))
    assert summary.largest == pytest.approx(0.01)
    assert not summary.identical


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_sizes_of_products_whose_squares_leave_float64(size: float) -> None:
    product = change(Place(role="Q"), "low rank", entries=None, spectrum=measure(np.full((4, 5), size)))
    summary = summarise([product, *model()], ())
    assert not 0.1 < summary.relative < 1e100
    assert summary.largest == 0.1


def test_identical_is_all_and_nothing_alone() -> None:
    assert summarise(model(), ()).identical
    assert not summarise(model(), [OneSided(Place(), ("x",), (3,), "base")]).identical
    assert not summarise([change(Place(role="EMBED"), shape=(70, 32), shape_base=(64, 32))], ()).identical
    assert not summarise([*model(), vector("b", "dense")], ()).identical
    assert not summarise((), ()).identical  # where nothing was compared


@pytest.mark.parametrize("by", [1e-3, -1e-3])
def test_a_shrinkage_common_to_all(by: float) -> None:
    assert summarise(shrunk(by, 1e-5), ()).decay == pytest.approx(by, rel=0.05)
    assert summarise(shrunk(by, 1e-2), ()).decay is None
    assert summarise(shrunk(by, 1e-5)[:3], ()).decay is None
    assert summarise(shrunk(by, 1e-5, "low rank"), ()).decay is None


def test_the_rank_that_most_have() -> None:
    ranks = [8, 8, 8, 7]
    some = [change(Place(layer=i, role="Q"), **low_rank(rank)) for i, rank in enumerate(ranks)]
    assert summarise(some, ()).rank == 8
    assert summarise([*some[2:]], ()).rank is None
    assert summarise(model(), ()).rank is None


def test_the_share_at_the_resolution_is_of_the_changed() -> None:
    assert summarise(model(Q={"kind": "at the resolution"}, V={"kind": "dense"}), ()).resolution == 0.5
    assert summarise(model(), ()).resolution == 0.0


def test_the_recipe_is_the_median_of_what_is_known() -> None:
    recipes = [explained(0.3, NAN, 0.0), explained(0.31, NAN, 0.0), explained(NAN, NAN, 0.0)]
    some = [change(Place(layer=i, role="Q"), "dense", recipe=one) for i, one in enumerate(recipes)]
    summary = summarise(some, ())
    assert summary.recipe == pytest.approx((0.305, NAN, 0.0), nan_ok=True)
    assert summary.recipe_exact
    one = change(Place(layer=9, role="Q"), "dense", recipe=explained(0.3, 0.7, 0.0, exact=False))
    assert not summarise([*some, one], ()).recipe_exact
    assert summarise(model(), ()).recipe == ()
