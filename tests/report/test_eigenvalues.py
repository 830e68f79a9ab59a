"""Histograms of eigenvalues: every one is counted once, and spikes have bins of their own."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from tests.report.full_spectra import full
from tests.support import factory
from weightaudit.records import FullSpectrum
from weightaudit.report.eigenvalues import BINS, Histogram, linear_histogram, log_histogram


def made(seed: int = 0) -> FullSpectrum:
    return full(factory.bert(1).rows[seed % 3], random.Random(seed))


def of_values(*values: float) -> FullSpectrum:
    return FullSpectrum(values, 0.0, values, None, None, ())


def counted(told: Histogram, values: tuple[float, ...]) -> list[int]:
    """The same, one by one."""
    edges = told.edges()
    return [sum(low < value * value <= high for value in values) for low, high in itertools.pairwise(edges)]


@pytest.mark.parametrize("seed", range(6))
def test_every_eigenvalue_is_in_one_bin_or_told_to_be_in_none(seed: int) -> None:
    spectrum = made(seed)
    for told in (log_histogram(spectrum), linear_histogram(spectrum)):
        assert told
        assert len(told.counts) == len(told.shuffled) <= BINS + 4
        assert told.counts == tuple(counted(told, spectrum.singular_values))
        assert sum(told.counts) + told.below + told.beyond == len(spectrum.singular_values)
    logarithmic = log_histogram(spectrum)
    assert logarithmic
    assert (logarithmic.below, logarithmic.beyond) == (0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_bins_beyond_the_threshold_hold_the_spikes_and_nothing_else(seed: int) -> None:
    spectrum = made(seed)
    assert spectrum.bulk
    for told in (log_histogram(spectrum), linear_histogram(spectrum)):
        assert told
        beyond = [
            count
            for count, low in zip(told.counts, told.edges(), strict=False)
            if low >= spectrum.bulk.threshold**2 * (1 - 1e-9)
        ]
        assert sum(beyond) + told.beyond == spectrum.bulk.spikes


def test_a_linear_histogram_has_room_for_the_many() -> None:
    spectrum = made()
    far = replace(spectrum, singular_values=(1e3 * spectrum.singular_values[0], *spectrum.singular_values[1:]))
    told = linear_histogram(far)
    assert told
    assert told.beyond >= 1
    assert sum(told.counts) >= 0.97 * len(far.singular_values)


def test_rounding_has_no_bin() -> None:
    told = log_histogram(replace(of_values(3.0, 2.0, 1.0, 1e-9), squared_error=1e-12))
    assert told
    assert told.below == 1
    assert sum(told.counts) == 3


@pytest.mark.parametrize("values", [(2.0,), (2.0, 2.0, 2.0), (5.0, 0.0), tuple(0.7**i for i in range(60))])
def test_without_a_random_matrix(values: tuple[float, ...]) -> None:
    for told in (log_histogram(of_values(*values)), linear_histogram(of_values(*values))):
        assert told
        assert sum(told.counts) + told.below + told.beyond == len(values)
        assert told.beyond == 0 or len(values) > 40


@pytest.mark.parametrize("values", [(), (0.0,), (0.0, 0.0)])
def test_nothing_to_count(values: tuple[float, ...]) -> None:
    assert log_histogram(of_values(*values)) is None
    assert linear_histogram(of_values(*values)) is None


@pytest.mark.parametrize("largest", [1e-200, 1e200])
def test_squares_that_leave_the_range_of_numbers_have_no_bins(largest: float) -> None:
    told = of_values(largest, largest / 2)
    assert log_histogram(told) is None
    assert linear_histogram(told) is None
