"""One request to the Hub or to where it sends us, by the session of the Hub's client and with a time limit.

To a web server that a user names, the same with a client of its own, which brings nothing of the Hub's.

The access token goes to the Hub's own address (scheme, host and port of HF_ENDPOINT) and nowhere else, whatever
redirects say.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]  # public

from weightaudit.errors import ModelUnreachable
from weightaudit.source.addresses import no_endpoint
from weightaudit.source.http.retry import RetryableError, RetryBudget
from weightaudit.source.http.timeout import call_with_timeout
from weightaudit.source.hub_errors import HTTP, HTTP_ERROR, explain, untrusted, untrusted_certificate
from weightaudit.text import printable
from weightaudit.version import __version__

PRIVATE_HEADERS = ("authorization", "cookie")
AGENT = f"weightaudit/{__version__}; hf_hub/{huggingface_hub.__version__}; python/{platform.python_version()}"
DOWNLOAD = "This server does not serve parts of files properly: download the model instead (--download)"
SOMEBODY_ELSE = "Check HF_ENDPOINT and the network: something between here and the Hub answers in its place"


class Response(Protocol):
    """What is used of the HTTP library's response: its head has come, its body has not."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def request(self) -> Any: ...
    @property
    def extensions(self) -> Mapping[str, Any]: ...
    def iter_raw(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Access:
    """How a model of the Hub is asked for: id and revision, the token (None: nameless), seconds of `RetryBudget`.

    Of a model on a web server ``client`` asks, in place of the session of the Hub's client. ``hint`` is what to do
    where a server does not answer as it should, ``no_parts`` where it does not serve parts of files properly.
    """

    model: str
    revision: str | None
    token: str | None = field(repr=False)
    max_wait: float
    client: Any = field(default=None, repr=False)
    hint: str = SOMEBODY_ELSE
    no_parts: str = DOWNLOAD


def send(
    method: str, url: str, budget: RetryBudget, access: Access, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer's head; its body is still to come, and the caller closes it. Redirects are not followed.

    Raises RetryableError where the network fails, ModelUnreachable where no other try would help, GaveUp.
    """
    address = parsed(url, budget.thing)

    def call() -> Response:
        client = access.client or client_of(budget.thing, get_session)
        said = {"user-agent": AGENT, "accept-encoding": "identity", **(headers or {})}
        request = client.build_request(method, address, headers=said, timeout=budget.timeout())
        options: dict[str, Any] = {"stream": True, "follow_redirects": False}
        if access.client is None and is_home(address):
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
        return call_with_timeout(budget, call, discard=lambda answer: answer.close(), cause=silence)
    except (HTTP_ERROR, OSError, RuntimeError) as error:
        failure = _failure(error, server_of(address), budget.thing, access)
    raise failure  # outside of the handler: see hub_errors


def client_of(thing: str, make: Callable[[], Any]) -> Any:
    """The client that ``make`` gives. ModelUnreachable where the environment names proxies that cannot be used."""
    with suppress(HTTP.InvalidURL, ImportError, ValueError):  # whose texts hold parts of a proxy's password
        return make()
    raise ModelUnreachable(
        thing,
        "the proxies that the environment names cannot be used",
        "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY look like http://example.org:3128, NO_PROXY like example.org; in a "
        f"password / is written as %2F; socks5:// needs 'pip install {HTTP.__name__}[socks]'",
    )


def is_home(address: Any) -> bool:
    """Whether a parsed address is the Hub's own, by the HTTP library's reading of both."""
    home = read_url(constants.ENDPOINT)
    return bool((address.scheme, address.host, address.port) == (home.scheme, home.host, home.port))


@lru_cache(maxsize=64)
def read_url(url: str) -> Any:
    """``url`` as the HTTP library reads it; its InvalidURL. Kept, as a file is asked for range by range at one address,
    and to read a signed one takes ten times as long as to make a request of it.
    """
    return HTTP.URL(url)


def origin(url: str) -> str:
    """Scheme, host and port of an address that was used before."""
    return server_of(read_url(url))


def server_of(address: Any) -> str:
    """The same of a parsed one; fit for messages."""
    port = "" if address.port is None else f":{address.port}"
    return printable(f"{address.scheme}://{address.host}{port}")


def parsed(url: str, thing: str) -> Any:
    """``url`` as the HTTP library reads it; ModelUnreachable where it is none that can be asked."""
    try:
        address = read_url(url)
    except HTTP.InvalidURL:
        address = None
    if address is not None and address.scheme in ("http", "https") and address.host:
        return address
    if url.startswith(constants.ENDPOINT):
        raise no_endpoint(thing)
    raise ModelUnreachable(thing, "the Hub sends us to an address that is none", SOMEBODY_ELSE)


def _failure(error: Exception, server: str, thing: str, access: Access) -> Exception:
    """What it means that there was no answer."""
    if untrusted_certificate(error):
        return untrusted(thing, server)
    if isinstance(error, OSError) and access.client is None:  # it stays offline, or has not the files it needs
        return explain(error, access.model, access.revision, thing=thing)
    if isinstance(error, OSError | HTTP.LocalProtocolError | HTTP.UnsupportedProtocol):
        return ModelUnreachable(thing, f"{server} cannot be asked ({type(error).__name__})", access.hint)
    return broken(error, server)


def broken(error: Exception, server: str) -> RetryableError:
    """What it means that a connection failed, before an answer or in the midst of one."""
    kind = type(error).__name__
    if isinstance(error, HTTP.ConnectError | HTTP.ConnectTimeout | HTTP.ProxyError):
        return RetryableError(f"{server} cannot be reached ({kind})")
    if isinstance(error, HTTP.TimeoutException):
        return RetryableError(f"{server} falls silent ({kind})")
    return RetryableError(f"{server} breaks the connection ({kind})", soon=True)
