"""Amounts of memory as people write them."""

from __future__ import annotations

import pytest

from weightaudit.errors import UsageError
from weightaudit.parse import parse_bytes


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
