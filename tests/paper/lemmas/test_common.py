"""What the checks share: both sides of a bound, told and drawn from planted points."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from weightaudit.paper.lemmas.common import sides_at_end, sides_charts

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
