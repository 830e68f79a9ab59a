"""The rules for series: planted collapses and explosions are found, healthy runs bring no alarm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from weightaudit.records import Place, SeriesRow
from weightaudit.training.collapse import FEW, SUDDEN, collapses
from weightaudit.training.explosion import GROWTH, LARGE
from weightaudit.training.medians import LEAST_SIDE
from weightaudit.training.rules import judged


def row(step: int, layer: int | None, rank: float, *, entry: float = 0.02, side: int = 64, **more: object) -> SeriesRow:
    values: dict[str, object] = {
        "step": step,
        "due": step,
        "kind": "matrix",
        "place": Place("", layer, None, "M1"),
        "rows": side,
        "cols": side,
        "frobenius_norm": entry * side,
        "stable_rank": rank,
        "tensors": (f"h.{layer}.w",),
    }
    return SeriesRow(**{**values, **more})  # type: ignore[arg-type]  # some of its fields


def series(*ranks: float, entries: tuple[float, ...] = ()) -> list[SeriesRow]:
    return [
        row(100 * i, layer, rank, entry=entries[i] if entries else 0.02)
        for i, rank in enumerate(ranks)
        for layer in range(4)
    ]


def test_a_role_that_falls_to_few_directions_is_told_once() -> None:
    found = judged(series(30, 20, 10, 1.9, 1.5, 1.2))
    assert [(step, one.id, one.role) for step, one in found] == [(300, "collapsing-stable-rank", "M1")]
    assert found[0][1].threshold == FEW
    assert "at step 0 it was 30" in found[0][1].detail


@pytest.mark.parametrize(
    "ranks",
    [
        (30, 20, 10, 2.0),  # at the threshold
        (3.9, 1.5, 1.2),  # never had more
        (1.2, 1.1),
        (128, 60, 33, 21, 16, 13, 11, 10, 9.5),  # as from a random start
    ],
)
def test_what_is_no_collapse(ranks: tuple[float, ...]) -> None:
    assert judged(series(*ranks)) == []


def test_a_sudden_fall_is_told_after_five_measurements() -> None:
    steady = (20.0, 19.0, 18.0, 17.0, 16.0)
    assert [step for step, _ in judged(series(*steady, 7.9))] == [500]
    assert judged(series(*steady, SUDDEN * 16.0)) == []
    assert judged(series(*steady[:4], 7.0)) == []


def test_a_role_that_comes_back_and_falls_again_is_told_again() -> None:
    assert [one.step for one in collapses(list(enumerate([10, 1.5, 1.4, 5, 1.5])))] == [1, 4]


def test_one_bad_layer_is_no_collapse_of_its_role() -> None:
    rows = [*series(30, 30), *(row(200, layer, 1.1 if layer == 0 else 30) for layer in range(4))]
    assert judged(rows) == []


def test_small_matrices_and_those_outside_layers_do_not_count() -> None:
    small = LEAST_SIDE - 1
    assert judged([row(0, 0, 10, side=small), row(1, 0, 1.1, side=small)]) == []
    assert judged([row(0, None, 10), row(1, None, 1.1)]) == []


def test_weights_that_grow_beyond_measure_are_told() -> None:
    found = judged(series(30, 30, 30, entries=(0.02, 0.5, 1.1)))
    assert [(step, one.id, one.severity) for step, one in found] == [(200, "exploding-weights", "error")]
    assert found[0][1].threshold == LARGE


@pytest.mark.parametrize(
    "entries",
    [
        (0.02, 0.3, LARGE),  # large and not above
        (2.0, 5.0, 2.0 * GROWTH),  # made large, and not grown by so much
        (0.0, 1e-6, 0.01, 0.05),  # a factor of an adapter, which begins at zero
    ],
)
def test_growth_that_is_none_of_a_run_that_diverges(entries: tuple[float, ...]) -> None:
    assert judged(series(*(30.0 for _ in entries), entries=entries)) == []


def test_the_first_step_with_nonfinite_weights_is_told() -> None:
    dead: dict[str, Any] = {"nonfinite": 3, "frobenius_norm": math.nan}
    rows = [*series(30, 30), row(200, 0, 30), row(200, 1, math.nan, **dead), row(300, 2, math.nan, **dead)]
    ((step, found),) = judged(rows)
    assert (step, found.id, found.tensors) == (200, "nonfinite-training", ("h.1.w",))
    assert "after step 100 none had" in found.detail


@pytest.mark.parametrize("runs", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_alarm_over_random_healthy_runs(runs: int) -> None:
    """Falls like a power of the step from a random start to any level, with noise, at any spacing. What alarms at one
    run of thirty is seen with a certainty of 96 %.
    """
    rng = np.random.default_rng(0)
    for _ in range(runs):
        start, end = rng.uniform(20, 400), rng.uniform(3, 15)
        power, steps = rng.uniform(0.2, 1.0), np.arange(30) * rng.integers(10, 2000)
        ranks = end + (start - end) / (1 + steps / rng.uniform(100, 3000)) ** power
        noisy = ranks * rng.lognormal(0, 0.08, len(steps))
        assert judged(series(*noisy.tolist())) == []


def test_a_measurement_that_was_cut_short_is_no_collapse() -> None:
    """The first layer has a low rank throughout; alone it is the whole of the last measurement."""
    ranks = {0: 1.2, 1: 30.0, 2: 31.0, 3: 32.0}
    rows = [row(step, layer, rank) for step in (0, 10, 20) for layer, rank in ranks.items()]
    assert judged(rows) == []
    assert judged([*rows, row(30, 0, 1.2)]) == []
    assert judged([*rows, row(30, 0, 1.2), row(30, 1, 30.0)]) == []
    whole = [row(30, layer, 1.2) for layer in ranks]
    assert [found.id for _, found in judged([*rows, *whole])] == ["collapsing-stable-rank"]
