"""Whether an answer to a request for a part of a file is what was asked for, before a byte of its body is believed."""

from __future__ import annotations

import re

from weightaudit.source.http.client import Response
from weightaudit.source.http.retry import RETRYABLE, RetryableError, failed_status

REFUSALS = 3
"""How often in a row a server may refuse, or serve other bytes than those asked for."""
MOVED_ON = (301, 302, 303, 307, 308, 401, 403, 404, 410)
"""Statuses of an address whose signature has expired, or from which the file has been moved."""
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class UnexpectedResponse(RetryableError):
    """The answer does not fit what the Hub said of the file: it should be asked again where the file is."""


def body_stop(answer: Response, server: str, start: int, stop: int, size: int, hint: str) -> int:
    """The byte of the file before which the body ends: ``stop`` or, if the server says so, an earlier one.

    Bytes ``start`` to before ``stop`` were asked for, of a file with ``size`` bytes. Raises RetryableError for an
    answer that is not to be believed, with ``hint`` where the server does not serve parts of files properly.
    """
    status, headers = answer.status_code, answer.headers
    if status in RETRYABLE:
        raise failed_status(status, headers, server)
    if status in MOVED_ON:
        raise UnexpectedResponse(f"{server} refuses to serve the file (HTTP {status})", soon=True, tries=REFUSALS)
    if status == 416:
        raise UnexpectedResponse(f"{server} says that the file is shorter than it was (HTTP 416)", tries=REFUSALS)
    if status not in (200, 206):
        raise RetryableError(f"{server} answered HTTP {status}", tries=REFUSALS)
    if headers.get("content-encoding", "identity") != "identity":
        raise RetryableError(f"{server} serves the file compressed", hint, tries=REFUSALS)
    if status == 206:
        stop = _said_stop(headers.get("content-range", ""), server, start, stop, size, hint)
    elif (start, stop) != (0, size):
        raise RetryableError(f"{server} ignores which part of the file was asked for", hint, tries=REFUSALS)
    # Absent from a body in chunks, whose length is counted as it comes.
    if headers.get("content-length", str(stop - start)).strip() != str(stop - start):
        raise RetryableError(f"{server} announces fewer or more bytes than it says it has", hint, tries=REFUSALS)
    return stop


def _said_stop(content_range: str, server: str, start: int, stop: int, size: int, hint: str) -> int:
    said = CONTENT_RANGE.fullmatch(content_range.strip())
    if said is not None:
        first, last, total = map(int, said.groups())
        if first == start <= last < stop and total == size:
            return last + 1
    raise UnexpectedResponse(f"{server} serves another part of the file than was asked for", hint, tries=REFUSALS)
