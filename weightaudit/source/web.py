"""One request to the Hub or to where it sends us, by the session of the Hub's client.

The access token goes to the Hub's own address (scheme, host and port of HF_ENDPOINT) and nowhere else, whatever
redirects say. Every request has a time limit; answers are followed, never trusted.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]  # public

import weightaudit
from weightaudit.errors import ModelError, ModelUnavailable, printable
from weightaudit.source.deadline import within
from weightaudit.source.hub_errors import HTTP, HTTP_ERROR, endpoint, explain, untrusted, untrusted_certificate
from weightaudit.source.retry import RETRYABLE, Patience, TryAgain, failed_status

MAX_HOPS = 5
"""Redirects followed in a row."""
PRIVATE_HEADERS = ("authorization", "cookie")
AGENT = (
    f"weightaudit/{weightaudit.__version__}; hf_hub/{huggingface_hub.__version__}; python/{platform.python_version()}"
)
ASTRAY = "Check HF_ENDPOINT and the network: something between here and the Hub answers in its place"


class Response(Protocol):
    """What is used of the HTTP library's response: its head has come, its body has not."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def extensions(self) -> Mapping[str, Any]: ...
    def iter_raw(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Access:
    """How a model of the Hub is asked for: its id and revision, the token (None: nameless), seconds of `Patience`."""

    model: str
    revision: str | None
    token: str | None = field(repr=False)
    max_wait: float


@dataclass(frozen=True)
class Reply:
    """What the Hub said in the end, at ``url``; or where ``elsewhere``, on the way to ``url``, which was not asked.

    ``commit`` is the one that the Hub named on the way; ``body`` is empty for HEAD.
    """

    url: str = field(repr=False)
    elsewhere: bool
    headers: Mapping[str, str] = field(repr=False)
    commit: str | None
    body: bytes = field(repr=False)


def send(
    method: str, url: str, patience: Patience, access: Access, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer's head; its body is still to come, and the caller closes it. Redirects are not followed.

    Raises TryAgain where the network fails, ModelUnavailable where no other try would help, GaveUp.
    """
    address = _address(url, patience.thing)

    def call() -> Response:
        client = get_session()
        said = {"user-agent": AGENT, "accept-encoding": "identity", **(headers or {})}
        request = client.build_request(method, address, headers=said, timeout=patience.timeout())
        options: dict[str, Any] = {"stream": True, "follow_redirects": False}
        if is_home(address):
            if access.token is not None:
                request.headers["authorization"] = f"Bearer {access.token}"
        else:
            # A session of the user's own making may bring more than we gave it.
            for name in PRIVATE_HEADERS:
                request.headers.pop(name, None)
            options["auth"] = None
        answer: Response = client.send(request, **options)
        return answer

    failure: Exception
    try:
        silence = f"{server_of(address)} does not answer"
        return within(patience, call, discard=lambda answer: answer.close(), cause=silence)
    except (HTTP_ERROR, OSError, RuntimeError) as error:
        failure = _failure(error, server_of(address), patience.thing, access)
    raise failure  # outside of the handler: see hub_errors


def ask(method: str, url: str, patience: Patience, access: Access, *, limit: int = 0) -> Reply:
    """What the Hub says to a HEAD, or to a GET of at most ``limit`` bytes, through its redirects.

    A redirect to another host ends a HEAD when it carries the file's size: that host is the Hub's storage.
    Raises as `send` does, and what the Hub's refusals mean.
    """
    commit: str | None = None
    for _ in range(MAX_HOPS):
        answer = send(method, url, patience, access)
        try:
            status, headers = answer.status_code, answer.headers
            commit = commit or headers.get("x-repo-commit")
            if status in RETRYABLE:
                raise failed_status(status, headers, server_of(_address(url, patience.thing)))
            if status in (301, 302, 303, 307, 308) and "location" in headers:
                url = _joined(url, headers["location"], patience.thing)
                if "x-linked-size" in headers and not is_home(_address(url, patience.thing)):
                    return Reply(url, True, headers, commit, b"")
                continue
            if status != 200:
                _refuse(answer, patience, access)
            body = b"" if method == "HEAD" else _body(answer, patience, limit)
            return Reply(url, False, headers, commit, body)
        finally:
            answer.close()
    raise ModelUnavailable(patience.thing, "the Hub redirects without end", ASTRAY)


def is_home(address: Any) -> bool:
    """Whether a parsed address is the Hub's own, by the HTTP library's reading of both."""
    home = HTTP.URL(constants.ENDPOINT)
    return bool((address.scheme, address.host, address.port) == (home.scheme, home.host, home.port))


def origin(url: str) -> str:
    """Scheme, host and port of an address that was used before."""
    return server_of(HTTP.URL(url))


def server_of(address: Any) -> str:
    """The same of a parsed one; fit for messages."""
    port = "" if address.port is None else f":{address.port}"
    return printable(f"{address.scheme}://{address.host}{port}")


def _address(url: str, thing: str) -> Any:
    """``url`` as the HTTP library reads it; ModelUnavailable where it is none that we would ask."""
    try:
        address = HTTP.URL(url)
    except HTTP.InvalidURL:
        address = None
    if address is None or address.scheme not in ("http", "https") or not address.host:
        raise ModelUnavailable(thing, "the Hub sends us to an address that is none", ASTRAY)
    return address


def _joined(url: str, location: str, thing: str) -> str:
    try:
        return str(HTTP.URL(url).join(location))
    except (HTTP.InvalidURL, ValueError):
        pass
    raise ModelUnavailable(thing, "the Hub sends us to an address that is none", ASTRAY)


def _failure(error: Exception, server: str, thing: str, access: Access) -> Exception:
    """What it means that there was no answer."""
    if untrusted_certificate(error):
        return untrusted(thing, server)
    if isinstance(error, OSError):  # the client stays offline, or has not the files it needs
        return explain(error, access.model, access.revision, thing=thing)
    if isinstance(error, HTTP.LocalProtocolError | HTTP.UnsupportedProtocol):
        return ModelUnavailable(thing, f"{server} cannot be asked ({type(error).__name__})", ASTRAY)
    return broken(error, server)


def broken(error: Exception, server: str) -> TryAgain:
    """What it means that a connection failed, before an answer or in the midst of one."""
    kind = type(error).__name__
    if isinstance(error, HTTP.ConnectError | HTTP.ConnectTimeout | HTTP.ProxyError):
        return TryAgain(f"{server} cannot be reached ({kind})")
    if isinstance(error, HTTP.TimeoutException):
        return TryAgain(f"{server} falls silent ({kind})")
    return TryAgain(f"{server} breaks the connection ({kind})", soon=True)


def _refuse(answer: Response, patience: Patience, access: Access) -> None:
    """Raise what a status other than 200 means."""

    def call() -> None:
        hf_raise_for_status(answer)  # type: ignore[arg-type]  # it may read the body, and so take time

    failure: ModelError | None = None
    try:
        within(patience, call, discard=lambda nothing: None, cause=f"{endpoint()} does not end its answer")
    except (HTTP_ERROR, OSError, RuntimeError, ValueError) as error:
        failure = explain(error, access.model, access.revision, thing=patience.thing)
    raise failure or ModelUnavailable(patience.thing, f"the Hub answered HTTP {answer.status_code}", ASTRAY)


def _body(answer: Response, patience: Patience, limit: int) -> bytes:
    def call() -> bytes:
        parts: list[bytes] = []
        length = 0
        for part in answer.iter_raw():
            parts.append(part)
            length += len(part)
            if length > limit:
                break
        return b"".join(parts)

    failure: Exception
    try:
        body = within(patience, call, discard=lambda late: None, cause=f"{endpoint()} does not end its answer")
    except (HTTP_ERROR, OSError, RuntimeError) as error:
        failure = broken(error, endpoint())
    else:
        if len(body) <= limit and answer.headers.get("content-encoding", "identity") == "identity":
            return body
        failure = ModelUnavailable(patience.thing, "the Hub's answer is not what was asked for", ASTRAY)
    raise failure
