"""Descent within the span of the inputs, against the same descent in all dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from weightaudit.paper import nets
from weightaudit.paper.figure3.merging import within_subspace
from weightaudit.paper.nets import Weights
from weightaudit.paper.training import descend


def problem(points: int, dimension: int, rank: int, groups: int, each: int) -> tuple[Weights, Tensor, Tensor]:
    """Networks in groups; the inputs of a group lie in ``rank`` dimensions."""
    generator = torch.Generator().manual_seed(3)
    weights = nets.initialise((dimension, 6, 5, 1), groups * each, generator=generator, dtype=torch.float64, scale=1.5)
    factors = ((groups, points, rank), (groups, rank, dimension))
    left, right = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in factors)
    y = torch.randint(0, 2, (groups, points), generator=generator).double() * 2 - 1
    return weights, left @ right / dimension**0.5, y


@pytest.mark.parametrize(("points", "dimension", "rank"), [(7, 20, 7), (20, 7, 7), (9, 16, 4)])
def test_the_same_descent_in_fewer_dimensions(points: int, dimension: int, rank: int) -> None:
    start, x, y = problem(points, dimension, rank, groups=2, each=3)
    decay = torch.tensor([0.0, 1e-2, 0.1]).double().repeat(2)
    subspace, inside, seen = within_subspace(start, x)
    assert inside[0].shape == (6, 6, min(points, dimension))
    assert seen.shape == (2, points, min(points, dimension))

    def ended(weights: Weights, inputs: Tensor) -> Weights:
        each = (values.repeat_interleave(3, dim=0) for values in (inputs, y))
        return descend(weights, *each, rate=0.5, decay=decay, steps=40, activation="relu")

    lifted = subspace.lift(ended(inside, seen), (1 - 0.5 * decay) ** 40)
    for W, V, before in zip(lifted, ended(start, x), start, strict=True):
        torch.testing.assert_close(W, V, rtol=1e-9, atol=1e-11)
        assert (W - before).abs().max() > 1e-2  # it moved at all


def test_lifting_at_once_gives_back_what_was_there() -> None:
    start, x, _ = problem(5, 12, 5, groups=3, each=2)
    subspace, inside, seen = within_subspace(start, x)
    for W, before in zip(subspace.lift(inside, torch.ones(6).double()), start, strict=True):
        torch.testing.assert_close(W, before, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(seen @ seen.mT, x @ x.mT)
    # What lies outside sees none of the inputs.
    assert (subspace.outside.reshape(3, -1, 12) @ x.mT).abs().max() < 1e-12
