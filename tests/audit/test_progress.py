"""The bar that a waiting person sees: what it says of a scan, and of an experiment's stages one after the other."""

from __future__ import annotations

import pytest

from weightaudit.audit.progress import Bar


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich takes any stream for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def test_bytes_and_tensors_of_a_scan(capfd: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.start("model", 2_000_000)
    bar.tensor("layer.0\x1b.weight")
    bar.advance(2_000_000)
    bar.close()
    shown = capfd.readouterr().err
    assert "layer.0" in shown
    assert r"\x1b.weight" in shown
    assert "2.0/2.0 MB" in shown


def test_each_stage_begins_at_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    bar = Bar(steps=True)
    bar.start("first", 4)
    bar.advance(4)
    bar.close()  # as a scan within an experiment does
    assert "100%" in capfd.readouterr().err
    bar.start("second", 8)
    bar.advance(2)
    bar.close()
    shown = capfd.readouterr().err
    assert "second" in shown
    assert " 25%" in shown
    assert "100%" not in shown
    assert "bytes" not in shown


def test_nothing_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("FORCE_COLOR")
    bar = Bar()
    bar.start("model", 10)
    bar.advance(10)
    bar.close()
    assert capfd.readouterr() == ("", "")
