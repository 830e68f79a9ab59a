"""What a merge comes to, for each model, over all matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import Encounter, InnerProducts, Interactions, Meeting, MergeSummary, Standing

Numbers = NDArray[np.float64]

LOW_RANK = 1e-3
"""Share of an update's square outside of its leading directions up to which it is of low rank."""
MOST_OF_THEM = 0.8
"""Share of the matrices of a model that are of low rank where its update is said to be."""


def summarise(meetings: Sequence[Meeting], models: int, weights: Sequence[float]) -> MergeSummary:
    """Of so many ``models`` at ``weights``; () of these where a merge that exists is judged."""
    counted = [one for one in meetings if not one.table]
    of = [one.interactions for one in counted]
    U = models if weights else models + 1
    at = tuple(weights) if weights else (*(0.0 for _ in range(models)), 1.0)
    alone = weights or (1.0,) * models
    suggested = suggested_weights(of, models)
    whole = together(of, U)
    fitted, unexplained = _fitted(whole) if not weights else ((), math.nan)
    return MergeSummary(
        weights=tuple(weights),
        standings=tuple(standing(counted, a, at) for a in range(models)),
        encounters=tuple(
            _encounter(counted, a, b, _only(alone, (a, b), U)) for a in range(models) for b in range(models) if a != b
        ),
        suggested=suggested,
        suggested_standings=tuple(standing(counted, a, _only(suggested, range(models), U)) for a in range(models))
        if suggested
        else (),
        fitted=fitted,
        unexplained=unexplained,
        shrink=tuple(_shrink(whole, a) for a in range(models)),
        low_rank=tuple(_low_rank(counted, a) for a in range(models)),
    )


def standing(counted: Sequence[Meeting], a: int, weights: Sequence[float]) -> Standing:
    """How model ``a`` fares in Σ weights_i Δ_i: means over the ``counted`` matrices that it changed."""
    changed = [one for one in counted if one.interactions.changed_by(a)]
    effects = [one.interactions.effect(a, weights) for one in changed]
    first = min((one.place.layer for one in changed if one.place.layer is not None), default=None)
    of_first = [e.disturbance for one, e in zip(changed, effects, strict=True) if one.place.layer == first]
    contamination, chance = (_mean([getattr(e, name) for e in effects]) for name in ("contamination", "chance"))
    return Standing(
        retention=_mean([e.retention for e in effects]),
        contamination=contamination,
        chance=chance,
        disturbance=_mean([e.disturbance for e in effects]),
        lift=contamination / chance if chance else math.nan,
        first_layer=_mean(of_first),
        matrices=len(changed),
    )


def suggested_weights(of: Sequence[Interactions], models: int) -> tuple[float, ...]:
    """The weights of the models' updates that minimise the sum of their mean D²; () where there is nothing to go by.

    D² of a matrix is wᵀKw − 2⟨w, k⟩ + 1 with K = ``on_inputs`` of the model and k its own column there, so that the
    least is where a linear system of as many equations as there are models is solved; the shortest of several.
    """
    matrix, wanted = np.zeros((models, models)), np.zeros(models)
    for a in range(models):
        known = [np.asarray(one.on_inputs[a])[:models, :models] for one in of if one.changed_by(a)]
        for own in known:
            matrix += own / len(known)
            wanted += own[:, a] / len(known)
    if not (np.isfinite(matrix).all() and matrix.any()):
        return ()
    found = np.linalg.lstsq(matrix, wanted, rcond=1e-9)[0]
    return tuple(map(float, found))


def _only(weights: Sequence[float], which: Sequence[int] | range, updates: int) -> tuple[float, ...]:
    """Weights of all updates, of those not among ``which`` 0."""
    return tuple(weights[i] if i in which else 0.0 for i in range(updates))


def _encounter(counted: Sequence[Meeting], a: int, b: int, weights: Sequence[float]) -> Encounter:
    whole = together([one.interactions for one in counted], len(weights))
    signs = [(one.interactions.opposed[a][b], one.shape[0] * one.shape[1]) for one in counted]
    known = [(share, entries) for share, entries in signs if not math.isnan(share)]
    return Encounter(
        victim=a,
        other=b,
        standing=standing(counted, a, weights),
        cosine=whole.cosine(a, b),
        cosine_without_base=whole.cosine_without_base(a, b),
        opposed=sum(share * entries for share, entries in known) / sum(entries for _, entries in known)
        if known
        else math.nan,
        size_ratio=whole.norm(b) / whole.norm(a) if whole.norm(a) else math.nan,
    )


def together(of: Sequence[InnerProducts], updates: int) -> InnerProducts:
    """Those of all matrices, of so many updates, as if they were one; those that are not finite are left out."""
    finite = [
        one for one in of if all(map(math.isfinite, (one.base_sq, *(number for row in one.inner for number in row))))
    ]
    inner = sum((np.asarray(one.inner) for one in finite), np.zeros((updates, updates)))
    base_inner = sum((np.asarray(one.base_inner) for one in finite), np.zeros(updates))
    return InnerProducts(
        tuple(map(tuple, inner.tolist())), sum(one.base_sq for one in finite), tuple(base_inner.tolist())
    )


def _fitted(whole: InnerProducts) -> tuple[tuple[float, ...], float]:
    """Weights of the linear merge that is nearest to the last update, and the share of its square that it leaves."""
    inner = np.asarray(whole.inner)
    weights = np.linalg.lstsq(inner[:-1, :-1], inner[:-1, -1], rcond=1e-12)[0]
    size = float(inner[-1, -1])
    left = size - float(weights @ inner[:-1, -1])
    return tuple(map(float, weights)), min(1.0, max(0.0, left / size)) if size else math.nan


def _shrink(whole: InnerProducts, a: int) -> float:
    """c of Δ ≈ −cW₀ over all matrices; NaN without a base."""
    return -whole.base_inner[a] / whole.base_sq if whole.base_sq else math.nan


def _low_rank(counted: Sequence[Meeting], a: int) -> bool:
    of = [one.interactions.leading[a] for one in counted if one.interactions.changed_by(a)]
    return bool(of) and sum(share >= 1.0 - LOW_RANK for share in of) >= MOST_OF_THEM * len(of)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
