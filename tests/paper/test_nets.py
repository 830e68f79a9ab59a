"""Networks in batches, against autograd, one network at a time, and the package's own spectral norms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

import weightaudit as wa
from weightaudit.paper import nets
from weightaudit.paper.nets import Activation, Weights

WIDTHS = (7, 5, 4, 1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(count: int, dtype: torch.dtype = torch.float64, *, shared: bool = False) -> tuple[Weights, Tensor, Tensor]:
    """``count`` networks, 11 inputs (each network its own, or shared) and labels."""
    generator = seeded(3)
    weights = nets.initialise(WIDTHS, count, generator=generator, dtype=dtype, scale=1.5)
    x = torch.randn((11, 7) if shared else (count, 11, 7), generator=generator, dtype=dtype)
    y = torch.randint(0, 2, x.shape[:-1], generator=generator).to(dtype) * 2 - 1
    return weights, x, y


def plain_score(matrices: list[Tensor], x: Tensor, activation: Activation) -> Tensor:
    """f(x) of one network at one input, by the definition."""
    for W in matrices[:-1]:
        x = W @ x
        x = x.clamp(min=0) if activation == "relu" else x
    return (matrices[-1] @ x).squeeze()


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("shared", [False, True])
def test_scores_and_gradients_are_those_of_one_net_at_a_time_by_autograd(activation: Activation, shared: bool) -> None:
    weights, x, y = some(3, shared=shared)
    loss, gradients, scores = nets.loss_and_gradients(weights, x, y, activation)
    torch.testing.assert_close(nets.forward(weights, x, activation), scores, rtol=0, atol=0)
    for i in range(3):
        own = [W[i].clone().requires_grad_() for W in weights]
        inputs, labels = (x, y) if shared else (x[i], y[i])
        own_scores = torch.stack([plain_score(own, point, activation) for point in inputs])
        own_loss = torch.log1p(torch.exp(-labels * own_scores)).mean()
        own_loss.backward()
        torch.testing.assert_close(scores[i], own_scores.detach(), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(loss[i], own_loss.detach(), rtol=1e-12, atol=1e-14)
        for W, G in zip(own, gradients, strict=True):
            torch.testing.assert_close(G[i], W.grad, rtol=1e-11, atol=1e-14)


def test_float32_follows_float64() -> None:
    weights, x, y = some(2)
    _, exact, _ = nets.loss_and_gradients(weights, x, y, "relu")
    _, single, _ = nets.loss_and_gradients([W.float() for W in weights], x.float(), y.float(), "relu")
    for a, b in zip(exact, single, strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b.double(), rtol=1e-4, atol=1e-6)


def test_the_loss_neither_overflows_nor_loses_digits() -> None:
    margins = torch.tensor([-800.0, -1.0, 0.0, 1.0, 30.0, 800.0], dtype=torch.float64)
    expected = [800.0, 1 + math.log1p(math.exp(-1)), math.log(2), math.log1p(math.exp(-1)), math.exp(-30), 0.0]
    torch.testing.assert_close(nets.logistic(margins), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_mean_loss_by_hand() -> None:
    scores = torch.tensor([[0.0, 1.0], [2.0, -3.0]], dtype=torch.float64)
    y = torch.tensor([1.0, -1.0], dtype=torch.float64)
    by_hand = [(math.log(2) + math.log(1 + math.e)) / 2, (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-3))) / 2]
    torch.testing.assert_close(nets.mean_loss(scores, y), torch.tensor(by_hand, dtype=torch.float64))


def test_initial_weights_do_not_depend_on_how_many_networks_follow() -> None:
    few = nets.initialise(WIDTHS, 2, generator=seeded(), scale=1.0)
    many = nets.initialise(WIDTHS, 5, generator=seeded(), scale=1.0)
    assert [W.shape[1:] for W in many] == [(5, 7), (4, 5), (1, 4)]
    for a, b in zip(few, many, strict=True):
        assert torch.equal(a, b[:2])
    assert not torch.equal(many[0][0], many[0][1])


def test_initial_weights_have_the_spread_they_say() -> None:
    (W,) = nets.initialise((400, 50), 4, generator=seeded(), dtype=torch.float64, scale=2.0)
    # 80,000 entries of standard deviation 0.1: the sample's own lies within 2 % by eight of its standard errors.
    assert W.std().item() == pytest.approx(0.1, rel=0.02)


def test_stable_ranks_agree_with_the_certified_measure() -> None:
    weights, _, _ = some(3, torch.float32)
    ranks = nets.stable_ranks(weights)
    frobenius = nets.norms(weights)
    assert ranks.dtype == torch.float64
    assert ranks.shape == frobenius.shape == (3, 3)
    for i, k in itertools.product(range(3), range(3)):
        spectrum = wa.measure(weights[k][i], method="exact")
        assert ranks[i, k].item() == pytest.approx(spectrum.stable_rank, rel=1e-6)
        assert frobenius[i, k].item() == pytest.approx(spectrum.frobenius_norm, rel=1e-6)


def test_stable_ranks_of_matrices_one_knows() -> None:
    planted = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    ranks = nets.stable_ranks([torch.stack([torch.eye(3), planted, planted * 1e-30, torch.zeros(3, 3)])])
    assert ranks[:3, 0].tolist() == pytest.approx([3.0, 14 / 9, 14 / 9])
    assert ranks[3, 0].isnan()


def test_merging_is_by_layer() -> None:
    a, x, _ = some(2)
    b, _, _ = some(2)
    b = [W * 3 for W in b]
    for A, S, M in zip(a, nets.summed(a, b), nets.averaged(a, b), strict=True):
        torch.testing.assert_close(S, A * 4)
        torch.testing.assert_close(M, A * 2)
    # f is homogeneous of degree 3 in these weights, so 4³ and 2³ times the scores.
    scores = nets.forward(a, x, "relu")
    torch.testing.assert_close(nets.forward(nets.summed(a, b), x, "relu"), scores * 64)
    torch.testing.assert_close(nets.forward(nets.averaged(a, b), x, "relu"), scores * 8)


def test_networks_picked_and_repeated() -> None:
    weights, x, _ = some(3, shared=True)
    twice = nets.repeated(weights, 2)
    scores = nets.forward(weights, x, "relu")
    torch.testing.assert_close(nets.forward(twice, x, "relu"), scores.repeat_interleave(2, dim=0))
    torch.testing.assert_close(nets.forward(nets.picked(twice, [0, 2, 4]), x, "relu"), scores)
