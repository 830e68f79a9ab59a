"""What a web server says of a file: one request for its first byte, redirects followed.

Not a HEAD: signed addresses are often good for GET alone, and the answer shows whether the server serves parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from weightaudit.errors import ModelError, ModelNotFound, ModelUnavailable, ModelUnreachable
from weightaudit.source.http.client import Access, Response, parsed, read_url, send, server_of
from weightaudit.source.http.location import Locate, RemoteLocation, etag_or_date
from weightaudit.source.http.retry import RETRYABLE, RetryBudget, failed_status
from weightaudit.source.hub_errors import HTTP
from weightaudit.source.places import is_this_machine

CHECK = "Check the address, and the network"
NO_PARTS = "This server does not serve parts of files properly: download the file and scan that"
MAX_HOPS = 5
"""Redirects followed in a row."""
ABSENT = (401, 403, 404, 410)
"""Statuses of what is not there; storage services say 403 of it to those who may not list what is."""


@dataclass(frozen=True)
class Refused:
    """There is no such file, or not for us: ``status``, or 200 where a web page came in its place.

    ``signed`` says that the address has a query, which may have expired.
    """

    server: str
    status: int
    signed: bool

    def error(self, thing: str) -> ModelError:
        """What that means where the file itself was asked for."""
        if self.status == HTTPStatus.OK:
            hint = "It may ask to log in: open the address in a browser"
            return ModelUnavailable(thing, f"{self.server} answers with a web page in the file's place", hint)
        if self.status in (404, 410):
            return ModelNotFound(thing, f"{self.server} has no such file (HTTP {self.status})", "Check the address")
        if self.status in (401, 403):
            hint = "A signed address may have expired: make a new one" if self.signed else "Check who may read it"
            return ModelUnavailable(thing, f"{self.server} refuses access (HTTP {self.status})", hint)
        return ModelUnavailable(thing, f"{self.server} answered HTTP {self.status}", "Check the address")


def find(url: str, budget: RetryBudget, access: Access) -> RemoteLocation | Refused:
    """Where the file is. Raises as `send` does, and ModelUnavailable for what cannot be read by ranges."""
    signed = "?" in url
    for _ in range(MAX_HOPS):
        address = parsed(url, budget.thing)
        server = server_of(address)
        answer = send("GET", url, budget, access, {"range": "bytes=0-0"})
        try:
            status, headers = answer.status_code, answer.headers
            if status in RETRYABLE:
                raise failed_status(status, headers, server)
            if status in (301, 302, 303, 307, 308) and "location" in headers:
                url = _joined(url, headers["location"], server, budget.thing)
                continue
            if status not in (200, 206, 416):
                return Refused(server, status, signed)
            if headers.get("content-type", "").lower().startswith("text/html"):
                return Refused(server, 200, signed)
            size = _size(answer, server, budget.thing)
            return RemoteLocation(url, size, etag_or_date(headers), in_parts=status != HTTPStatus.OK or size <= 1)
        finally:
            answer.close()
    raise ModelUnreachable(budget.thing, "the server redirects without end", CHECK)


def located(url: str, access: Access) -> Locate:
    """What asks again where a file is that was found before."""

    def locate(budget: RetryBudget) -> RemoteLocation:
        found = find(url, budget, access)
        if isinstance(found, Refused):
            raise found.error(budget.thing)
        return found

    return locate


def _size(answer: Response, server: str, thing: str) -> int:
    """Bytes of the whole file."""
    headers: Mapping[str, str] = answer.headers
    if headers.get("content-encoding", "identity") != "identity":
        raise ModelUnavailable(thing, f"{server} serves the file compressed", NO_PARTS)
    if answer.status_code == HTTPStatus.OK:
        said = re.fullmatch(r"()([0-9]{1,18})", headers.get("content-length", "").strip())
    else:
        said = re.fullmatch(r"bytes (0-0|\*)/([0-9]{1,18})", headers.get("content-range", "").strip())
    if said is None or (answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and int(said[2]) > 0):
        raise ModelUnavailable(thing, f"{server} does not say how large the file is", NO_PARTS)
    return int(said[2])


def _joined(url: str, location: str, server: str, thing: str) -> str:
    """The address that a redirect leads to. ModelUnavailable for one that is less safe than where it comes from."""
    cause = f"{server} sends us to an address that is none"
    try:
        there = read_url(url).join(location)
        encrypted = there.scheme == "https" or (there.scheme == "http" and is_this_machine(there.host))
        if encrypted and there.host and not (url.startswith("https:") and there.scheme == "http"):
            return str(there)
        cause = f"{server} sends us to an address that is not encrypted, or no server's"
    except (HTTP.InvalidURL, ValueError):
        pass
    raise ModelUnavailable(thing, cause, "Ask for the file where it really is")
