"""A request to the stand-in Hub as its log keeps it, and an answer with whatever is to go wrong on the way."""

from __future__ import annotations

import gzip
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.hub.content import Content


@dataclass
class Request:
    """One request: what was asked, and what became of it.

    ``server`` is "hub" or "cdn"; ``path`` is without quoting and query; ``headers`` have lower-case names; ``span`` is
    the range asked for, (first byte, byte after the last), cut to the file where the file is known. ``status`` is 0
    until there is an answer, and stays 0 where the connection was closed instead; ``sent`` are bytes of body handed to
    the network so far. ``began`` and ``ended`` are seconds of `time.monotonic`, ``ended`` 0.0 until then.
    """

    server: str
    method: str
    target: str
    headers: dict[str, str]
    span: tuple[int, int] | None = None
    status: int = 0
    sent: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def token(self) -> str | None:
        """The access token that came with it."""
        found = self.headers.get("authorization")
        return None if found is None else found.removeprefix("Bearer ")


@dataclass
class Answer:
    """What to say to a request, and how.

    The body is ``content`` from ``span[0]`` to before ``span[1]``. ``hang_up`` closes the connection instead of any
    answer. ``pause`` is (bytes of body, seconds): after so many bytes nothing comes for so long; None bytes is before
    the headers. ``cut`` closes the connection after so many bytes of body, with a reset where ``reset``. ``rate`` is in
    bytes per second, for this body alone.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Content = field(default_factory=lambda: Content(b""))
    span: tuple[int, int] = (0, 0)
    hang_up: bool = False
    pause: tuple[int | None, float] | None = None
    cut: int | None = None
    reset: bool = False
    rate: float | None = None

    @property
    def length(self) -> int:
        return self.span[1] - self.span[0]


def plain(status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "text/plain") -> Answer:
    """An answer with a body of its own."""
    return Answer(status, {"Content-Type": kind, **(headers or {})}, Content(body), (0, len(body)))


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return plain(status, json.dumps(value).encode(), headers, "application/json; charset=utf-8")


def redirect(status: int, location: str, headers: dict[str, str] | None = None) -> Answer:
    body = f"Redirecting to {urlsplit(location).path}".encode()
    return plain(status, body, {"Location": location, "Vary": "Accept", **(headers or {})})


def file_answer(request: Request, content: Content, etag: str, headers: dict[str, str]) -> Answer:
    """A file or the range of it that was asked for, by the rules of RFC 9110: 200, 206, 304, 412 or 416.

    Several ranges in one request are not supported, and give the whole file, as the large CDNs do.
    """
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{etag}"', **headers} if etag else dict(headers)
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip('"') not in (etag, "*"):
        return plain(412, b"Precondition Failed")
    if etag and request.headers.get("if-none-match", "").strip('"') == etag:
        return Answer(304, headers)
    asked = request.headers.get("range") if request.method == "GET" else None
    if request.headers.get("if-range", f'"{etag}"').strip('"') != etag:
        asked = None
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if found is None or found.groups() == ("", ""):
        return Answer(200, headers, content, (0, content.size))
    first, last = found.groups()
    if first:
        start, stop = int(first), min(int(last) + 1 if last else content.size, content.size)
    else:
        start, stop = max(0, content.size - int(last)), content.size
    if last and first and int(last) < int(first):
        return Answer(200, headers, content, (0, content.size))  # no range at all, says the RFC
    if start >= content.size or start >= stop:
        return plain(416, b"Range Not Satisfiable", {"Content-Range": f"bytes */{content.size}"})
    request.span = (start, stop)
    return Answer(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{content.size}"}, content, request.span)


def compressed(request: Request, answer: Answer) -> Answer:
    """The same, in gzip where the client takes that and asked for no range: its ETag is a weak one then."""
    if answer.status != 200 or "gzip" not in request.headers.get("accept-encoding", ""):
        return answer
    body = gzip.compress(b"".join(answer.content.chunks(*answer.span, 1 << 20)), mtime=0)
    headers = {**answer.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    if "ETag" in headers:
        headers["ETag"] = f"W/{headers['ETag']}"
    return Answer(200, headers, Content(body), (0, len(body)))
