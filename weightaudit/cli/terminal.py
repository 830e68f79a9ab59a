"""What stdout can show: its characters and whether it is a terminal with colours."""

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
}
_COLOURS = {"error": "31", "warning": "33", "info": "36"}
BARS = "▁▂▃▄▅▆▇█"


def _lookalike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = (_LOOKALIKES.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return "".join(plain), error.end


codecs.register_error(LOOKALIKE, _lookalike)


@dataclass(frozen=True)
class TerminalStyle:
    """How text is to look on a stream: in which ``encoding``, and whether severities are coloured."""

    encoding: str = "utf-8"
    colour: bool = False

    def text(self, text: str) -> str:
        """``text`` in characters that the encoding has."""
        return text.encode(self.encoding, LOOKALIKE).decode(self.encoding)

    @property
    def bars(self) -> str:
        """Characters for a small profile, lowest first; none where the encoding lacks them."""
        return BARS if self.text(BARS) == BARS else ""

    def severity(self, word: str, width: int = 0) -> str:
        """The word padded to ``width``, coloured by its meaning."""
        padded = word.ljust(width)
        return f"\x1b[{_COLOURS[word]}m{padded}\x1b[0m" if self.colour else padded


def look_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> TerminalStyle:
    """Plain in a pipe, where TERM is dumb, and where NO_COLOR is set to anything (https://no-color.org)."""
    colour = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return TerminalStyle(stream.encoding or "ascii", colour and os.name != "nt")


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
