"""What holds for every test here: one thread, and few kernels to compile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.spectral.engines import CHANGED, PAIRS
from weightaudit.spectral import compute_threads, fused
from weightaudit.spectral.kernel_abi import Loop


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The matrices here are small: BLAS threads would only wait for each other, badly so on a busy machine."""
    with compute_threads(1):
        yield


@pytest.fixture(autouse=True)
def few_pairs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two matrices of other dtypes than `PAIRS` are read by kernels in slow tests alone, and else by panels.

    Of a difference the first is the derived one, and where entries are compared it is the second.
    """
    reads = fused.reads

    def some(loop: Loop, *dtypes: str) -> bool:
        few = dtypes[::-1] in CHANGED if loop == "row_changes" else len(dtypes) == 1 or dtypes in PAIRS
        return few and reads(loop, *dtypes)

    with pytest.MonkeyPatch.context() as patch:  # one of its own, which ends with this
        if not request.node.get_closest_marker("slow"):
            patch.setattr(fused, "reads", some)
        yield


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix of 260 × 90 is shared among threads in eight pieces, for which it would have to be much larger."""
    monkeypatch.setattr(fused, "PIECE", 2000)
    monkeypatch.setattr(fused, "PIECE_ROWS", 16)
