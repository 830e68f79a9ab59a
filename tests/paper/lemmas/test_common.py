"""What the checks share: both sides of a bound, told and drawn from planted points."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
import torch

from weightaudit.paper.lemmas.common import (
    ENOUGH,
    nearest_to_bound,
    recorded,
    sides_at_end,
    sides_charts,
    table,
    vanishes,
)

POINTS = pd.DataFrame(
    [
        {"draw": draw, "lambda": decay, "epsilon": epsilon, "step": step, "lhs": left, "rhs": 10 * left}
        for draw, decay, epsilon, step in itertools.product((0, 1, 2), (0.1, 0.2), (0.0, 0.5), (0, 8))
        for left in [1 + draw + 100 * epsilon + 1000 * step]
    ]
)


def test_both_sides_at_the_end_by_epsilon() -> None:
    numbers = sides_at_end(POINTS, "step")
    assert {name: value for name, value in numbers.items() if name.endswith("mean")} == {
        "left side at the end, ε = 0: mean": 8002.0,
        "right side at the end, ε = 0: mean": 80020.0,
        "left side at the end, ε = 0.5: mean": 8052.0,
        "right side at the end, ε = 0.5: mean": 80520.0,
    }


@pytest.mark.parametrize("log_x", [True, False])
def test_both_sides_against_epsilon_and_along_the_run(log_x: bool) -> None:
    titles = ("end", "run")
    end, along = sides_charts(POINTS, "step", titles=titles, what="T", left="‖W'x‖", label="length", log_x=log_x)
    assert (end.title, end.x_label, end.y_label, end.log_x) == ("end", "ε", "length", True)
    assert (along.title, along.x_label, along.y_label, along.log_x) == ("run, ε = 0", "T", "length", log_x)
    left, right, *_ = end.series
    assert (left.name, left.style, left.group) == ("‖W'x‖, λ = 0.1", "line", "0.1")
    assert (right.name, right.style, right.group) == ("bound, λ = 0.1", "dashed", "0.1")
    assert (left.x, left.y, left.low, left.high) == ([0.0, 0.5], [8002.0, 8052.0], [8001.0, 8051.0], [8003.0, 8053.0])
    assert (along.series[1].x, along.series[1].y) == ([0.0, 8.0], [20.0, 80020.0])


def test_a_table_has_a_row_each_and_what_they_share() -> None:
    made = table({"part": "p", "draw": range(2), "lhs": torch.tensor([0.5, 1.5]), "held": True})
    assert made.to_dict("records") == [
        {"part": "p", "draw": 0, "lhs": 0.5, "held": True},
        {"part": "p", "draw": 1, "lhs": 1.5, "held": True},
    ]


def test_the_input_nearest_to_its_bound_brings_its_own_sides() -> None:
    left = torch.tensor([[1.0, 5.0, 2.0], [4.0, 1.0, 9.0]], dtype=torch.float64)
    right = torch.tensor([[2.0, 20.0, 8.0], [2.0, 1.0, 3.0]], dtype=torch.float64)
    found = nearest_to_bound(left, rhs=right, other=10 * right)
    assert {name: values.tolist() for name, values in found.items()} == {
        "lhs": [1.0, 9.0],
        "rhs": [2.0, 3.0],
        "other": [20.0, 30.0],
        "failing": [0, 2],  # an equality is none
    }
    # Where a run has diverged nothing is hidden behind the inputs that are finite.
    left[0, 1] = torch.nan
    assert nearest_to_bound(left, rhs=right)["lhs"][0].isnan()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (4000, [0, 10, 32, 100, 316, 1000, 3162, 4000]),
        (100, [0, 10, 32, 100]),
        (32, [0, 10, 32]),
        (10, [0, 10]),
        (3, [0, 3]),
    ],
)
def test_a_run_is_recorded_at_its_ends_and_twice_a_decade(steps: int, expected: list[int]) -> None:
    assert recorded(steps) == expected


@pytest.mark.parametrize(
    ("size", "draws", "expected"),
    [(0.001, ENOUGH, "true"), (0.1, ENOUGH, "false"), (0.001, ENOUGH - 1, "inconclusive")],
)
def test_what_vanishes_does_so_on_enough_draws(size: float, draws: int, expected: str) -> None:
    points = pd.DataFrame({"draw": range(draws), "gap": [size * (1 + 0.01 * draw) for draw in range(draws)]})
    found, outcome = vanishes(points, "gap", 0.01)
    assert (found.draws, outcome) == (draws, expected)
