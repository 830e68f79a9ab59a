"""Who does the passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from weightaudit.spectral import measurement
from weightaudit.spectral.operators import dense

ENGINES = ("kernel", "panels", "torch")


@contextmanager
def by(who: str) -> Iterator[None]:
    """The passes are done by that engine: "panels" as where numba is missing, "torch" as on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        if who == "panels":
            patch.setattr(dense, "fused", None)
        if who == "torch":
            patch.setattr(measurement, "device_called", torch.device)
        yield
