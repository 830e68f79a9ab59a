"""Who does the passes, and over what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from weightaudit.spectral import measurement
from weightaudit.spectral.operators import dense

ENGINES = ("kernel", "panels", "torch")
PAIRS = (
    *(("float64", "float64"), ("float32", "float32"), ("bfloat16", "bfloat16")),
    *(("bfloat16", "float32"), ("float16", "bfloat16")),
)
"""Dtypes of two matrices, the derived one's first, whose differences are taken by kernels in each run of the tests. A
kernel takes some three seconds to compile, and widens each of the two for itself; so the other pairs' are for slow
tests, and panels do for the rest: see `conftest.few_pairs`."""

CHANGED = (*PAIRS, ("float16", "float16"))
"""The same where their entries are compared."""


def by_kernel(derived: str, base: str, *values: Any, among: Sequence[tuple[str, str]] = PAIRS) -> Any:
    """``values`` for `pytest.mark.parametrize`, slow where that takes a kernel that is not ``among`` those."""
    return pytest.param(*values, marks=[] if (derived, base) in among else pytest.mark.slow)


@contextmanager
def by(who: str) -> Iterator[None]:
    """The passes are done by that engine: "panels" as where numba is missing, "torch" as on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        if who == "panels":
            patch.setattr(dense, "fused", None)
        if who == "torch":
            patch.setattr(measurement, "device_called", torch.device)
        yield
