"""What a check of a merge may be asked: how many models, and at which weights."""

from __future__ import annotations

from collections.abc import Iterable

from weightaudit.errors import UsageError
from weightaudit.parse import parse_weights
from weightaudit.text import plural

MOST_MODELS = 8
"""Models that are held side by side, beside their base."""


def check_models(models: int, *, fewest: int = 2) -> None:
    """UsageError where these are too few to be merged, or more than `MOST_MODELS`."""
    if not fewest <= models <= MOST_MODELS:
        cause = f"{plural(models, 'model')} {'was' if models == 1 else 'were'} named"
        raise UsageError("merge", cause, f"Name {fewest} to {MOST_MODELS}; a batch of pairs takes a longer list")


def weights_asked(models: int, weights: str | Iterable[float] | None, *, merged: bool = False) -> tuple[float, ...]:
    """A weight for each of the models; () where a merge that exists is judged (``merged``), whose weights are in it.
    UsageError for too few or too many models, and for weights that are none.
    """
    check_models(models)
    if not merged:
        return parse_weights(weights, models)
    if weights is not None:
        raise UsageError(
            "--weights", "they are asked beside --merged, a merge that has its own", "Leave one of the two"
        )
    return ()
