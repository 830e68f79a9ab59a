"""What a measurement needs of a matrix: facts of one pass, products with M = AᵀA, its spectrum where that is cheap."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from weightaudit.spectral.block_matrix import PanelSource
from weightaudit.spectral.spectrum import Interval
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import ThreadTeam
from weightaudit.spectral.tensors import Device, Panel


class GramOperator(Protocol):
    """X (n, b) float64 → (sA)ᵀ(sA)X (n, b) float64, both on ``device``. A (m, n) is W or Wᵀ. The result is the
    caller's, who writes into it; it is fastest where its columns run along the memory, as those of X do.

    ``amplification`` is how many times what rounding does to a product exceeds `rounding.product_error`, the bound for
    a stored matrix: 1 there.
    """

    m: int
    n: int
    device: Device
    amplification: float

    def __call__(self, X: Panel) -> Panel: ...


@runtime_checkable
class Operator(Protocol):
    """One matrix W that `measure` takes, however it is held."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of W."""
        ...

    @property
    def cost_shape(self) -> tuple[int, int]:
        """The two sides, of a stored matrix, for which `spectrum` and a pass cost as much as here."""
        ...

    def digest(self) -> str:
        """64 hex digits that nobody can predict but by choosing all that defines W: they key the random start."""
        ...

    def on(self, device: Device, team: ThreadTeam) -> AbstractContextManager[Operator]:
        """The same W, ready to compute on ``device`` inside the block, its passes shared with ``team`` where that is
        worth it; what is below is only called there."""
        ...

    def statistics(self) -> Statistics:
        """The entry statistics of W; ``error`` bounds how far what the other two work on is from W."""
        ...

    def gram(self, scale: float) -> GramOperator:
        """M of sA, ``scale`` = s being that of the statistics; A is W or Wᵀ, as suits the memory."""
        ...

    def spectrum(self, known: Statistics) -> Interval:
        """σ₁ by all singular values: the exact route. ``known`` are the statistics of W, which is not zero."""
        ...


@runtime_checkable
class Readable(Protocol):
    """What else an operator has whose W can be read entry by entry."""

    @property
    def entries(self) -> PanelSource: ...
