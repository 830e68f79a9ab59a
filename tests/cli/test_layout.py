"""How a table gives way where there is little room, and what a stranger's name does in it: nothing."""

from __future__ import annotations

import pytest

from weightaudit.cli.layout import Column, natural_width, table, wrapped
from weightaudit.cli.terminal import TerminalStyle

COLUMNS = (Column("model", "name"), Column("n", right=True), Column("range"), Column("what", "text"))
ROW = ("organisation/a-model-with-a-rather-long-name", "1,234", "1.23e+05 – 4.56e+07", "words that say what was done")


def at(width: int) -> TerminalStyle:
    """A terminal of this width."""
    return TerminalStyle(width=width)


def test_where_there_is_room_nothing_is_cut() -> None:
    assert table(COLUMNS, [ROW], at(120)) == [
        "model                                             n  range                what",
        "  ".join(ROW),
    ]
    assert natural_width(COLUMNS, [ROW], at(120)) == len("  ".join(ROW))


@pytest.mark.parametrize("width", range(60, 102, 3))
def test_texts_go_on_and_names_are_cut_before_numbers_break(width: int) -> None:
    lines = table(COLUMNS, [ROW], at(width))
    assert max(map(len, lines)) <= width
    assert all(number in lines[1] for number in ROW[1:3])
    assert lines[1].startswith("organi")
    assert " ".join(" ".join(lines[1:]).split()).count("…") == 1


def test_numbers_break_at_blanks_alone() -> None:
    columns = [Column(f"column {i}") for i in range(5)]
    lines = table(columns, [["1.23e+05 – 4.56e+07"] * 5], at(60))
    assert max(map(len, lines)) <= 60
    assert lines[-2].split() == ["1.23e+05", "–"] * 5
    assert lines[-1].split() == ["4.56e+07"] * 5
    wide = table([Column(f"c{i}") for i in range(5)], [["1.2345678901234e-05"] * 5], at(60))
    assert wide[-1] == "  ".join(["1.2345678901234e-05"] * 5)  # wider than there is room for, and whole


@pytest.mark.parametrize("colour", [False, True])
def test_a_name_is_no_markup_and_no_command(colour: bool) -> None:
    names = ["[red]x[/red]", "[link=https://a.b]y[/link]", ":boom:", "z\x1b[2J\r\n", "\u202eabc"]
    text = "\n".join(table(COLUMNS, [(name, "1", "2", name) for name in names], TerminalStyle(colour=colour)))
    for shown in ("[red]x[/red]", "[link=https://a.b]y[/link]", ":boom:", r"z\x1b[2J\r\n", r"\u202eabc"):
        assert text.count(shown) == 2
    assert text.count("\n") == len(names)
    assert set(text.split("\x1b")[1:]) == set() if not colour else "\x1b[2J" not in text


def test_wide_characters_take_two_columns() -> None:
    lines = table(COLUMNS[:2], [("模型", "7"), ("abcd", "8")], at(80))
    assert lines == ["model  n", "模型   7", "abcd   8"]


def test_only_severities_are_coloured() -> None:
    columns = [Column("verdict", coloured=True), Column("name", "name")]
    rows = [("errors", "errors"), ("warnings", "x"), ("failed", "x"), ("clean", "x")]
    lines = table(columns, rows, TerminalStyle(colour=True))
    assert [line.split("m")[0] for line in lines] == ["\x1b[1", "\x1b[31", "\x1b[33", "\x1b[31", "clean     x"]
    assert lines[1].count("\x1b[31m") == 1


def test_a_sentence_goes_on_behind_its_indent() -> None:
    assert wrapped("one two three", at(80), width=8) == ["one two", "  three"]
    assert max(map(len, wrapped("word " * 100, at(200)))) <= 110
