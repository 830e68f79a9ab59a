"""Amounts of memory and weights of a merge, as people write them."""

from __future__ import annotations

import pytest

from weightaudit.errors import UsageError
from weightaudit.parse import parse_bytes, parse_weights


@pytest.mark.parametrize(
    ("written", "nbytes"),
    [
        ("2GB", 2 * 10**9),
        ("512 MiB", 2**29),
        ("1.5g", 15 * 10**8),
        ("4096", 4096),
        (4096, 4096),
        ("7B", 7),
        (None, None),
    ],
)
def test_amounts(written: str | int | None, nbytes: int | None) -> None:
    assert parse_bytes(written) == nbytes


@pytest.mark.parametrize("written", ["", "much", "-2GB", "2 XB", "0", "I", "2I", "1e9", "\x1b[2J", "٣GB"])
def test_what_is_no_amount(written: str) -> None:
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_bytes(written)


@pytest.mark.parametrize(
    ("written", "weights"),
    [(None, (1.0, 1.0)), ("0.5, -1", (0.5, -1.0)), ((1, 0), (1.0, 0.0)), ("1e-3,2", (1e-3, 2.0))],
)
def test_weights(written: str | tuple[float, ...] | None, weights: tuple[float, ...]) -> None:
    assert parse_weights(written, 2) == weights


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1", "1 weight for 2 models"),
        ("1,1,1", "3 weights for 2 models"),
        ("", "weight : it is not a finite number"),
        ("1,", "weight : it is not a finite number"),
        ("1,nan", "weight nan: it is not a finite number"),
        ((1.0, float("inf")), "weight inf: it is not a finite number"),
    ],
)
def test_what_are_no_weights(written: str | tuple[float, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_weights(written, 2)
