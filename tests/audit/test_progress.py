"""The bar that a waiting person sees: what it says of a scan, and of an experiment's stages one after the other."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.text import Text

from weightaudit.audit import heartbeat
from weightaudit.audit.progress import Bar, display


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


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("columns", [60, 79, 80, 120])
def test_a_long_name_leaves_the_numbers_their_room(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], columns: int, steps: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    bar = Bar(steps=steps)
    bar.start("model", 800_000_000_000)
    bar.tensor("model.layers.17." + "a_name_of_a_stranger." * 20)
    bar.advance(123_400_000_000)
    bar.close()
    shown = Text.from_ansi(capfd.readouterr().err).plain
    line = next(line for line in shown.splitlines() if "model.layers.17" in line)
    assert "…" in line
    assert (" 15%" if steps else "123.4/800.0 GB") in line
    assert line.rstrip().endswith(":--")  # the time, whole
    assert cell_len(line) <= columns
    assert ("GB/s" in line or "?" in line) == (columns >= 80 and not steps)


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


class Clock:
    """A stand-in for `time.monotonic` that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], clock: Clock
) -> None:
    monkeypatch.delenv("FORCE_COLOR")
    shown = display()
    shown.start("org/model\x1b", 4_000_000_000)
    for second in range(1, 91):
        clock.now = float(second)
        shown.tensor(f"layer.{second}")
        shown.advance(10_000_000)
    shown.close()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 90 / heartbeat.EVERY
    assert lines[0] == r"weightaudit: org/model\x1b: 7 % of 4,000 MB after 30 s, at layer.30"


def test_what_is_short_says_nothing_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], clock: Clock
) -> None:
    monkeypatch.delenv("FORCE_COLOR")
    shown = display()
    shown.start("model", 10)
    clock.now = heartbeat.EVERY - 1
    shown.tensor("last")
    shown.advance(10)
    shown.close()
    assert capfd.readouterr() == ("", "")


def test_a_stage_of_an_experiment_has_no_bytes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], clock: Clock
) -> None:
    monkeypatch.delenv("FORCE_COLOR")
    shown = display(steps=True)
    shown.start("training", 4)
    clock.now = heartbeat.EVERY
    shown.advance(1)
    assert capfd.readouterr().err == "weightaudit: training: 25 % after 30 s\n"
