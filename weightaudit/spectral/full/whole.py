"""The record of a whole spectrum, joined from its parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from weightaudit.records import ENERGY_SHARES, FullSpectrum, TailFit
from weightaudit.spectral.full.bulk import bulk_of
from weightaudit.spectral.full.null import null_values
from weightaudit.spectral.full.shuffling import disordered
from weightaudit.spectral.full.tail import tail_of
from weightaudit.spectral.full.values import LARGEST_SIDE, is_paired, values_to_come
from weightaudit.spectral.operators.base import Operator, Readable
from weightaudit.spectral.spectrum import Interval, WholeSpectrum
from weightaudit.spectral.statistics import Statistics
from weightaudit.spectral.team import ThreadTeam

Floats = NDArray[np.float64]


class Start(Protocol):
    """Makes the generator of what is drawn for a matrix, by what it is drawn for: "" is the start of a Krylov run."""

    def __call__(self, purpose: str = "") -> np.random.Generator: ...


ROUNDING = 1e-12
"""Relative error of such a share that is overlooked: equal singular values add up to it but for rounding."""


def is_small_enough(operator: Operator) -> bool:
    """Whether all singular values are computed of a matrix of this size."""
    return min(operator.cost_shape) <= LARGEST_SIDE


@dataclass
class Whole:
    """What is computed of a matrix for its `full_spectrum`: σ₁ by all singular values, which the ``interval`` has with
    it, the σ² of the scaled entries in random order, ascending, if there are entries at hand, and the tail."""

    interval: Interval
    shuffled: Floats | None
    tail: TailFit | None


def whole_of(operator: Operator, known: Statistics, start: Start, team: ThreadTeam) -> Whole:
    """The work. ``known`` are the statistics of W, which is not 0."""
    rng = start("tail")
    if not isinstance(operator, Readable):
        interval = operator.spectrum(known)
        return Whole(interval, None, _tail(interval, known, rng))
    entries = operator.entries
    mixed = disordered(entries, start("shuffled"))
    interval_to_come = values_to_come(entries, known.scale, known.frob_sq, team)
    found: list[tuple[Interval, TailFit | None]] = []
    null: list[Floats] = []

    def own() -> None:
        interval = interval_to_come()
        found.append((interval, _tail(interval, known, rng)))

    def in_disorder() -> None:
        null.append(null_values(mixed, known.scale, known.frob_sq, team))

    if is_paired(entries.rows, entries.cols):
        # What takes longer comes first: whoever is done with the other helps with it.
        team.together(in_disorder, own)
    else:
        own()
        in_disorder()
    return Whole(found[0][0], null[0], found[0][1])


def full_spectrum(operator: Operator, known: Statistics, whole: Whole) -> FullSpectrum:
    """The record, unscaled, of W from what `whole_of` found."""
    spectrum, null = whole.interval.spectrum, whole.shuffled
    assert isinstance(spectrum, WholeSpectrum)
    ascending, error = spectrum.values, _squared_error(spectrum, known)
    rows, cols = operator.shape
    scale = known.scale
    # A product of factors has no entries at hand, and most of its values are zero: it has no bulk.
    bulk = None if null is None else bulk_of(np.maximum(ascending[::-1], 0.0), rows, cols, error, scale)
    return FullSpectrum(
        singular_values=_roots(ascending, scale),
        squared_error=math.nextafter(error / scale / scale, math.inf),
        shuffled=() if null is None else _roots(null, scale),
        bulk=bulk,
        tail=whole.tail,
        energy_ranks=energy_ranks(ascending),
    )


def energy_ranks(ascending: Floats) -> tuple[tuple[float, int], ...]:
    """For each of `ENERGY_SHARES` of the sum of σ² how few of these, the largest, add up to it."""
    sums = np.cumsum(np.maximum(ascending[::-1], 0.0))
    needed = [share * float(sums[-1]) * (1.0 - ROUNDING) for share in ENERGY_SHARES]
    return tuple(
        (share, int(np.searchsorted(sums, least)) + 1) for share, least in zip(ENERGY_SHARES, needed, strict=True)
    )


def _tail(interval: Interval, known: Statistics, rng: np.random.Generator) -> TailFit | None:
    assert isinstance(interval.spectrum, WholeSpectrum)
    ascending, error = interval.spectrum.values, _squared_error(interval.spectrum, known)
    return tail_of(ascending[ascending > error], known.scale, rng, error=error)


def _squared_error(spectrum: WholeSpectrum, known: Statistics) -> float:
    """What each σ² is off by at most, where the values are those of a matrix ``known.error`` from the one meant."""
    largest = math.sqrt(float(spectrum.values[-1]) + spectrum.error)
    return spectrum.error + known.error * (2.0 * largest + known.error)


def _roots(ascending: Floats, scale: float) -> tuple[float, ...]:
    values: list[float] = (np.sqrt(np.maximum(ascending[::-1], 0.0)) / scale).tolist()
    return tuple(values)
