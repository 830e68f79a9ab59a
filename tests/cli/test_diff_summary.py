"""What the terminal shows of a difference: all that is said, in narrow and harmless lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import diffs
from tests.support.covering import in_turn
from weightaudit.cli.diff_summary import diff_text
from weightaudit.cli.terminal import NARROWEST, PIPED, WIDEST, TerminalStyle
from weightaudit.records import Grid, Place
from weightaudit.report.diff.verdict import headline


@pytest.mark.parametrize(
    ("name", "width"), [*((name, NARROWEST) for name in diffs.ALL), *in_turn(tuple(diffs.ALL), (PIPED, WIDEST))]
)
def test_the_terminal_gets_harmless_lines_of_its_width(name: str, width: int) -> None:
    lines = diff_text(diffs.ALL[name](), TerminalStyle(width=width)).split("\n")
    assert all(len(line) <= width and line.isprintable() for line in lines)
    assert lines[0].startswith("verdict: ")
    diff_text(diffs.ALL[name](), TerminalStyle("ascii")).encode("ascii")


def test_the_story_is_on_the_terminal() -> None:
    text = diff_text(diffs.lora())
    assert headline(diffs.lora()) in " ".join(text.split())
    assert "Q                  6  1.39 % – 2.87 %  low rank 8" in text
    assert "layer 0 V     2.89 %         low rank 8" in text


def test_a_finding_is_told_to_its_end() -> None:
    result = diffs.lora()
    detail = "It was found that " + "nothing but this is what was changed, and " * 6 + "that is the end."
    text = diff_text(replace(result, findings=(replace(result.findings[0], detail=detail),)))
    assert detail in " ".join(text.split())
    assert "…" not in text.split("norms, biases")[0]


def test_no_number_is_lost_to_long_words() -> None:
    """What was done goes on in a further line, where names and sizes leave it no room."""
    long = f"encoder.{'layer.11.' * 5}bias"
    change = diffs.change(Place(), "quantised", 1.2, shape=(384,), name=long, grid=Grid(4, 128, True))
    *_, size, rest = diff_text(diffs.result_of([change])).split("\n")
    assert "120 %" in size
    assert " ".join(f"{size} {rest}".split()).endswith("120 % quantised to 4 bits in groups of 128")
