"""Ticks: whole where things are counted, round everywhere, few enough to be read."""

from __future__ import annotations

import pytest

from weightaudit.paper.ticks import EACH, MOST, log_ticks, size_text, whole_ticks


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 2, "0 1 2"),
        (3, 3, "3"),
        (0, 12, "0 1 2 3 4 5 6 7 8 9 10 11 12"),
        (0, 13, "0 2 4 6 8 10 12"),
        (1, 48, "10 20 30 40"),
        (0, 10000, "0 5,000 10,000"),
        (0, 5000, "0 2,000 4,000"),
    ],
)
def test_counted_things(low: float, high: float, labels: str) -> None:
    ticks = whole_ticks(low, high)
    assert " ".join(ticks.labels) == labels
    assert all(place == int(place) for place in ticks.places)


def test_counted_things_of_any_number_have_few_ticks() -> None:
    for high in range(1, 3000):
        assert 2 <= len(whole_ticks(0, high).places) <= EACH


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-3, 1.0, "0.001 0.01 0.1 1"),
        (0.02, 3.0, "0.03 0.1 0.3 1 3"),
        (2.0, 9.0, "2 3 5 7"),
        (10, 20, "10 15 20"),
        (1.0, 1.0, "1"),
        (10.83, 10.83, "10.8"),
        (10.8, 12.0, "11 11.5 12"),
        (0.731, 0.739, "0.732 0.734 0.736 0.738"),
        (20001, 20004, "20,001 20,002 20,003 20,004"),
        (1.2e-7, 1.24e-7, "1.2·10<sup>−7</sup> 1.22·10<sup>−7</sup> 1.24·10<sup>−7</sup>"),
        (1e-12, 1.0, "10<sup>−12</sup> 10<sup>−10</sup> 10<sup>−8</sup> 10<sup>−6</sup> 10<sup>−4</sup> 0.01 1"),
    ],
)
def test_sizes(low: float, high: float, labels: str) -> None:
    assert " ".join(log_ticks(low, high).labels) == labels


def test_sizes_of_any_range_have_few_ticks() -> None:
    for low in range(-20, 20):
        for decades in range(40):
            ticks = log_ticks(10.0**low, 10.0 ** (low + decades))
            assert 1 <= len(ticks.places) <= MOST
            assert len(set(ticks.labels)) == len(ticks.labels)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-3, "0.001"),
        (0.15, "0.15"),
        (2.0, "2"),
        (20000, "20,000"),
        (1e5, "10<sup>5</sup>"),
        (5e-6, "5·10<sup>−6</sup>"),
        (1e-9, "10<sup>−9</sup>"),
    ],
)
def test_how_a_size_is_written(value: float, text: str) -> None:
    assert size_text(value) == text
