"""How much of the time of training may go into looking at the weights, and how much has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHECKS = 0.5
"""Share of the budget that the checks for NaN and infinite weights may use, which come at every step: without a bound
of their own they would leave nothing to the matrices of a small model. Nothing else keeps them from it, for a weight
that dies is to be told at its step.
"""


class Budget:
    """Seconds of training since it began, and those of measuring within; training is what is not measuring.

    ``share`` is how much of the former the latter may be; None for any.
    """

    def __init__(self, share: float | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.share = share
        self.spent = 0.0
        self.of_checks = 0.0
        self._clock = clock
        self._began = clock()

    @property
    def training(self) -> float:
        """Seconds since it began that did not go into measuring."""
        return max(0.0, self._clock() - self._began - self.spent)

    @property
    def overhead(self) -> float:
        """Seconds of measuring for each of training; 0 while there was none."""
        training = self.training
        return self.spent / training if training else 0.0

    def allows(self, seconds: float) -> bool:
        """Whether so many more may be spent now."""
        return self.share is None or self.spent + seconds <= self.share * self.training

    def allows_check(self, seconds: float) -> bool:
        """Whether a check that takes so long may be made now."""
        return self.share is None or self.of_checks + seconds <= CHECKS * self.share * self.training

    @contextmanager
    def spending(self, *, check: bool = False) -> Iterator[None]:
        """Count the time of the block as spent."""
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            self.spent += took
            self.of_checks += took if check else 0.0
