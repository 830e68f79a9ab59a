"""Who does the passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from weightaudit.spectral.operators import dense

ENGINES = ("kernel", "torch")


@contextmanager
def by(who: str) -> Iterator[None]:
    """The passes are done by that engine."""
    with pytest.MonkeyPatch.context() as patch:
        if who == "torch":
            patch.setattr(dense, "fused", None)
        yield
