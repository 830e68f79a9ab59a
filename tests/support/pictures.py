"""Figures drawn with few pixels, for tests that look at something else: most of their time is spent on pixels."""

from __future__ import annotations

import pytest

from weightaudit.report import figures, style


def draw_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of the pixels across."""
    monkeypatch.setattr(figures, "DPI", figures.DPI // 8)


def draw_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of lines by layer the stable rank's alone, beside the heat map."""
    monkeypatch.setattr(figures, "LINES", style.LINES[1:])
