"""The matrices here are small: BLAS threads would only wait for each other, badly so on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weightaudit.spectral import compute_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with compute_threads(1):
        yield
