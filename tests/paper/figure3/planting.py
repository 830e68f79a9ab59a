"""Planted rows of merging: what `merging.merge_all` gives, with losses and stable ranks of one's choosing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weightaudit.paper.figure3.merging import MergingConfig

CONFIG = MergingConfig(width=20, steps=100, decay=1e-3, lambdas=(0.0, 1e-3), draws=5)
STEPS = (0, 50, 100)


def rows(
    pair: str,
    decay: float,
    step: int,
    *,
    own: float = 0.01,
    merged: float = 0.01,
    average: float = 0.5,
    ranks: Sequence[float] = (1.0, 1.0, 1.0),
    draws: int = CONFIG.draws,
    seed: int = 0,
) -> pd.DataFrame:
    """Both networks of a pair for every draw, with a relative noise of 1 %."""
    rng = np.random.default_rng([seed, step])
    table = pd.DataFrame(
        {
            "pair": pair,
            "side": np.repeat(["first", "second"], draws),
            "draw": np.tile(np.arange(draws), 2),
            "lambda": decay,
            "step": step,
        }
    )
    values: Mapping[str, float] = {
        "own_loss": own,
        "sum_loss": merged,
        "average_loss": average,
        "own_error": 0.0,
        "sum_error": 0.0,
        "average_error": 0.0,
        **{f"stable_rank_{k + 1}": rank for k, rank in enumerate(ranks)},
        **{f"norm_{k + 1}": 1.0 for k in range(len(ranks))},
        **{f"leak_{k + 1}": 0.1 for k in range(len(ranks))},
    }
    noise = 1 + rng.normal(scale=0.01, size=(2 * draws, len(values)))
    return table.assign(**{name: value * noise[:, i] for i, (name, value) in enumerate(values.items())})
