"""Weights and changes of them of known rank, and what is said of the rank."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from weightaudit.records import EntryChanges, RankFacts
from weightaudit.spectral import Difference, measure
from weightaudit.spectral.entry_changes import entry_changes
from weightaudit.spectral.ranks import rank_facts

Array = NDArray[np.float64]


def weights(m: int, n: int, rng: np.random.Generator) -> Array:
    """(m, n) as trained ones are: rows and columns of unlike size, one direction that stands out; float32 numbers."""
    W = rng.standard_normal((m, n)) * np.exp(0.3 * rng.standard_normal((m, 1))) * np.exp(0.3 * rng.standard_normal(n))
    W += 0.3 * np.outer(rng.standard_normal(m), rng.standard_normal(n))
    return (0.04 * W).astype(np.float32).astype(np.float64)


def few_directions(m: int, n: int, sizes: NDArray[Any], rng: np.random.Generator) -> Array:
    """(m, n) with the singular values ``sizes`` and random singular vectors."""
    U, V = (np.linalg.qr(rng.standard_normal((side, len(sizes))))[0] for side in (m, n))
    out: Array = (U * sizes) @ V.T
    return out


def adapter(m: int, n: int, r: int, rng: np.random.Generator) -> Array:
    """(m, n) of rank r: a product of two Gaussian factors."""
    return rng.standard_normal((m, r)) @ rng.standard_normal((r, n))


def of_size(D: Array, relative: float, W: Array) -> Array:
    """``D`` made ``relative`` times as large as ``W``, in the Frobenius norm."""
    out: Array = D * (relative * np.linalg.norm(W) / np.linalg.norm(D))
    return out


def stored(W: Array, dtype: str) -> NDArray[Any]:
    """``W`` rounded to ``dtype``."""
    return W.astype(np.dtype(getattr(ml_dtypes, dtype, dtype)))


def pair(
    W: Array, D: Array, dtypes: tuple[str, str], *, of_original: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(W₀, W₁) in ``dtypes``: W₁ is made of what W₀ stores, or else of W itself, so that W₀ is rounded as well."""
    W0 = stored(W, dtypes[0])
    return W0, stored((W if of_original else W0.astype(np.float64)) + D, dtypes[1])


def facts_of(base: object, derived: object, *, detail: bool = True, seed: int = 0) -> tuple[RankFacts, EntryChanges]:
    """What is said of the rank of the change, and of its entries; ``detail`` is that of the measurement."""
    difference, entries = Difference(derived, base), entry_changes(base, derived)
    spectrum = measure(difference, spectrum=detail, seed=seed)
    return rank_facts(difference, entries, spectrum, seed=seed), entries
