"""The retry policy with its pauses and its idea of a stall much shorter, for tests of what it does."""

from __future__ import annotations

import pytest

from weightaudit.source.http import retry


def shorten_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of some milliseconds; half a second without a byte is a stall."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(retry, "STALL", 0.5)
