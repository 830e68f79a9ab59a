"""What stdout can show: its characters, its colours and how many columns there are."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from weightaudit.text import escaped

LOOKALIKE = "weightaudit.lookalike"
"""Error handler of codecs: ASCII that means the same where an encoding lacks a character, else an escape."""
_LOOKALIKES = {
    "×": "x",
    "–": "-",
    "—": "-",
    "…": "~",
    "σ": "sigma",
    "₁": "1",
    "²": "^2",
    "‖": "||",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
}
_COLOURS = {"error": ("red", "31"), "warning": ("yellow", "33"), "info": ("cyan", "36"), "failed": ("red", "31")}
"""Severity, or what a model did → its colour, as rich calls it and as a terminal does."""
BARS = "▁▂▃▄▅▆▇█"
PIPED = 80
"""Columns of text that no terminal shows: the same bytes wherever it was made."""
NARROWEST, WIDEST = 60, 200
"""Columns that text is laid out for, however wide the terminal is."""
PROSE = 110
"""Columns of a sentence at most: the eye loses longer lines."""


def _lookalike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = (_LOOKALIKES.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return "".join(plain), error.end


codecs.register_error(LOOKALIKE, _lookalike)


@dataclass(frozen=True)
class TerminalStyle:
    """How text is to look on a stream: in which ``encoding``, whether in colours, and in how many columns."""

    encoding: str = "utf-8"
    colour: bool = False
    width: int = PIPED

    def text(self, text: str) -> str:
        """``text`` in characters that the encoding has."""
        return text.encode(self.encoding, LOOKALIKE).decode(self.encoding)

    @property
    def prose(self) -> int:
        """Columns of sentences."""
        return min(self.width, PROSE)

    @property
    def bars(self) -> str:
        """Characters for a small profile, lowest first; none where the encoding lacks them."""
        return BARS if self.text(BARS) == BARS else ""

    def severity(self, word: str, width: int = 0) -> str:
        """The word padded to ``width``, coloured by its meaning."""
        padded = word.ljust(width)
        return f"\x1b[{_COLOURS[word][1]}m{padded}\x1b[0m" if self.colour else padded

    def style(self, word: str) -> str:
        """rich's style for a severity, or for a verdict that is called by one; "" for any other word."""
        return _COLOURS.get(word.removesuffix("s"), ("", ""))[0] if self.colour else ""


def look_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> TerminalStyle:
    """As wide as the terminal; in a pipe `PIPED`. No colours in a pipe, where TERM is dumb, and where NO_COLOR is set
    to anything (https://no-color.org).
    """
    colour = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return TerminalStyle(stream.encoding or "ascii", colour and os.name != "nt", _columns(stream, environ))


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    if not stream.isatty():
        return PIPED
    asked = environ.get("COLUMNS", "")
    columns = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    if not columns:
        try:
            columns = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):  # it says that it is one, and has no size
            columns = 0
    return min(max(columns, NARROWEST), WIDEST) if columns else PIPED


def make_stdout_lossy() -> None:
    """Have stdout replace what its encoding lacks: a σ in a help text must not end the program."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.errors == "strict":
        reconfigure(errors=LOOKALIKE)


def say(line: str) -> None:
    """``line`` on stdout, and no more lines than one, whatever name is in it."""
    print(escaped(line))


def tell(line: str) -> None:
    """``line`` on stderr, and no more lines than one, whatever name is in it."""
    print(escaped(line), file=sys.stderr, flush=True)
