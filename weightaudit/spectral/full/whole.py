"""The record of a whole spectrum, joined from its parts."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import ENERGY_SHARES, FullSpectrum
from weightaudit.spectral.full.bulk import bulk_of
from weightaudit.spectral.full.shuffling import disordered
from weightaudit.spectral.full.tail import tail_of
from weightaudit.spectral.full.values import LARGEST_SIDE, all_values
from weightaudit.spectral.operators.base import Operator, Readable
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import Team

Floats = NDArray[np.float64]


class Start(Protocol):
    """Makes the generator of what is drawn for a matrix, by what it is drawn for: "" is the start of a Krylov run."""

    def __call__(self, purpose: str = "") -> np.random.Generator: ...


ROUNDING = 1e-12
"""Relative error of such a share that is overlooked: equal singular values add up to it but for rounding."""


def is_small_enough(operator: Operator) -> bool:
    """Whether all singular values are computed of a matrix of this size."""
    return min(operator.cost_shape) <= LARGEST_SIDE


def whole_interval(operator: Operator, known: Statistics, team: Team) -> Interval:
    """σ₁ by all singular values, which the interval has with it. ``known`` are the statistics of W, which is not 0."""
    if isinstance(operator, Readable):
        return all_values(operator.entries, known.scale, known.frob_sq, team)
    return operator.spectrum(known)


def full_spectrum(operator: Operator, known: Statistics, whole: Interval, start: Start, team: Team) -> FullSpectrum:
    """The record, unscaled, of W from its ``whole_interval``."""
    assert isinstance(whole.spectrum, WholeSpectrum)
    ascending, error = whole.spectrum.values, _squared_error(whole.spectrum, known)
    rows, cols = operator.shape
    scale = known.scale
    null = _null(operator, known, start, team)
    # A product of factors has no entries at hand, and most of its values are zero: it has no bulk.
    bulk = None if null is None else bulk_of(np.maximum(ascending[::-1], 0.0), rows, cols, error, scale)
    return FullSpectrum(
        singular_values=_roots(ascending, scale),
        squared_error=math.nextafter(error / scale / scale, math.inf),
        shuffled=() if null is None else _roots(null, scale),
        bulk=bulk,
        tail=tail_of(ascending[ascending > error], scale, start("tail"), error=error),
        energy_ranks=energy_ranks(ascending),
    )


def energy_ranks(ascending: Floats) -> tuple[tuple[float, int], ...]:
    """For each of `ENERGY_SHARES` of the sum of σ² how few of these, the largest, add up to it."""
    sums = np.cumsum(np.maximum(ascending[::-1], 0.0))
    needed = [share * float(sums[-1]) * (1.0 - ROUNDING) for share in ENERGY_SHARES]
    return tuple(
        (share, int(np.searchsorted(sums, least)) + 1) for share, least in zip(ENERGY_SHARES, needed, strict=True)
    )


def _null(operator: Operator, known: Statistics, start: Start, team: Team) -> Floats | None:
    """The σ² of the scaled entries in random order, ascending; None where there are no entries at hand."""
    if not isinstance(operator, Readable):
        return None
    mixed = disordered(operator.entries, start("shuffled"))
    found = all_values(mixed, known.scale, known.frob_sq, team).spectrum
    assert isinstance(found, WholeSpectrum)
    return found.values


def _squared_error(spectrum: WholeSpectrum, known: Statistics) -> float:
    """What each σ² is off by at most, where the values are those of a matrix ``known.error`` from the one meant."""
    largest = math.sqrt(float(spectrum.values[-1]) + spectrum.error)
    return spectrum.error + known.error * (2.0 * largest + known.error)


def _roots(ascending: Floats, scale: float) -> tuple[float, ...]:
    values: list[float] = (np.sqrt(np.maximum(ascending[::-1], 0.0)) / scale).tolist()
    return tuple(values)
