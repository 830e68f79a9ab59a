"""(Stochastic) gradient descent with weight decay for many networks in one batched program.

One step is θ ← (1−ηλ)θ − η∇L(θ), gradient descent on L_λ(θ) = L(θ) + (λ/2)‖θ‖² (the source, section 3, Algorithm 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from weightaudit.paper.nets import Activation, Weights, forward, gradients, mean_loss, picked


@dataclass(frozen=True)
class Schedule:
    """When a run of ``total`` steps is measured and its progress moves.

    After the start there are ``measurements`` of them, evenly, with ``ticks`` of the progress to each.
    """

    total: int
    measurements: int
    ticks: int

    @property
    def tick(self) -> int:
        """Steps between two moves of the progress."""
        return max(1, self.total // self.measurements // self.ticks)

    def since_tick(self, step: int) -> int:
        """Steps since the progress moved last, at a tick or at the end."""
        return min(step, step % self.tick or self.tick)

    def is_due(self, step: int) -> bool:
        """Whether a measurement is made at this tick."""
        spacing = self.tick * max(1, self.total // self.measurements // self.tick)
        return step == self.total or step % spacing == 0


Observe = Callable[[int, Weights, Tensor], None]
"""Called with the step, the weights (not to be kept: they go on changing) and L on all points, (nets,)."""

NETS_PER_GROUP = 24
"""Networks that one thread computes at a time, so that they fit its cache. The last digits of a result depend on it."""
SEGMENT = 500
"""Steps between two meetings of the threads, at most."""


def descend(
    weights: Weights,
    x: Tensor,
    y: Tensor,
    *,
    rate: float,
    decay: Tensor | float,
    steps: int,
    activation: Activation,
    batch: int | None = None,
    generator: torch.Generator | None = None,
    observe: Observe | None = None,
    every: int | None = None,
    group_size: int = NETS_PER_GROUP,
    workers: int | None = None,
) -> Weights:
    """The weights after ``steps`` steps; those passed in stay as they are.

    ``x``: (n, d) or (nets, n, d), ``y``: ±1, (n,) or (nets, n); ``rate`` is η, ``decay`` λ, one or (nets,). With
    ``batch`` a step sees that many points: each pass over the data takes all points once, in an order drawn from
    ``generator`` and the same for all networks (the last batch of a pass may be smaller). Without, it sees all.

    ``observe`` is called before the first step, then after every ``every`` steps, and after the last.

    The networks are cut into groups of ``group_size``, each computed by a single thread; ``workers`` says how many
    groups run at once (None is torch's own number of threads). So no number depends on the number of threads. A run
    that diverges goes on in inf and NaN, which is the caller's to see.
    """
    weights = [W.clone(memory_format=torch.contiguous_format) for W in weights]
    nets = weights[0].shape[0]
    shrink = (1.0 - rate * torch.as_tensor(decay, dtype=torch.float64)).to(weights[0].dtype).expand(nets)
    groups = [slice(first, min(first + group_size, nets)) for first in range(0, nets, group_size)]
    order = _orders(x.shape[-2], batch, generator)

    with single_threaded() as threads, _pool(workers or threads) as pool:
        done = 0
        while True:
            if observe is not None and (done in (0, steps) or (every is not None and done % every == 0)):
                parts = pool.map(lambda g: forward(picked(weights, g), _own(x, g), activation), groups)
                observe(done, weights, mean_loss(torch.cat(list(parts)), y))
            if done == steps:
                return weights
            until = min(steps, done + SEGMENT)
            if every is not None:
                until = min(until, done + every - done % every)
            batches = [next(order) for _ in range(until - done)]

            def advance(g: slice, batches: list[Tensor | None] = batches) -> None:
                _steps(picked(weights, g), _own(x, g), _own(y, g, points=1), rate, shrink[g], activation, batches)

            list(pool.map(advance, groups))
            done = until


@contextmanager
def single_threaded() -> Iterator[int]:
    """Every operation of torch on one thread within the block; gives the number it had before.

    How a sum is cut among threads decides its rounding, so this is what makes results independent of their number.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _pool(workers: int) -> ThreadPoolExecutor:
    # Weights that decay to nothing pass through denormal numbers, with which processors are slow.
    return ThreadPoolExecutor(workers, initializer=torch.set_flush_denormal, initargs=(True,))


def _steps(
    weights: Weights,
    x: Tensor,
    y: Tensor,
    rate: float,
    shrink: Tensor,
    activation: Activation,
    batches: list[Tensor | None],
) -> None:
    """One step per batch, in place; None is all points."""
    factor = shrink[:, None, None]
    for points in batches:
        seen, labels = (x, y) if points is None else (x.index_select(-2, points), y.index_select(-1, points))
        for W, G in zip(weights, gradients(weights, seen, labels, activation), strict=True):
            W.mul_(factor).add_(G, alpha=-rate)


def _orders(n: int, batch: int | None, generator: torch.Generator | None) -> Iterator[Tensor | None]:
    """The points of each step, pass after pass, without end."""
    while True:
        if batch is None:
            yield None
        else:
            yield from torch.split(torch.randperm(n, generator=generator), batch)


def _own(values: Tensor, group: slice, points: int = 2) -> Tensor:
    """A group's part of inputs or labels; all of them where the networks share them (no axis before ``points``)."""
    return values if values.ndim == points else values[group]
