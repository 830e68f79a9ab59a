"""What is known of a pair of models before they are merged: from their weights alone, and from true activations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from weightaudit.merging.summary import together
from weightaudit.records import Interactions
from weightaudit.spectral.interactions import interactions

Numbers = NDArray[np.float64]
Matrices = Mapping[str, Numbers]
"""Name → (rows, cols) of one model's updates, the first layer's first."""

PREDICTORS = {
    "disturbance": "D",
    "contamination": "κ",
    "first_layer": "D, first layer",
    "activations": "D, true activations",
    "cosine": "cosine",
    "opposed": "sign conflict",
    "overlap": "subspace overlap",
    "size_ratio": "size ratio",
}
"""Column → what it is called."""
SUBSPACE = 0.25
"""Share of the singular directions of an update whose subspaces are compared."""


def updates_together(models: Sequence[Matrices]) -> dict[str, Interactions]:
    """Name → the inner products of all models' updates of that matrix, as a check of a merge has them."""
    return {
        name: interactions(None, [[model[name]] for model in models], victims=len(models), name=name)
        for name in models[0]
    }


class Predictors:
    """Of pairs of ``models``, by their updates and the second moments of their inputs: name → (cols, cols) each."""

    def __init__(self, models: Sequence[Matrices], seen: Sequence[Matrices], first_layer: Sequence[str]) -> None:
        self._models, self._seen, self._first = models, seen, set(first_layer)
        self.interactions = updates_together(models)
        self._whole = together([*self.interactions.values()], len(models))
        self._leading = [{name: _leading(update) for name, update in model.items()} for model in models]

    def of(self, a: int, b: int) -> dict[str, float]:
        """What each says of how much model ``a`` loses when ``b`` is added."""
        weights = [float(i in (a, b)) for i in range(len(self._models))]
        effects = {name: one.effect(a, weights) for name, one in self.interactions.items()}
        opposed = [
            (one.opposed[a][b], self._models[a][name].size)
            for name, one in self.interactions.items()
            if not math.isnan(one.opposed[a][b])
        ]
        return {
            "disturbance": _mean([effect.disturbance for effect in effects.values()]),
            "first_layer": _mean([effect.disturbance for name, effect in effects.items() if name in self._first]),
            "activations": _mean([self._on_activations(a, b, name) for name in self._models[a]]),
            "cosine": self._whole.cosine(a, b),
            "opposed": sum(share * size for share, size in opposed) / sum(size for _, size in opposed)
            if opposed
            else math.nan,
            "overlap": _mean([_overlap(self._leading[a][name], self._leading[b][name]) for name in self._models[a]]),
            "size_ratio": self._whole.norm(b) / self._whole.norm(a),
            "contamination": _mean([effect.contamination for effect in effects.values()]),
            "retention": _mean([effect.retention for effect in effects.values()]),
            "lift": _mean([effect.contamination for effect in effects.values()])
            / _mean([effect.chance for effect in effects.values()]),
        }

    def _on_activations(self, a: int, b: int, name: str) -> float:
        """‖Δ_b h‖/‖Δ_a h‖ in the mean square over the inputs h that the matrix of ``a`` has."""
        moment = self._seen[a][name]
        own, other = (
            float(np.sum((model[name] @ moment) * model[name])) for model in (self._models[a], self._models[b])
        )
        return math.sqrt(max(0.0, other) / own) if own > 0.0 else math.nan


def _leading(update: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Leading singular vectors and values: (rows, k), (k,), (k, cols)."""
    U, sigma, Vt = np.linalg.svd(update, full_matrices=False)
    k = max(1, int(SUBSPACE * len(sigma)))
    return U[:, :k], sigma[:k], Vt[:k]


def _overlap(one: tuple[Numbers, Numbers, Numbers], other: tuple[Numbers, Numbers, Numbers]) -> float:
    """How far the leading directions of two updates are from orthogonal, weighted by their singular values: the
    singular task interference ‖(UᵀU − I)Σ(VᵀV − I)‖₁ of Gargiulo et al. (2025) over Σσ."""
    U, V = np.concatenate([one[0], other[0]], axis=1), np.concatenate([one[2], other[2]])
    sigma = np.concatenate([one[1], other[1]])
    within = (U.T @ U - np.eye(len(sigma))) * sigma @ (V @ V.T - np.eye(len(sigma)))
    return float(np.abs(within).sum() / sigma.sum()) if sigma.sum() > 0.0 else math.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
