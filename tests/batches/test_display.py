"""The live table of a batch: how far all is on one line, whatever stands below it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from weightaudit.batches.display import MOST_ROWS, REDRAW, LiveTable
from weightaudit.batches.outcome import Outcome
from weightaudit.batches.progress_file import Step


def drawn(width: int, running: list[tuple[str, Step]]) -> list[str]:
    """What the table shows after one model has failed and one was kept of 40."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    live = LiveTable(console)
    live.start(40, Path())
    live.ended("kept", Outcome("k", "done", "kept"), kept=True)
    live.ended("[red]gone", Outcome("k", "failed", "gone", reason="no such file"), kept=False)
    live.close()
    with console.capture() as captured:
        console.print(live._table(running))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("models", [0, 1, 3])
def test_the_headline_is_one_line(width: int, models: int) -> None:
    step = Step(3_000_000_000, 1_500_000_000, "model.layers.31.mlp.experts.63.down_proj.weight" * 2)
    running = [(f"organisation/model-{i}-of-a-rather-long-name", step) for i in range(models)]
    headline, *table = drawn(width, running)
    assert re.fullmatch(r"2 of 40 models, 1 failed, 1 from earlier runs, \d+:\d\d", headline)
    assert len(table) == (models + 1 if models else 0)
    assert all(len(line) <= width for line in table)
    assert all("3.00" in line and "50 %" in line for line in table[1:])  # which no name takes the room of


def test_counts_are_drawn_while_finished_models_are_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is under way then, and so nothing ticks."""
    shown = io.StringIO()
    live = LiveTable(Console(file=shown, width=80, force_terminal=True, color_system=None))
    now = 0.0
    monkeypatch.setattr("weightaudit.batches.display.time.monotonic", lambda: now)
    live.start(1000, Path())
    for number in range(100):
        now = number * REDRAW / 10
        live.ended("m", Outcome("k", "done", "m"), kept=True)
    live.close()
    assert [f"{n} of 1000 models" in shown.getvalue() for n in (1, 2, 11, 91)] == [True, False, True, True]


def test_what_failed_before_tells_the_way_out() -> None:
    shown = io.StringIO()
    live = LiveTable(Console(file=shown, width=200, force_terminal=True, color_system=None))
    live.start(3, Path())
    late = "it took longer than 5 s. Try it again with --retry-failed"
    for title, reason, kept in (("a", "no such file", True), ("b", late, True), ("c", "it is damaged", False)):
        live.ended(title, Outcome("k", "failed", title, reason=reason), kept=kept)
    live.close()
    lines = [line.strip() for line in shown.getvalue().splitlines()]
    assert any(line.endswith("a: failed before: no such file; --retry-failed scans it again") for line in lines)
    assert any(line.endswith(f"b: failed before: {late}") for line in lines)
    assert any(line.endswith("c: failed: it is damaged") for line in lines)


def test_no_more_than_some_are_shown() -> None:
    lines = drawn(80, [("m", Step(1, 0, "t"))] * (MOST_ROWS + 5))
    assert len(lines) == 1 + 1 + MOST_ROWS + 1
    assert lines[-1] == "and 5 more"


def test_a_name_is_no_markup() -> None:
    assert "[red]x" in drawn(80, [("[red]x", Step(1, 0, "[b]t"))])[-1]
