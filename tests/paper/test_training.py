"""Descent in batches, against plain loops over one network, and against what weight decay does in closed form."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from weightaudit.paper import nets, training
from weightaudit.paper.nets import Activation, Weights
from weightaudit.paper.training import Schedule, descend, single_threaded

WIDTHS = (6, 5, 4, 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(count: int, points: int = 9) -> tuple[Weights, Tensor, Tensor]:
    generator = seeded(1)
    weights = nets.initialise(WIDTHS, count, generator=generator, dtype=torch.float64, scale=1.5)
    x = torch.randn(count, points, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 2, (count, points), generator=generator).double() * 2 - 1
    return weights, x, y


def by_autograd(
    start: list[Tensor], x: Tensor, y: Tensor, rate: float, decay: float, orders: list[Tensor], activation: Activation
) -> list[Tensor]:
    """One network, one step per order: gradient descent on L + (λ/2)‖θ‖² as torch's autograd sees it."""
    matrices = [W.clone().requires_grad_() for W in start]
    for points in orders:
        h = x[points].T
        for W in matrices[:-1]:
            h = torch.relu(W @ h) if activation == "relu" else W @ h
        loss = torch.nn.functional.softplus(-y[points] * (matrices[-1] @ h).squeeze(0)).mean()
        loss = loss + decay / 2 * sum((W**2).sum() for W in matrices)
        gradients = torch.autograd.grad(loss, matrices)
        with torch.no_grad():
            for W, G in zip(matrices, gradients, strict=True):
                W -= rate * G
    return [W.detach() for W in matrices]


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_gradient_descent_is_that_of_one_net_at_a_time(activation: Activation) -> None:
    weights, x, y = problem(5)
    decay = torch.tensor([0.0, 1e-3, 1e-2, 0.1, 0.5])
    # Groups of two leave a last group of one.
    ended = descend(weights, x, y, rate=0.3, decay=decay, steps=20, activation=activation, group_size=2)
    every_point = [torch.arange(9)] * 20
    for i in range(5):
        own = by_autograd([W[i] for W in weights], x[i], y[i], 0.3, decay[i].item(), every_point, activation)
        for W, V in zip(ended, own, strict=True):
            torch.testing.assert_close(W[i], V, rtol=1e-6, atol=1e-9)


def test_batches_take_every_point_once_a_pass_in_the_generators_order() -> None:
    weights, x, y = problem(3, points=10)
    ended = descend(
        weights, x, y, rate=0.2, decay=0.01, steps=7, activation="relu", batch=4, generator=seeded(5), group_size=2
    )
    generator = seeded(5)
    passes = [torch.randperm(10, generator=generator) for _ in range(3)]
    orders = [points for one in passes for points in (one[:4], one[4:8], one[8:])][:7]
    for i in range(3):
        own = by_autograd([W[i] for W in weights], x[i], y[i], 0.2, 0.01, orders, "relu")
        for W, V in zip(ended, own, strict=True):
            torch.testing.assert_close(W[i], V, rtol=1e-6, atol=1e-9)


def test_shared_inputs_and_labels_are_everybodys() -> None:
    weights, x, y = problem(4)
    shared = descend(weights, x[0], y[0], rate=0.2, decay=0.01, steps=5, activation="relu", group_size=3)
    own = descend(weights, x[:1].repeat(4, 1, 1), y[:1].repeat(4, 1), rate=0.2, decay=0.01, steps=5, activation="relu")
    for W, V in zip(shared, own, strict=True):
        torch.testing.assert_close(W, V, rtol=1e-12, atol=1e-14)


def test_without_a_gradient_weights_shrink_by_the_decay_alone() -> None:
    weights, x, y = problem(2)
    ended = descend(weights, x * 0, y, rate=0.5, decay=torch.tensor([0.0, 0.1]), steps=30, activation="relu")
    for W, V in zip(weights, ended, strict=True):
        torch.testing.assert_close(V[0], W[0])
        torch.testing.assert_close(V[1], W[1] * (1 - 0.05) ** 30)


def test_what_is_observed() -> None:
    weights, x, y = problem(3)
    before = [W.clone() for W in weights]
    seen: dict[int, tuple[Weights, Tensor]] = {}

    def observe(step: int, now: Weights, loss: Tensor) -> None:
        assert step not in seen
        seen[step] = [W.clone() for W in now], loss

    ended = descend(weights, x, y, rate=0.1, decay=0.01, steps=11, activation="relu", observe=observe, every=4)
    assert list(seen) == [0, 4, 8, 11]
    for W, original, at_start, at_end, V in zip(weights, before, seen[0][0], seen[11][0], ended, strict=True):
        assert torch.equal(W, original)
        assert torch.equal(W, at_start)
        assert torch.equal(at_end, V)
    for now, loss in seen.values():
        torch.testing.assert_close(loss, nets.mean_loss(nets.forward(now, x, "relu"), y), rtol=1e-12, atol=1e-14)
    # Stopping to look changes nothing.
    for W, V in zip(ended, descend(weights, x, y, rate=0.1, decay=0.01, steps=11, activation="relu"), strict=True):
        assert torch.equal(W, V)


def test_no_step_observes_once() -> None:
    weights, x, y = problem(1)
    steps: list[int] = []
    descend(
        weights, x, y, rate=1, decay=0, steps=0, activation="relu", observe=lambda step, w, loss: steps.append(step)
    )
    assert steps == [0]


@pytest.mark.parametrize("segment", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_many_steps_are_as_many_in_pieces(segment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More steps than the threads go between two meetings, with a pass that runs across them."""
    monkeypatch.setattr(training, "SEGMENT", segment)
    steps = 12 * segment // 5 + 3
    weights, x, y = problem(2)
    whole = descend(
        weights,
        x,
        y,
        rate=0.05,
        decay=0.01,
        steps=steps,
        activation="relu",
        batch=5,
        generator=seeded(2),
        every=11 * segment // 5,
    )
    one_by_one = descend(
        weights, x, y, rate=0.05, decay=0.01, steps=steps, activation="relu", batch=5, generator=seeded(2), every=7,
        observe=lambda *_: None,
    )  # fmt: skip
    for W, V in zip(whole, one_by_one, strict=True):
        assert torch.equal(W, V)


@pytest.mark.parametrize(
    "pairs",
    [
        ((1, None), (2, 1), (3, 4), (2, None)),
        pytest.param(tuple(itertools.product((1, 2, 3), (None, 1, 4))), marks=pytest.mark.slow),
    ],
    ids=["some", "all"],
)
def test_the_number_of_threads_changes_no_bit(pairs: tuple[tuple[int, int | None], ...]) -> None:
    generator = seeded(9)
    weights = nets.initialise((40, 64, 64, 1), 7, generator=generator, scale=1.4)
    x, y = torch.randn(7, 300, 40, generator=generator), torch.randn(7, 300, generator=generator).sign()
    before = torch.get_num_threads()
    ends = []
    try:
        for threads, workers in pairs:
            torch.set_num_threads(threads)
            ends.append(
                descend(weights, x, y, rate=0.5, decay=1e-3, steps=8, activation="relu", group_size=2, workers=workers)
            )
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for end in ends[1:]:
        for W, V in zip(ends[0], end, strict=True):
            assert torch.equal(W, V)


def test_one_thread_within_the_block_and_as_many_as_before_after_it() -> None:
    before = torch.get_num_threads()

    def fail_within() -> None:
        with single_threaded() as threads:
            assert threads == before
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_within()
    assert torch.get_num_threads() == before


def test_divergence_is_left_to_be_seen() -> None:
    weights, x, y = problem(1)
    ended = descend([W * 1e3 for W in weights], x, y, rate=1e150, decay=0, steps=60, activation="linear")
    assert not all(W.isfinite().all() for W in ended)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        (Schedule(100, measurements=4, ticks=5), [0, 25, 50, 75, 100]),
        (Schedule(7, measurements=3, ticks=10), [0, 2, 4, 6, 7]),
        (Schedule(2, measurements=5, ticks=5), [0, 1, 2]),
        (Schedule(22, measurements=3, ticks=3), [0, 6, 12, 18, 22]),
    ],
)
def test_a_schedule_measures_evenly_and_its_progress_adds_up(schedule: Schedule, due: list[int]) -> None:
    ticks = sorted({*range(0, schedule.total, schedule.tick), schedule.total})
    assert [step for step in ticks if schedule.is_due(step)] == due
    assert sum(map(schedule.since_tick, ticks)) == schedule.total
