"""Where a distant file is now, and what tells that it is still the same file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from weightaudit.source.http.retry import RetryBudget


@dataclass(frozen=True)
class RemoteLocation:
    """``url`` may be signed and expire. ``size`` in bytes and ``etag``, as its server says, tell which file it is.

    ``sha256`` is what the Hub says that the file's SHA-256 is, in hexadecimal, or None. ``in_parts`` is False of a
    server that gave the whole file where a part was asked for.
    """

    url: str = field(repr=False)
    size: int
    etag: str | None
    sha256: str | None = None
    in_parts: bool = True

    @property
    def marks(self) -> tuple[int, str | None]:
        """What must not change while the file is read."""
        return self.size, self.etag


Locate = Callable[[RetryBudget], RemoteLocation]
"""Asks where a file is."""
Mark = Callable[[Mapping[str, str]], "str | None"]
"""What in an answer's headers must not change while a file is read."""


def bare_etag(etag: str | None) -> str | None:
    """An ETag without the mark of weak ones and the quotes: a proxy on the way may add or take the mark."""
    return etag.removeprefix("W/").strip('"') if etag else None


def etag_of(headers: Mapping[str, str]) -> str | None:
    """The Hub's, and its storage's, mark."""
    return bare_etag(headers.get("etag"))


def etag_or_date(headers: Mapping[str, str]) -> str | None:
    """That of any web server: small ones tell only when a file was written last."""
    return etag_of(headers) or headers.get("last-modified")
