"""What the Hub says of a model or a file: its redirects followed, its refusals put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]  # public

from weightaudit.errors import ModelError, ModelUnreachable
from weightaudit.source.deadline import within
from weightaudit.source.hub_errors import HTTP, HTTP_ERROR, endpoint, explain
from weightaudit.source.retry import RETRYABLE, Patience, failed_status
from weightaudit.source.web import SOMEBODY_ELSE, Access, Response, broken, is_home, parsed, send, server_of

MAX_HOPS = 5
"""Redirects followed in a row."""
REASONS = ("x-error-code", "x-error-message")
"""Headers in which the Hub says why it refuses."""


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
                raise failed_status(status, headers, server_of(parsed(url, patience.thing)))
            if status in (301, 302, 303, 307, 308) and "location" in headers:
                url = _joined(url, headers["location"], patience.thing)
                if "x-linked-size" in headers and not is_home(parsed(url, patience.thing)):
                    return Reply(url, True, headers, commit, b"")
                continue
            if status != 200:
                _refuse(answer, patience, access)
            body = b"" if method == "HEAD" else _body(answer, patience, limit)
            return Reply(url, False, headers, commit, body)
        finally:
            answer.close()
    raise ModelUnreachable(patience.thing, "the Hub redirects without end", SOMEBODY_ELSE)


def _joined(url: str, location: str, thing: str) -> str:
    cause = "the Hub sends us to an address that is none"
    try:
        there = HTTP.URL(url).join(location)
        if (HTTP.URL(url).scheme, there.scheme) != ("https", "http"):
            return str(there)
        cause = "the Hub sends us from an encrypted address to one that is not"
    except (HTTP.InvalidURL, ValueError):
        pass
    raise ModelUnreachable(thing, cause, SOMEBODY_ELSE)


def _refuse(answer: Response, patience: Patience, access: Access) -> None:
    """Raise what a status other than 200 means. By its head: the body may have no end, or be a bomb."""
    said = {name: answer.headers[name] for name in REASONS if name in answer.headers}
    failure: ModelError | None = None
    try:
        hf_raise_for_status(HTTP.Response(answer.status_code, headers=said, request=answer.request))
    except (HTTP_ERROR, OSError, RuntimeError, ValueError) as error:
        failure = explain(error, access.model, access.revision, thing=patience.thing)
    raise failure or ModelUnreachable(patience.thing, f"the Hub answered HTTP {answer.status_code}", SOMEBODY_ELSE)


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
        failure = ModelUnreachable(patience.thing, "the Hub's answer is not what was asked for", SOMEBODY_ELSE)
    raise failure
