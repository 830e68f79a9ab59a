"""Answers of a Hub that means harm: bodies without an end, bombs, numbers that are none, listings too large."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.support.hub import SHA, Hub, faults, pointed_at, serve
from tests.support.hub.answers import plain
from tests.support.hub.raw import MOST, RawServer, endless, raw_server
from tests.support.impatience import shorten_pauses
from weightaudit.errors import ModelError, ModelNotFound, ModelUnavailable
from weightaudit.source import cache, open_repository
from weightaudit.source.http import client
from weightaudit.source.http.retry import asked_to_wait
from weightaudit.source.hub_errors import HTTP

OK = "HTTP/1.1 200 OK"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.chdir(tmp_path)


def refused(server: RawServer | Hub, home: Path, model: str = "org/tiny") -> ModelError:
    """The error with which opening the model there ends."""
    with pointed_at(server.url, home / "home"), pytest.raises(ModelError) as caught:
        open_repository(model, max_wait=3)
    assert str(caught.value).isprintable()
    return caught.value


@functools.cache
def bomb() -> bytes:
    """50 MB in gzip."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(50)) + packer.flush()


# Refusals


@pytest.mark.parametrize(
    ("status", "more", "kind", "says"),
    [
        (401, ["X-Error-Code: RepoNotFound"], ModelNotFound, "no such model on the Hub"),
        (401, [], ModelUnavailable, "refuses access (HTTP 401)"),
        (403, [], ModelUnavailable, "refuses access (HTTP 403)"),
        (403, ["X-Error-Code: GatedRepo"], ModelUnavailable, "is gated"),
        (404, ["X-Error-Code: RevisionNotFound"], ModelNotFound, "not the revision"),
        (404, [], ModelUnavailable, "HTTP 404"),
        (410, [], ModelUnavailable, "HTTP 410"),
        (400, [], ModelUnavailable, "HTTP 400"),
        (304, [], ModelUnavailable, "HTTP 304"),
        (503, [], ModelUnavailable, "HTTP 503"),
        (429, [], ModelUnavailable, "rate limit"),
    ],
)
@pytest.mark.parametrize("form", ["no length", "gzip"])
def test_a_refusal_is_understood_by_its_head(
    form: str, status: int, more: list[str], kind: type[ModelError], says: str, tmp_path: Path
) -> None:
    forms = {
        "no length": ["Content-Type: application/json"],
        "gzip": ["Content-Length: 5000000000", "Content-Encoding: gzip"],
    }
    with raw_server([f"HTTP/1.1 {status} No", *more, *forms[form]], endless) as server:
        error = refused(server, tmp_path)
    assert isinstance(error, kind)
    assert says in str(error)
    assert server.sent < MOST / 2 * len(server.asked)  # what the sockets hold, not what a reader would take


def test_the_hubs_words_are_not_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ["X-Error-Message: evil words", "X-HF-Warning: topic; evil words", "X-Request-Id: evil words"]
    with raw_server(["HTTP/1.1 403 evil words", *words, "Content-Length: 10"], lambda: [b"evil words"]) as server:
        error = refused(server, tmp_path)
    assert "evil" not in str(error)
    assert "evil" not in "".join(record.getMessage() for record in caplog.records if record.levelno >= 30)


# Redirects


def at_an_encrypted_hub(there: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the Hub be one at https://hub.example that sends us ``there`` for the files of org/tiny, and for all that it
    is asked of org/gone. The schemes by which anybody is asked from then on.
    """
    asked: list[str] = []

    def answer(request: HTTP.Request) -> HTTP.Response:  # type: ignore[name-defined]
        asked.append(request.url.scheme)
        if request.url.host != "hub.example":
            return HTTP.Response(206, headers={"Content-Range": "bytes 0-1/2"}, content=iter([b"{}"]))
        if request.url.path == "/api/models/org/tiny":
            listing = {"id": "org/tiny", "sha": SHA, "siblings": [{"rfilename": "config.json"}]}
            return HTTP.Response(200, content=iter([json.dumps(listing).encode()]))
        return HTTP.Response(302, headers={"Location": there, "X-Repo-Commit": SHA, "X-Linked-Size": "2"})

    monkeypatch.setattr(client, "get_session", lambda: HTTP.Client(transport=HTTP.MockTransport(answer)))
    for name, value in {
        "ENDPOINT": "https://hub.example",
        "HUGGINGFACE_CO_URL_TEMPLATE": "https://hub.example/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": "none",
    }.items():
        monkeypatch.setattr(constants, name, value)
    return asked


@pytest.mark.parametrize(
    "there", ["http://cdn.example/x", "HTTP://hub.example/x", "http:x", "http:////cdn.example:443/x"]
)
@pytest.mark.parametrize("part", ["description", "file"])
def test_no_redirect_leaves_encryption(part: str, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = at_an_encrypted_hub(there, monkeypatch)
    model = "org/gone" if part == "description" else "org/tiny"
    with pytest.raises(ModelUnavailable, match="the Hub sends us from an encrypted address to one that is not"):
        open_repository(model, max_wait=3).open("config.json")
    assert set(asked) == {"https"}


@pytest.mark.parametrize("there", ["//cdn.example:80/x", "https://cdn.example/x"])
def test_redirects_to_encrypted_addresses_are_followed(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_an_encrypted_hub(there, monkeypatch)
    out = bytearray(2)
    open_repository("org/tiny", max_wait=3).open("config.json").read_into(0, memoryview(out))
    assert out == b"{}"


# Lengths, waits, codings


@pytest.mark.parametrize(
    ("length", "method"),
    [
        *(("9" * 25, "HEAD"), ("٣", "GET"), ("-5", "HEAD"), ("", "GET")),
        *(
            pytest.param(length, method, marks=pytest.mark.slow)
            for length in ("+5", "1e3", "0x10", "²", "9" * 5000, "5, 6")
            for method in ("GET", "HEAD")
        ),
    ],
    ids=ascii,
)
def test_lengths_that_are_none(method: str, length: str, tmp_path: Path) -> None:
    if method == "GET":
        with raw_server([OK, f"Content-Length: {length}"], lambda: [b"{}"]) as server:
            refused(server, tmp_path)
        return
    listing = {"id": "org/tiny", "sha": SHA, "siblings": [{"rfilename": "config.json"}]}
    with (
        raw_server([OK, f"Content-Length: {length}"]) as other,
        serve({"org/tiny": {"config.json": b"{}"}}) as hub,
        pointed_at(hub.url, tmp_path / "home"),
    ):
        hub.faults.append(
            faults.Fault(lambda request, answer: plain(200, json.dumps(listing).encode()), faults.API, None)
        )
        hub.faults.append(faults.redirect_to(other.url + "/", where=faults.HEADS, times=None))
        with pytest.raises(ModelUnavailable):
            open_repository("org/tiny", max_wait=3).open("config.json")


@pytest.mark.parametrize(
    "span",
    ["9" * 5000, "٣", " ", *(pytest.param(span, marks=pytest.mark.slow) for span in ("-1", "1e3", "0-0-0"))],
    ids=ascii,
)
def test_ranges_that_are_none(span: str, tmp_path: Path) -> None:
    with (
        serve({"org/tiny": {"config.json": b"{}", "a.bin": bytes(100)}}) as hub,
        raw_server(["HTTP/1.1 206 Part", f"Content-Range: bytes {span}-{span}/{span}", "Content-Length: 10"]) as other,
        pointed_at(hub.url, tmp_path / "home"),
    ):
        size = {"Location": f"{other.url}/a.bin", "X-Linked-Size": "100"}
        hub.faults.append(faults.status(302, size, where=faults.HEADS, times=None))
        with pytest.raises(ModelUnavailable, match="serves another part of the file"):
            open_repository("org/tiny", max_wait=3).open("a.bin").read_into(10, memoryview(bytearray(10)))


WAITS = [
    *("9" * 5000, "", "1" + "0" * 9, "nan", "-5", "inf", "1e9", "٣", "-0", "Fri, 99 Foo 2 9:9:9 X", "0:0 -9999999"),
]


@pytest.mark.parametrize("wait", WAITS, ids=ascii)
def test_waits_that_are_none(wait: str) -> None:
    assert asked_to_wait({"retry-after": wait}) is None


@pytest.mark.parametrize(
    "wait", ["9" * 5000, "", *(pytest.param(wait, marks=pytest.mark.slow) for wait in WAITS[2:])], ids=ascii
)
def test_waits_that_are_none_are_not_waited_for(wait: str, tmp_path: Path) -> None:
    with raw_server(["HTTP/1.1 503 No", f"Retry-After: {wait}", "Content-Length: 0"]) as server:
        assert "answered HTTP 503 (6 tries)" in str(refused(server, tmp_path))


@pytest.mark.parametrize("wait", ["999999999", "Fri, 31 Dec 9999 23:59:59 -2359"])
def test_waits_of_years_are_not_waited_for(wait: str, tmp_path: Path) -> None:
    with raw_server(["HTTP/1.1 503 No", f"Retry-After: {wait}", "Content-Length: 0"]) as server:
        assert "and it asks to wait" in str(refused(server, tmp_path))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "coding", ["gzip", "br", "gzip, gzip", *(pytest.param(c, marks=pytest.mark.slow) for c in ("deflate", "GZIP", "x"))]
)
def test_bombs_are_not_unpacked(coding: str, tmp_path: Path) -> None:
    body = bomb()
    lines = [OK, f"Content-Length: {len(body)}", f"Content-Encoding: {coding}"]
    with raw_server(lines, lambda: [body]) as server:
        assert "is not what was asked for" in str(refused(server, tmp_path))


# Listings


def listing(entry: bytes, count: int) -> Iterable[bytes]:
    """A description of a model with so many entries."""
    yield json.dumps({"id": "org/tiny", "sha": SHA}).encode()[:-1] + b', "siblings": ['
    for _ in range(count // 1000):
        yield (entry + b",") * 1000
    yield entry + b"]}"


@pytest.mark.parametrize(
    ("entry", "count", "says"),
    [
        (b"{}", 600_000, "its JSON has more than 1000000 values"),
        pytest.param(b"[]", 600_000, "more than 1000000 values", marks=pytest.mark.slow),
        pytest.param(b'{"rfilename":"a"}', 400_000, "more than 1000000 values", marks=pytest.mark.slow),
        pytest.param(b"1", 1_100_000, "more than 1000000 values", marks=pytest.mark.slow),
        (b'"' + b"a" * 100 + b'"', 400_000, "not what was asked for"),
    ],
)
def test_a_listing_of_too_much(entry: bytes, count: int, says: str, tmp_path: Path) -> None:
    with raw_server([OK], lambda: listing(entry, count)) as server:
        assert says in str(refused(server, tmp_path))
    assert len(server.asked) == 1


def test_a_listing_without_an_end_is_left(tmp_path: Path) -> None:
    with raw_server([OK], endless) as server:
        assert "not what was asked for" in str(refused(server, tmp_path))
    assert server.sent < MOST


def test_a_listing_of_a_hundred_thousand_files_is_read(tmp_path: Path) -> None:
    entry = json.dumps({"rfilename": "a" * 60}).encode()
    with raw_server([OK], lambda: listing(entry, 100_000)) as server, pointed_at(server.url, tmp_path / "home"):
        assert len(open_repository("org/tiny").files()) == 100_001


def test_pages_of_a_listing_are_not_followed(tmp_path: Path) -> None:
    with raw_server([OK]) as other:
        for url in (other.url + "/next", "/api/models/org/tiny?cursor=x"):
            with raw_server([OK, f'Link: <{url}>; rel="next"'], lambda: listing(b"{}", 0)) as server:
                with pointed_at(server.url, tmp_path / "home"):
                    assert open_repository("org/tiny").files() == []
                assert len(server.asked) == 1
    assert other.asked == []


# The cache


@pytest.mark.parametrize(
    "ref", [b"\xff\xfe", b"../../..", b"..", b"", b"/etc", b"x\0y", SHA.encode() + b"\n", b"\x1b[2J", b"a" * 10**6]
)
def test_a_ref_that_is_no_commit(ref: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "home" / "hub" / "models--org--tiny"
    for path in (folder / "snapshots" / "\x1b[2J", folder / "snapshots" / SHA, folder / "refs", folder):
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text("{}")
        (path / "model.safetensors").write_bytes(b"x")
    (folder / "refs" / "main").write_bytes(ref)
    with serve({}) as hub, pointed_at(hub.url, tmp_path / "home"):
        assert cache.cached_snapshot("org/tiny", None) is None
        with pytest.raises(ModelUnavailable, match="cache has no weights of it"):
            open_repository("org/tiny", offline=True)
