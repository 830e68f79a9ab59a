"""How a batch ends on the terminal."""

from __future__ import annotations

import pytest

from weightaudit.batches.verdicts import ModelVerdict
from weightaudit.cli.batch_summary import MOST_MODELS, verdict_table
from weightaudit.cli.terminal import NARROWEST, PIPED, WIDEST, TerminalStyle

FAILED = ModelVerdict("gone", "failed", reason="gone: no such file or directory. " + "Check the path " * 40)


def test_a_line_a_model_with_its_first_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelVerdict, "first_finding", lambda self: "nonfinite (layer 3 Q)" if self.findings else "")
    verdicts = [ModelVerdict("a", "errors", {"error": 1, "info": 1234}), ModelVerdict("b/c", "clean")]
    assert verdict_table(verdicts, TerminalStyle()).splitlines() == [
        "verdict  model  findings  first finding",
        "errors   a         1,235  nonfinite (layer 3 Q)",
        "clean    b/c           0",
    ]
    assert verdict_table([], TerminalStyle()) == ""


def test_more_than_some_are_counted() -> None:
    verdicts = [FAILED, *[ModelVerdict(f"m{i}", "unchecked") for i in range(20)], *[ModelVerdict("x", "clean")] * 3]
    lines = verdict_table(verdicts, TerminalStyle(width=WIDEST)).splitlines()
    assert sum(line.startswith(("failed", "unchecked", "clean")) for line in lines) == MOST_MODELS
    assert lines[-1] == "and 4 more models: 1 unchecked and 3 clean"


@pytest.mark.parametrize("width", [NARROWEST, PIPED, WIDEST])
def test_it_fits_and_no_name_steers_it(width: int) -> None:
    hostile = ModelVerdict("[red]x\x1b[2J\n::error::" + "long" * 60, "clean")
    text = verdict_table([FAILED, hostile], TerminalStyle(width=width))
    assert max(map(len, text.splitlines())) <= width
    assert "[red]x" in text
    assert text.replace("\n", "").isprintable()
