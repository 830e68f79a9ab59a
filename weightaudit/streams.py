"""stdout and stderr as every process of ours has them: no line is a command to the service that runs it, whatever a
stranger's name says, and nothing that a reader does can end the program in a way of its own.

Services that build and test read commands from the lines of a log. GitHub takes a line that begins with ``::``, blanks
before it or not, and ``##[…]`` anywhere in a line; Azure ``##vso[…]``, TeamCity ``##teamcity[…]``; GitLab a carriage
return with an escape sequence. So all text goes through one stream that sets these apart, and escapes what steers a
terminal. What else a text says is left as it is.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, cast

from weightaudit.errors import WeightauditError
from weightaudit.text import escaped

_COMMAND = re.compile(r"((?:^|\r)[^\S\n]*:)(?=:)|(##)(?=[^\s#])", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LAYOUT = re.compile(r"[\n\t]")
_STEERING = re.compile(r"[\n\t\r]|\x1b\[[0-9;]*[mABK]|\x1b\[\?25[hl]")
"""What progress displays send to a terminal: colours, up and down, erase the line, hide the cursor."""
_IN_JSON = re.compile(r"(?<=:):|(?<=#)#|[^\n\x20-\x7e]")
GONE = (errno.EPIPE, errno.ESHUTDOWN, *((errno.EINVAL,) if os.name == "nt" else ()))
"""What a write says when nobody reads any more."""


def without_commands(text: str) -> str:
    """Whole lines with a blank inside whatever would begin a command.

    Example:
        >>> without_commands("  ::error::x, ##[group]")
        '  : :error::x, ## [group]'
    """
    return _COMMAND.sub(r"\1\2 ", text)


def json_without_commands(text: str) -> str:
    r"""A JSON text that means the same, without two colons or two number signs in a row and with every unprintable
    character as an escape. Only strings can hold them.

    Example:
        >>> json_without_commands('{"a": "::x ##[y]"}')
        '{"a": ":\\u003ax #\\u0023[y]"}'
    """
    return _IN_JSON.sub(lambda found: found[0] if _stays(found[0]) else _unicode_escape(found[0]), text)


def _stays(character: str) -> bool:
    return character not in ":#" and character.isprintable()


def _unicode_escape(character: str) -> str:
    return rf"\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]


class PlainStream(io.TextIOBase):
    """Text on its way to ``stream``.

    A reader that goes away is no fault: what it would have got is dropped from then on. For stdout (``data``) any other
    failure is raised as a WeightauditError, by later writes too; of stderr, which is talk, nothing is left to say
    it on. It has no ``buffer``, so that no bytes get past it.
    """

    def __init__(self, stream: TextIO, *, data: bool) -> None:
        self._stream = stream
        self._data = data
        self._lost = False
        self._failure: WeightauditError | None = None
        self._line = ""
        """Of the line begun what decides whether the next characters make a command."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        return self._stream.encoding or "ascii"

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # read-only here
        return self._stream.errors

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with suppress(ValueError):  # it is closed
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        """Write ``text``, made harmless; the number of its characters."""
        if not isinstance(text, str):  # typer tries bytes first
            raise TypeError(f"a text stream takes no {type(text).__name__}")
        if not text:
            return 0
        shown = _escaped_but(_STEERING, text) if self.isatty() else _escaped_but(_LAYOUT, _COLOUR.sub("", text))
        whole = self._line + shown
        safe = without_commands(whole)[len(self._line) :]
        self._line = _begun(whole)
        self._attempt(lambda: self._stream.write(safe))
        return len(text)

    def write_commands(self, text: str) -> None:
        """Whole lines that are meant as commands, and a line end."""
        self._attempt(lambda: self._stream.write(text + "\n"))
        self._line = ""

    def write_json(self, document: bytes) -> None:
        """A JSON document in UTF-8, whatever the stream's encoding: as it is but for what a line must not hold."""
        self._write_bytes(json_without_commands(document.decode("utf-8")))

    def write_document(self, document: bytes) -> None:
        """A text document in UTF-8, whatever the stream's encoding: as it is but for blanks inside commands, and for
        escapes of what steers a terminal.
        """
        self._write_bytes(without_commands(_escaped_but(_LAYOUT, document.decode("utf-8"))))

    def _write_bytes(self, text: str) -> None:
        data = text.encode("utf-8")

        def write() -> None:
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()

        self._attempt(write)

    def flush(self) -> None:
        """Hand on what is held."""
        if not self._lost:
            self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            if not self._lost:
                action()
        except OSError as error:
            self._abandon()
            if self._data and error.errno not in GONE:
                cause = "it is closed" if error.errno == errno.EBADF else (error.strerror or str(error)).lower()
                self._failure = WeightauditError("standard output", cause, "Send it where it can be written")
        except ValueError:
            if not self._stream.closed:
                raise
            self._lost = True
        if self._failure is not None:
            raise self._failure

    def _abandon(self) -> None:
        """Send what the stream still holds nowhere, or Python complains about it at its end."""
        self._lost = True
        with suppress(OSError, ValueError):  # a stream of no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _escaped_but(kept: re.Pattern[str], text: str) -> str:
    if text.isprintable():
        return text
    pieces, at = [], 0
    for found in kept.finditer(text):
        pieces += [escaped(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*pieces, escaped(text[at:])])


def _begun(text: str) -> str:
    """Short text that goes on as the last line of ``text`` does."""
    line = re.split(r"[\n\r]", text)[-1]
    word = line.lstrip()
    return word if len(word) < 2 else f"-{word[-2:]}"


def plain_stdout() -> PlainStream:
    """stdout as a `PlainStream`, which it is already where `protect` was called."""
    return sys.stdout if isinstance(sys.stdout, PlainStream) else PlainStream(sys.stdout, data=True)


def protect() -> None:
    """Have stdout and stderr be `PlainStream`s in this process; one that was closed takes nothing.

    Their descriptors are taken first where they are free: the next file opened would get them, and be written to.
    """
    for descriptor, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free one, so this; opened the wrong way round, so that its use fails as that of a closed one.
            os.open(os.devnull, flags)
    for name, data in (("stdout", True), ("stderr", False)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115  # for good
        if not isinstance(stream, PlainStream):
            setattr(sys, name, cast(TextIO, PlainStream(stream, data=data)))
