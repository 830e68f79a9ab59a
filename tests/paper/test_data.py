"""Synthetic tasks: inputs on the sphere, in their block of coordinates, labelled as they say; draws by name."""

from __future__ import annotations

import math

import pytest
import torch

from weightaudit.paper.data import LABELLINGS, generator_for, labels, sphere_inputs


def test_inputs_lie_on_the_sphere_in_their_block() -> None:
    x = sphere_inputs(50, 12, generator=generator_for(0, "x"), support=slice(4, 12), dtype=torch.float64)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(50, dtype=torch.float64))
    assert (x[:, :4] == 0).all()
    assert (x[:, 4:] != 0).all()
    other = sphere_inputs(50, 12, generator=generator_for(1, "x"), support=slice(0, 4), dtype=torch.float64)
    assert (x @ other.T == 0).all()


def test_directions_are_uniform() -> None:
    """Mean 0 and E xxᵀ = I/d, within five standard errors of 20,000 points."""
    d, n = 5, 20_000
    x = sphere_inputs(n, d, generator=generator_for(3), dtype=torch.float64)
    assert x.mean(0).abs().max() < 5 / math.sqrt(d * n)
    assert (x.T @ x / n - torch.eye(d) / d).abs().max() < 5 * math.sqrt(3 / (d * (d + 2)) / n)


def test_labels_are_the_function_of_one_inner_product() -> None:
    x = sphere_inputs(200, 6, generator=generator_for(0, "x"), dtype=torch.float64)
    for name, function in {"linear": lambda z: z, "sine": lambda z: math.sin(4 * z)}.items():
        y = labels(x, name, generator=generator_for(0, "w"))
        w = torch.randn(6, generator=generator_for(0, "w"), dtype=torch.float64)
        assert y.dtype == x.dtype
        assert y.tolist() == [1.0 if function(z) >= 0 else -1.0 for z in (x @ w).tolist()]
        assert set(y.tolist()) == {-1.0, 1.0}
    assert set(LABELLINGS) == {"linear", "sine"}


def test_labels_do_not_depend_on_the_inputs_precision() -> None:
    y = [
        labels(sphere_inputs(300, 6, generator=generator_for(0, "x"), dtype=t), "linear", generator=generator_for(1))
        for t in (torch.float32, torch.float64)
    ]
    assert torch.equal(y[0].double(), y[1])


@pytest.mark.parametrize("other", [(1, "inputs", 3), (0, "labels", 3), (0, "inputs", 4), (0, "inputs", 3, 0)])
def test_every_name_has_a_draw_of_its_own(other: tuple[object, ...]) -> None:
    drawn = torch.randn(8, generator=generator_for(0, "inputs", 3))
    assert torch.equal(drawn, torch.randn(8, generator=generator_for(0, "inputs", 3)))
    assert not torch.equal(drawn, torch.randn(8, generator=generator_for(*other)))  # type: ignore[arg-type]
