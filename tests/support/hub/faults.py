"""Ready-made faults: append them to `Hub.faults`.

Each strikes requests that fit its `Where`, at most ``times`` of them and not the first ``skip``. Where several would
strike, the first in the list does. ``fault.struck`` counts.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.hub.answers import Answer, Request, plain, redirect
from tests.support.hub.content import Content
from tests.support.hub.hub import Hub

Change = Callable[[Request, Answer], Answer | None]


@dataclass(frozen=True)
class Where:
    """Which requests: by default the CDN's GETs, which carry the weights. "" and 0 mean any.

    ``prefix`` and ``suffix`` are of the path; ``min_bytes`` leaves out short bodies, such as those of a file's header.
    """

    server: str = "cdn"
    method: str = "GET"
    prefix: str = ""
    suffix: str = ""
    min_bytes: int = 0

    def fits(self, request: Request, answer: Answer) -> bool:
        return (
            self.server in ("", request.server)
            and self.method in ("", request.method)
            and request.path.startswith(self.prefix)
            and request.path.endswith(self.suffix)
            and answer.length >= self.min_bytes
        )


CDN = Where()
HUB = Where(server="hub", method="")
API = Where(server="hub", prefix="/api/models/")
HEADS = Where(server="hub", method="HEAD")


class Fault:
    """Makes ``change`` of the answers to ``times`` requests at ``where`` after the first ``skip``; None is all.

    A change that returns None lets that request pass, uncounted.
    """

    def __init__(self, change: Change, where: Where, times: int | None, skip: int = 0) -> None:
        self.change = change
        self.where = where
        self.times = times
        self.skip = skip
        self.seen = 0
        self.struck = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request, answer: Answer) -> Answer | None:
        if not self.where.fits(request, answer):
            return None
        with self._lock:
            self.seen += 1
            if self.seen <= self.skip or (self.times is not None and self.struck >= self.times):
                return None
            changed = self.change(request, answer)
            self.struck += changed is not None
            return changed


def hang_up(*, where: Where = CDN, times: int | None = 1, skip: int = 0, reset: bool = False) -> Fault:
    """The connection is closed instead of any answer."""
    return Fault(lambda request, answer: Answer(0, hang_up=True, reset=reset), where, times, skip)


def drop_after(nbytes: int, *, where: Where = CDN, times: int | None = 1, skip: int = 0, reset: bool = False) -> Fault:
    """The headers promise the whole body; after ``nbytes`` of it the connection is closed."""
    return Fault(lambda request, answer: replace(answer, cut=nbytes, reset=reset), where, times, skip)


def stall(seconds: float, *, after: int | None = 0, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """Nothing comes for ``seconds`` after so many bytes of body; None is before the headers. Then it goes on."""
    return Fault(lambda request, answer: replace(answer, pause=(after, seconds)), where, times, skip)


def trickle(rate: float, *, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """The body comes at ``rate`` bytes per second."""
    return Fault(lambda request, answer: replace(answer, rate=rate), where, times, skip)


def short(nbytes: int, *, honest: bool = False, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """A range whose last ``nbytes`` are missing, Content-Length agreeing with what comes.

    Where ``honest``, Content-Range says what comes too, which the standard allows; else it says what was asked for.
    """

    def change(request: Request, answer: Answer) -> Answer:
        start, stop = answer.span
        span = (start, max(start, stop - nbytes))
        if honest:
            headers = {**answer.headers, "Content-Range": f"bytes {start}-{span[1] - 1}/{answer.content.size}"}
            return replace(answer, span=span, headers=headers)
        return replace(answer, span=span)

    return Fault(change, where, times, skip)


def ignore_range(*, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """200 and the whole file, whatever range was asked for."""

    def change(request: Request, answer: Answer) -> Answer:
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Range"}
        return replace(answer, status=200, headers=headers, span=(0, answer.content.size))

    return Fault(change, where, times, skip)


def wrong_range(by: int = 1, *, total: int = 0, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """206 with another range than the one asked for, ``by`` bytes further on or, if negative, back; as many bytes.

    ``total`` is what Content-Range adds to the size of the file.
    """

    def change(request: Request, answer: Answer) -> Answer:
        size = answer.content.size
        start = min(max(answer.span[0] + by, 0), size - answer.length)
        span = (start, start + answer.length)
        said = f"bytes {answer.span[0] + by}-{answer.span[1] + by - 1}/{size + total}"
        return replace(answer, headers={**answer.headers, "Content-Range": said}, span=span)

    return Fault(change, where, times, skip)


def status(
    code: int,
    headers: dict[str, str] | None = None,
    *,
    where: Where = CDN,
    times: int | None = 1,
    skip: int = 0,
) -> Fault:
    """Another status, with a body of one line."""
    return Fault(lambda request, answer: plain(code, f"stand-in {code}\n".encode(), headers), where, times, skip)


def alter(headers: Mapping[str, str | None], *, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """Other headers, None for those to leave out; the body is as it was."""

    def change(request: Request, answer: Answer) -> Answer:
        gone = {name.lower() for name in headers}
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in gone}
        return replace(
            answer, headers={**kept, **{name: value for name, value in headers.items() if value is not None}}
        )

    return Fault(change, where, times, skip)


def gzipped(*, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """The body compressed, whether or not the client takes that."""

    def change(request: Request, answer: Answer) -> Answer:
        body = gzip.compress(b"".join(answer.content.chunks(*answer.span, 1 << 20)), mtime=0)
        headers = {**answer.headers, "Content-Encoding": "gzip"}
        return replace(answer, headers=headers, content=Content(body), span=(0, len(body)))

    return Fault(change, where, times, skip)


def redirect_to(url: str, code: int = 302, *, where: Where = CDN, times: int | None = 1, skip: int = 0) -> Fault:
    """A redirect to ``url``, or to the same path and query on it where it ends in "/"."""

    def change(request: Request, answer: Answer) -> Answer:
        there = url + request.target.lstrip("/") if url.endswith("/") else url
        return redirect(code, there)

    return Fault(change, where, times, skip)


def expire_after(uses: int, *, code: int = 403, times: int | None = None) -> Fault:
    """Each signed address is good for ``uses`` GETs, and then answered with ``code`` until the file is resolved again.

    Strikes at most ``times`` requests in all; None is without end.
    """
    used: dict[str, int] = {}

    def change(request: Request, answer: Answer) -> Answer | None:
        signature = request.query.get("X-Signature", "")
        used[signature] = used.get(signature, 0) + 1
        if used[signature] <= uses:
            return None
        return plain(code, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")

    return Fault(change, CDN, times)


def change_file(hub: Hub, model: str, name: str, data: bytes | Path, *, skip: int, where: Where = CDN) -> Fault:
    """The content of a file is replaced before the request after the first ``skip`` to it, under the same commit."""

    def change(request: Request, answer: Answer) -> Answer:
        hub.put(model, name, data)
        return hub.answer(request)

    return Fault(change, replace(where, suffix=where.suffix or name), 1, skip)
