"""What the Hub says of a model or a file, and where a file lies: redirects followed, refusals put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]  # public

from weightaudit.errors import ModelError, ModelUnreachable
from weightaudit.source.http.client import (
    SOMEBODY_ELSE,
    Access,
    Response,
    broken,
    is_home,
    parsed,
    read_url,
    send,
    server_of,
)
from weightaudit.source.http.location import Locate, RemoteLocation, bare_etag
from weightaudit.source.http.retry import RETRYABLE, RetryBudget, failed_status
from weightaudit.source.http.timeout import call_with_timeout
from weightaudit.source.hub_errors import HTTP, HTTP_ERROR, endpoint, explain

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


def ask(method: str, url: str, budget: RetryBudget, access: Access, *, limit: int = 0) -> Reply:
    """What the Hub says to a HEAD, or to a GET of at most ``limit`` bytes, through its redirects.

    A redirect to another host ends a HEAD when it carries the file's size: that host is the Hub's storage.
    Raises as `send` does, and what the Hub's refusals mean.
    """
    commit: str | None = None
    for _ in range(MAX_HOPS):
        answer = send(method, url, budget, access)
        try:
            status, headers = answer.status_code, answer.headers
            commit = commit or headers.get("x-repo-commit")
            if status in RETRYABLE:
                raise failed_status(status, headers, server_of(parsed(url, budget.thing)))
            if status in (301, 302, 303, 307, 308) and "location" in headers:
                url = _joined(url, headers["location"], budget.thing)
                if "x-linked-size" in headers and not is_home(parsed(url, budget.thing)):
                    return Reply(url, True, headers, commit, b"")
                continue
            if status != 200:
                _refuse(answer, budget, access)
            body = b"" if method == "HEAD" else _body(answer, budget, limit)
            return Reply(url, False, headers, commit, body)
        finally:
            answer.close()
    raise ModelUnreachable(budget.thing, "the Hub redirects without end", SOMEBODY_ELSE)


def _joined(url: str, location: str, thing: str) -> str:
    cause = "the Hub sends us to an address that is none"
    try:
        here = read_url(url)
        there = here.join(location)
        if (here.scheme, there.scheme) != ("https", "http"):
            return str(there)
        cause = "the Hub sends us from an encrypted address to one that is not"
    except (HTTP.InvalidURL, ValueError):
        pass
    raise ModelUnreachable(thing, cause, SOMEBODY_ELSE)


def _refuse(answer: Response, budget: RetryBudget, access: Access) -> None:
    """Raise what a status other than 200 means. By its head: the body may have no end, or be a bomb."""
    said = {name: answer.headers[name] for name in REASONS if name in answer.headers}
    failure: ModelError | None = None
    try:
        hf_raise_for_status(HTTP.Response(answer.status_code, headers=said, request=answer.request))
    except (HTTP_ERROR, OSError, RuntimeError, ValueError) as error:
        failure = explain(error, access.model, access.revision, thing=budget.thing)
    raise failure or ModelUnreachable(budget.thing, f"the Hub answered HTTP {answer.status_code}", SOMEBODY_ELSE)


def _body(answer: Response, budget: RetryBudget, limit: int) -> bytes:
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
        body = call_with_timeout(budget, call, discard=lambda late: None, cause=f"{endpoint()} does not end its answer")
    except (HTTP_ERROR, OSError, RuntimeError) as error:
        failure = broken(error, endpoint())
    else:
        if len(body) <= limit and answer.headers.get("content-encoding", "identity") == "identity":
            return body
        failure = ModelUnreachable(budget.thing, "the Hub's answer is not what was asked for", SOMEBODY_ELSE)
    raise failure


def file_url(model: str, commit: str, name: str) -> str:
    """The Hub's address of a file of that commit."""
    return constants.HUGGINGFACE_CO_URL_TEMPLATE.format(
        repo_id=model, revision=quote(commit, safe=""), filename=quote(name, safe="/")
    )


def located(url: str, commit: str, access: Access) -> Locate:
    """What asks the Hub, with one HEAD, where the file of that commit is. It raises as `ask` does."""
    return lambda budget: _locate(url, commit, budget, access)


def _locate(url: str, commit: str, budget: RetryBudget, access: Access) -> RemoteLocation:
    reply = ask("HEAD", url, budget, access)
    said = reply.headers
    size = said.get("x-linked-size") or ("" if reply.elsewhere else said.get("content-length", ""))
    if not re.fullmatch(r"[0-9]{1,18}", size):
        raise ModelUnreachable(budget.thing, "the Hub does not say how large the file is", SOMEBODY_ELSE)
    linked = bare_etag(said.get("x-linked-etag"))
    etag = linked or bare_etag(said.get("etag"))
    sha256 = linked if linked is not None and re.fullmatch(r"[0-9a-f]{64}", linked) else None
    if reply.commit not in (None, commit):
        raise ModelUnreachable(budget.thing, "the Hub serves another commit than the one asked for", SOMEBODY_ELSE)
    return RemoteLocation(reply.url, int(size), etag, sha256)
