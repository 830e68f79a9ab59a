"""Text on its way out: no line is a command of a CI service, however it is written in pieces, and no reader matters."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import re

import pytest

from weightaudit.errors import WeightauditError
from weightaudit.streams import PlainStream, json_without_commands
from weightaudit.text import escaped

PIECES = (":", "::", " ", "\t", "#", "##", "##[", "[", "vso[", "error", "\n", "\r", "a", "\x1b[0m", "\x1b[2J", "\u2028")
COMMANDS = (
    "::error::x",
    " \t::error::x",
    "\u3000::error::x",
    "\x85::error::x",
    ":::error::x",
    "a\n::stop-commands::x",
    "a\r\n  ::add-mask::x",
    "##[error]x",
    "a ##[group]",
    "###[group]",
    "##vso[task.setvariable]x",
    "##VSO[task.complete]x",
    "##teamcity[message]",
    "section_start:1:x\r\x1b[0Ka",
)


DRAWS = 1200
"""Each sort of piece beside each other, some times over."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Failing(io.StringIO):
    """A stream that cannot be written, for a reason."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.tries = number, 0

    def write(self, text: str, /) -> int:
        self.tries += 1
        raise OSError(self.number, os.strerror(self.number))


def written(*pieces: str, under: io.StringIO | None = None) -> str:
    under = under or io.StringIO()
    stream = PlainStream(under, data=True)
    for piece in pieces:
        assert stream.write(piece) == len(piece)
    stream.flush()
    return under.getvalue()


def is_command(text: str) -> bool:
    """As the services read a log: by lines, blanks before a line not counted."""
    lines = re.split(r"[\n\r]", text)
    return any(line.lstrip().startswith("::") or re.search(r"##[^\s#]", line) for line in lines)


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_is_none(text: str) -> None:
    shown = written(text)
    assert not is_command(shown)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    whole = "".join(c if c in "\n\t" else escaped(c) for c in text)
    assert shown.replace(" ", "") == whole.replace(" ", "")  # nothing is lost


@pytest.mark.parametrize("text", ["a::b", "std::vector", "# a", "## b", "a: :b", "σ₁ ≤ ‖W‖\n\tx\n", "[1/3] a: b\n"])
def test_other_text_stays(text: str) -> None:
    assert written(text) == text


def test_pieces_are_as_good_as_the_whole() -> None:
    rng = random.Random(1)
    for _ in range(DRAWS):
        pieces = [rng.choice(PIECES) for _ in range(rng.randint(1, 8))]
        whole = "".join(pieces)
        if "\x1b" not in whole:  # which is not cut in two
            assert written(*pieces) == written(whole) == written(*whole), pieces
        assert not is_command(written(*pieces)), pieces


def test_a_terminal_gets_what_displays_send_and_no_more() -> None:
    kept = "\x1b[31mred\x1b[0m\r\x1b[2K\x1b[1A\x1b[?25l"
    assert written(kept, under=Terminal()) == kept
    assert written("\x1b[2J\x1b]0;title\x07\x9b31m\u202e\x08", under=Terminal()) == (
        r"\x1b[2J\x1b]0;title\x07\x9b31m\u202e\x08"
    )
    assert written(kept) == r"red\r\x1b[2K\x1b[1A\x1b[?25l"


def test_json_means_the_same() -> None:
    rng = random.Random(2)
    alphabet = [*PIECES, '"', "\\", "σ", "\U0001f600", "\x00", "\x7f", "\u202e", "\ud800"]
    for _ in range(DRAWS):
        words = ["".join(rng.choice(alphabet) for _ in range(rng.randint(0, 6))) for _ in range(3)]
        document = {words[0]: words[1:], "n": 1}
        text = json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
        safe = json_without_commands(text)
        assert json.loads(safe) == json.loads(text)
        assert not is_command(safe)
        assert "::" not in safe  # wherever somebody breaks a long line
        assert all(c.isprintable() or c == "\n" for c in safe)


@pytest.mark.parametrize("data", [True, False])
def test_a_reader_that_went_away_is_no_fault(data: bool) -> None:
    under = Failing(errno.EPIPE)
    stream = PlainStream(under, data=data)
    for _ in range(3):
        stream.write("x\n")
        stream.flush()
    assert under.tries == 1


def test_what_stdout_cannot_write_is_raised() -> None:
    stream = PlainStream(Failing(errno.ENOSPC), data=True)
    for _ in range(2):
        with pytest.raises(WeightauditError, match="standard output: no space left on device"):
            stream.write("x\n")
    stream.flush()  # as the interpreter does at its end
    talk = PlainStream(Failing(errno.ENOSPC), data=False)
    talk.write("x\n")


def test_no_way_around() -> None:
    stream = PlainStream(io.TextIOWrapper(io.BytesIO()), data=True)
    assert not hasattr(stream, "buffer")
    with pytest.raises(TypeError):
        stream.write(b"::error::x")  # type: ignore[arg-type]  # that is the question
