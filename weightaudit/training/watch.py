"""What a run is watched for: the options that both callbacks share, each once, checked before training begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from weightaudit.config import DEFAULTS
from weightaudit.errors import UsageError
from weightaudit.parse import parse_layers, parse_roles

EVERY = 100
"""Steps from one measurement to the next."""
BUDGET = 0.02
"""Share of the time of training that measuring may take."""


@dataclass(frozen=True)
class Watch:
    """Options of a callback.

    Attributes
    ----------
    every
        Steps from one measurement to the next.
    roles
        Roles that are measured; None for every matrix of the layers.
    layers
        Layers that are measured; None for all.
    budget
        Largest share of the time of training so far that measuring may take; None for any.
    at_start
        Whether the weights are measured before the first step, all at once. It counts towards the budget, so that what
        follows may have to wait.
    stop_on_nonfinite
        Whether training ends where a weight is NaN or infinite. Then all weights are looked at after each step,
        whatever the budget.
    log
        The Parquet log; None for weightaudit.parquet in the run's directory.
    submodule
        Name of the part of the model that is watched, such as "student"; None for the first model of transformers in
        it, or all of it.
    tol
        Relative width of the certified interval on σ₁².
    """

    every: int = EVERY
    roles: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None
    budget: float | None = BUDGET
    at_start: bool = True
    stop_on_nonfinite: bool = False
    log: Path | None = None
    submodule: str | None = None
    tol: float = DEFAULTS.tol


def make_watch(
    *,
    every: int,
    roles: str | Iterable[str] | None,
    layers: str | Iterable[int] | None,
    budget: float | None,
    at_start: bool,
    stop_on_nonfinite: bool,
    log: str | os.PathLike[str] | None,
    submodule: str | None,
    tol: float,
) -> Watch:
    """The options, checked. UsageError for one that makes no sense."""
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise UsageError("every", f"{every!r} is no number of steps", "Give a whole number from 1")
    share = budget is None or (isinstance(budget, int | float) and not isinstance(budget, bool) and 0 < budget <= 1)
    if not share:
        raise UsageError(
            "budget", f"{budget!r} is no share of the time", "Give one above 0, up to 1: 0.02 is 2 %; None is no bound"
        )
    if log is not None and Path(log).suffix != ".parquet":
        raise UsageError("log", f"'{log}' does not end in .parquet", "The log is a Parquet file: name it so")
    return Watch(
        every=every,
        roles=parse_roles(roles),
        layers=parse_layers(layers),
        budget=None if budget is None else float(budget),
        at_start=at_start,
        stop_on_nonfinite=stop_on_nonfinite,
        log=None if log is None else Path(log),
        submodule=submodule,
        tol=tol,
    )
