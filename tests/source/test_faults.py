"""What a network, a CDN and a Hub can do wrong, each fault by itself, on one file read in three ranges.

`tests/cli/test_hub_faults.py` has the same faults under whole scans.
"""

from __future__ import annotations

import itertools
import random
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from tests.support.covering import covering
from tests.support.fault_table import PASSING
from tests.support.hub import Hub, faults, pointed_at, serve
from tests.support.hub.answers import Answer, Request, plain
from tests.support.hub.faults import API, HEADS, HUB, Fault
from tests.support.impatience import shorten_pauses
from weightaudit.errors import CheckpointError, ModelUnavailable
from weightaudit.source import ByteSource, open_repository
from weightaudit.source.http import retry
from weightaudit.source.http.ranges import RemoteFile

DATA = random.Random(0).randbytes(120_000)
FILE = "model.safetensors"
RANGES = ((0, 8), (8, 50_000), (50_000, 120_000))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    shorten_pauses(monkeypatch)
    with serve({"org/name": {FILE: DATA, "config.json": b"{}"}}) as server, pointed_at(server.url, tmp_path):
        yield server


def hurry(source: ByteSource, seconds: float) -> None:
    """Allow what is read from now on less time than it had before, which a busy machine may need to open the file."""
    assert isinstance(source, RemoteFile)
    source._access = replace(source._access, max_wait=seconds)


def read(max_wait: float = 60.0, *, token: str | None = "hf_secret", hurried: float | None = None) -> bytes:
    """The whole file, as a scan reads one: the model is pinned, the file opened, and its parts read in turn.

    All but the first part is read with ``hurried`` seconds for it, if any.
    """
    source = open_repository("org/name", token=token, max_wait=max_wait).open(FILE)
    out = bytearray(source.size)
    for start, stop in RANGES:
        source.read_into(start, memoryview(out)[start:stop])
        if hurried is not None:
            hurry(source, hurried)
    source.close()
    return bytes(out)


ALIKE = {
    *("reset instead of an answer", "drop in mid-body, with a reset", "short 206 that says so"),
    *(
        "nonsense in Content-Range",
        "400",
        "401",
        "404",
        "410",
        "408",
        "429",
        "502",
        "504",
    ),
    *(
        "500",
        "429 of the listing",
        "503 of the listing",
        "429 of HEAD",
        "an expiry told as 410",
        "416",
        "503 in the midst",
    ),
    *("no Content-Range", "drop before the body", "stall in the hub's listing"),
    *("stall before the answer", "stall of the hub's listing"),
}
"""Faults that go through the lines of others: the same kind of answer, by another number or at another place."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in PASSING])
def test_what_passes_leaves_no_trace(name: str, hub: Hub) -> None:
    fault = PASSING[name](hub, 20_000)
    hub.faults.append(fault)
    assert read() == DATA
    assert fault.struck > 0
    assert_token_at_home(hub)


def test_an_address_may_expire_any_number_of_times(hub: Hub) -> None:
    """Here after each request, on a line that breaks every 15,000 bytes."""
    hub.faults += [faults.expire_after(1), faults.drop_after(15_000, times=None)]
    assert read() == DATA
    assert hub.faults[0].struck > 5  # type: ignore[attr-defined]  # far more often than a fresh address may be refused


def test_refusals_count_in_a_row_where_others_are_served_meanwhile(hub: Hub) -> None:
    """As for one of several threads that share addresses good for a few uses each: often the others were faster."""
    source = open_repository("org/name").open(FILE)
    source.read_into(0, memoryview(bytearray(8)))
    refused = itertools.count(1)

    def expired(request: Request, answer: Answer) -> Answer | None:
        if (request.server, request.method) != ("cdn", "GET") or answer.span[0] == 0:
            return None
        number = next(refused)
        if number % 3 == 0:
            source.read_into(0, memoryview(bytearray(8)))
        return plain(410, b"") if number <= 20 else None

    hub.faults.append(expired)
    out = bytearray(50_000)
    source.read_into(8, memoryview(out))
    assert (bytes(out), next(refused)) == (DATA[8:50_008], 22)


def assert_token_at_home(hub: Hub) -> None:
    assert {request.token for request in hub.asked("cdn")} <= {None}
    assert {request.token for request in hub.asked("hub")} <= {hub.token}


CDN = r"http://127\.0\.0\.1:\d+"
LASTING: dict[str, tuple[Callable[[Hub], Fault], str]] = {
    "no answer": (lambda hub: faults.hang_up(times=None), rf"{CDN} breaks the connection \(Rem.*6 tries"),
    "no answer of the hub": (lambda hub: faults.hang_up(where=HUB, times=None), r"breaks the connection .*6 tries"),
    "drop in mid-body": (lambda hub: faults.drop_after(20, times=None), r"breaks the connection \(RemoteProto"),
    "drop later": (lambda hub: faults.drop_after(20, times=None, skip=1), "breaks the connection .* nothing helped"),
    "stall in mid-body": (lambda hub: faults.stall(60, after=20, times=None, skip=1), r"falls silent \(ReadTimeout\)"),
    "stall before the answer": (lambda hub: faults.stall(60, after=None, times=None), r"falls silent|not answer"),
    "stall of the listing": (lambda hub: faults.stall(60, after=None, where=API, times=None), "silent|not answer"),
    "trickle": (lambda hub: faults.trickle(500, times=None, skip=1), "the bytes come too slowly, and nothing helped"),
    "short 206": (lambda hub: faults.short(5, times=None), r"announces fewer .*3 tries.*--download"),
    "200 ignoring the range": (lambda hub: faults.ignore_range(times=None), r"ignores which part.*3 tries.*--download"),
    "wrong Content-Range": (lambda hub: faults.wrong_range(times=None), r"another part .*3 tries.*--download"),
    "compressed": (lambda hub: faults.gzipped(times=None), r"compressed .*3 tries.*--download"),
    "400": (lambda hub: faults.status(400, times=None), r"HTTP 400 \(3 tries\)"),
    "401": (lambda hub: faults.status(401, times=None), r"refuses to serve the file \(HTTP 401\) \(3 tries\)"),
    "403": (lambda hub: faults.status(403, times=None), r"refuses to serve the file \(HTTP 403\) \(3 tries\)"),
    "404": (lambda hub: faults.status(404, times=None), r"refuses to serve the file \(HTTP 404\) \(3 tries\)"),
    "410": (lambda hub: faults.status(410, times=None), r"refuses to serve the file \(HTTP 410\) \(3 tries\)"),
    "416": (lambda hub: faults.status(416, times=None), r"shorter than it was \(HTTP 416\) \(3 tries\)"),
    "401 of HEAD": (lambda hub: faults.status(401, where=HEADS, times=None), r"refuses access \(HTTP 401\)"),
    "403 of HEAD": (lambda hub: faults.status(403, where=HEADS, times=None), r"refuses access \(HTTP 403\)"),
    "404 of HEAD": (lambda hub: faults.status(404, where=HEADS, times=None), r"answered HTTP 404"),
    "410 of HEAD": (lambda hub: faults.status(410, where=HEADS, times=None), r"answered HTTP 410"),
    "429": (lambda hub: faults.status(429, {"Retry-After": "3600"}, times=None), r"HTTP 429\), and .* 3600 seconds"),
    "429 of the listing": (lambda hub: faults.status(429, where=API, times=None), r"rate limit of .*6 tries"),
    "500": (lambda hub: faults.status(500, times=None), r"answered HTTP 500 \(6 tries\)"),
    "503": (lambda hub: faults.status(503, times=None), r"answered HTTP 503 \(6 tries\)"),
    "503 later": (lambda hub: faults.status(503, times=None, skip=1), r"answered HTTP 503, and nothing helped within"),
    "503 of HEAD": (lambda hub: faults.status(503, where=HEADS, times=None), r"answered HTTP 503 \(6 tries\)"),
    "addresses that never work": (lambda hub: faults.expire_after(0), r"refuses to serve the file \(HTTP 403\)"),
    "redirect to itself": (
        lambda hub: faults.redirect_to(hub.url + "/", where=HEADS, times=None),
        "the Hub redirects without end",
    ),
    "redirect of every range": (lambda hub: faults.redirect_to(hub.url + "/", times=None), r"\(HTTP 302\) \(3 tries"),
    "an unknown size": (
        lambda hub: faults.alter({"X-Linked-Size": "much"}, where=HEADS, times=None),
        "does not say how large",
    ),
    "another commit": (
        lambda hub: faults.alter({"X-Repo-Commit": "f" * 40}, where=HEADS, times=None),
        "serves another commit than the one asked for",
    ),
}


TIMED = ("drop in mid-body", "drop later", "trickle", "503 later", "stall in mid-body")
"""Those that end with the time allowed, once a part was read; the others, but for stalls, with a number of tries."""


LASTING_ALIKE = {
    *("no answer of the hub", "drop later", "stall before the answer", "401", "404", "410", "403 of HEAD"),
    *("410 of HEAD", "429 of the listing", "500", "503 of HEAD", "stall of the listing", "400", "401 of HEAD", "416"),
}
"""As `ALIKE`."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LASTING_ALIKE)) for name in LASTING]
)
def test_what_lasts_is_told_once(
    name: str, hub: Hub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    making, cause = LASTING[name]
    if name in TIMED:
        monkeypatch.setattr(retry, "LONGEST_PAUSE", 0.1)  # the time is full of tries else
    max_wait = 1.0 if "stall" in name and name not in TIMED else 60.0
    hub.faults.append(making(hub))
    with caplog.at_level("DEBUG"), pytest.raises(ModelUnavailable, match=cause) as caught:
        read(max_wait, hurried=0.4 if name in TIMED else None)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("org/name")
    assert_token_at_home(hub)
    told = caplog.text + "".join(traceback.format_exception(caught.value))
    for secret in (hub.token, "X-Signature=", "Expires="):
        assert secret not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/x", "http://[::1", "http://999.1.1.1/"),
        *(pytest.param(url, marks=pytest.mark.slow) for url in ("http://", "http://a:99999999/", "http://\x7f/", "//")),
    ],
)
def test_redirects_to_no_address(url: str, hub: Hub) -> None:
    hub.faults.append(faults.alter({"Location": url}, where=HEADS, times=None))
    with pytest.raises(ModelUnavailable):
        read(max_wait=0.5)


CHANGES: dict[str, Callable[[Hub], None]] = {
    "other bytes": lambda hub: hub.put("org/name", FILE, bytes(120_000)),
    "fewer bytes": lambda hub: hub.put("org/name", FILE, DATA[:60_000]),
    "more bytes": lambda hub: hub.put("org/name", FILE, DATA + b"x"),
}


@pytest.mark.parametrize(
    ("name", "expired", "etags"), covering(list(CHANGES), [False, True], ["own", "linked", "none"])
)
def test_a_file_that_changes_between_ranges_is_never_mixed(name: str, expired: bool, etags: str, hub: Hub) -> None:
    hub.cdn_etags = etags
    source = open_repository("org/name", max_wait=60.0).open(FILE)
    out = bytearray(120_000)
    source.read_into(0, memoryview(out)[:50_000])
    CHANGES[name](hub)
    if expired:
        hub.expire()
    if (name, expired, etags) == ("other bytes", False, "none"):
        return  # as long, at the same address, and no word from the CDN: nothing could tell
    with pytest.raises(CheckpointError, match=r"org/name/model\.safetensors: it has changed while it was read"):
        source.read_into(50_000, memoryview(out)[50_000:])


def test_a_file_that_changes_in_the_midst_of_a_range(hub: Hub) -> None:
    hub.faults.append(faults.drop_after(10_000, skip=1))
    hub.faults.append(faults.change_file(hub, "org/name", FILE, bytes(120_000), skip=2))
    with pytest.raises(CheckpointError, match="it has changed while it was read"):
        read()


def test_a_file_that_vanishes(hub: Hub) -> None:
    source = open_repository("org/name").open(FILE)
    del hub.repos["org/name"].commits[hub.sha][FILE]
    with pytest.raises(CheckpointError, match=r"org/name/model\.safetensors: the Hub has no such file"):
        source.read_into(0, memoryview(bytearray(9)))


@pytest.mark.parametrize(
    ("server", "answered"),
    [
        *(("hub", False), ("cdn", False), ("cdn", True)),
        *(
            pytest.param(server, answered, marks=pytest.mark.slow)
            for server, answered in (("hub", True), ("", False), ("", True))
        ),
    ],
)
def test_connections_refused(server: str, answered: bool, hub: Hub) -> None:
    source = open_repository("org/name", max_wait=60.0).open(FILE)
    if answered:
        source.read_into(0, memoryview(bytearray(8)))
        hurry(source, 0.3)
    hub.stop(server)
    if server == "hub":
        source.read_into(0, memoryview(bytearray(8)))  # the file's address is known
        with pytest.raises(ModelUnavailable, match=r"org/name: http://127\.0\.0\.1:\d+ cannot be reached"):
            open_repository("org/name")
        return
    ending = r"nothing helped within 0\.3 seconds" if answered else "6 tries"
    with pytest.raises(ModelUnavailable, match=rf"cannot be reached \(ConnectError\).*{ending}"):
        source.read_into(0, memoryview(bytearray(8)))


def test_a_network_that_comes_back(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_repository("org/name", max_wait=60.0).open(FILE)
    out = bytearray(120_000)
    source.read_into(0, memoryview(out)[:8])
    real, refused = socket.create_connection, [0]

    def refuse(*args: object, **options: object) -> socket.socket:
        refused[0] += 1
        if refused[0] <= 12:
            raise OSError(101, "Network is unreachable")
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", refuse)
    hub.faults.append(faults.drop_after(20_000))
    source.read_into(8, memoryview(out)[8:])
    assert out == DATA
    assert refused[0] == 13  # a server that has answered before is worth more than a few tries


def test_looking_up_a_host_may_hang(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        go.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with pytest.raises(ModelUnavailable, match=r"does not answer, and nothing helped within 0\.3 seconds"):
            open_repository("org/name", max_wait=0.3)
    finally:
        go.set()


@contextmanager
def saying(text: bytes, *, dripping: bool = False, pause: float = 0.01) -> Iterator[str]:
    """A server that says ``text`` to everybody; where ``dripping``, again and again, ``pause`` seconds a byte."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def say(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            if not dripping:
                connection.sendall(text)
                return
            while not ended.is_set():
                for byte in text:
                    if ended.wait(pause):
                        return
                    connection.sendall(bytes([byte]))

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=say, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    "text",
    [
        # See `test_storage_that_drips_without_end` for a head.
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 5000, id="head", marks=pytest.mark.slow),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000, id="body"),
        pytest.param(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
            id="refusal",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_hub_that_drips_without_end(text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    with (
        saying(text, dripping=True) as url,
        pointed_at(url, tmp_path),
        pytest.raises(
            ModelUnavailable, match=r"does not (answer|end its answer), and nothing helped within 0\.5 seconds"
        ),
    ):
        open_repository("org/name", max_wait=0.5)


def test_a_listing_is_not_read_beyond_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.source.resolve_revision.MAX_LISTING", 20)
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000
    with (
        saying(text, dripping=True, pause=0.001) as url,
        pointed_at(url, tmp_path),
        pytest.raises(ModelUnavailable, match="not what was asked for"),
    ):
        open_repository("org/name")


def test_storage_that_drips_without_end(hub: Hub) -> None:
    text = b"HTTP/1.1 206 Partial Content\r\n" + b"X-More: and more\r\n" * 5000
    with saying(text, dripping=True) as url:
        hub.faults.append(faults.alter({"Location": url}, where=HEADS, times=None))
        with pytest.raises(ModelUnavailable, match=r"does not answer, and nothing helped within 0\.5 seconds"):
            read(max_wait=0.5)


HEAD_OF_8 = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-7/120000\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"8\r\n" + DATA[:8] + b"\r\n0\r\n\r\n", None),
        (b"3\r\n" + DATA[:3] + b"\r\n5\r\n" + DATA[3:8] + b"\r\n0\r\n\r\n", None),
        (b"9\r\n" + DATA[:9] + b"\r\n0\r\n\r\n", r"sends more than it says it has \(3 tries\)"),
        (b"0\r\n\r\n", r"ends its answer early \(6 tries\)"),
        (b"8\r\n" + DATA[:5], "breaks the connection|serves another part"),
        (b"no length\r\n", "breaks the connection"),
    ],
)
def test_bodies_in_chunks(body: bytes, cause: str | None, hub: Hub) -> None:
    """Their length is not announced, so it is counted."""
    out = bytearray(8)
    with saying(HEAD_OF_8 + body) as url:
        hub.faults.append(faults.alter({"Location": url}, where=HEADS, times=None))
        source = open_repository("org/name").open(FILE)
        if cause is None:
            source.read_into(0, memoryview(out))
            assert out == DATA[:8]
        else:
            with pytest.raises(ModelUnavailable, match=cause):
                source.read_into(0, memoryview(out))


def test_no_redirect_takes_the_token_along(hub: Hub) -> None:
    """To the listing of another Hub, to its files, and to its storage: each is followed, and none is told the token."""
    with serve({"org/name": {FILE: DATA, "config.json": b"{}"}}) as other:
        hub.faults.append(faults.redirect_to(other.url + "/", 307, where=HUB, times=None))
        assert read() == DATA
        assert {request.server for request in other.log} == {"hub", "cdn"}
        assert {request.token for request in other.log} == {None}
        assert "hf_secret" not in str([request.headers for request in other.log])
    assert {request.token for request in hub.log} == {hub.token}


def test_no_session_of_the_users_own_takes_it_along(hub: Hub) -> None:
    def factory() -> object:
        client = usual()
        client.headers["authorization"] = "Bearer hf_secret"
        client.cookies.set("session", "hf_secret")
        return client

    usual = huggingface_hub.utils._http.default_client_factory
    huggingface_hub.set_client_factory(factory)  # type: ignore[arg-type]
    try:
        assert read(token=None) == DATA
    finally:
        huggingface_hub.set_client_factory(usual)
    assert "hf_secret" in str([request.headers for request in hub.asked("hub")])
    assert "hf_secret" not in str([request.headers for request in hub.asked("cdn")])


def test_logs_have_neither_token_nor_signed_addresses(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    hub.faults.append(faults.status(503))
    hub.faults.append(faults.drop_after(10_000, times=3))
    with caplog.at_level("DEBUG"):
        assert read() == DATA
    assert hub.cdn_url in caplog.text  # so the libraries did log what they asked for
    assert "answered HTTP 503; trying again in" in caplog.text
    for secret in (hub.token, "X-Signature=", "Expires="):
        assert secret not in caplog.text


def test_a_download_that_breaks_logs_no_signed_address(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    hub.faults.append(faults.drop_after(10_000))
    with caplog.at_level("DEBUG"):
        repository = open_repository("org/name", download=True, token=hub.token)
        with suppress(ModelUnavailable):  # some versions of the client give up, others warn and go on
            repository.fetch([FILE])
    assert f"{hub.cdn_url}/repos/org/name" in caplog.text
    for secret in (hub.token, "X-Signature=", "Expires="):
        assert secret not in caplog.text


def test_a_certificate_that_nobody_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[object] = []

    def refuse(*_: object, **__: object) -> object:
        refused.append(None)
        raise ssl.SSLCertVerificationError(1, "certificate verify failed")

    shorten_pauses(monkeypatch)
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    with (
        serve({}) as hub,
        pointed_at(hub.url.replace("http:", "https:"), tmp_path),
        pytest.raises(ModelUnavailable, match=r"certificate of https://127\.0\.0\.1:\d+ cannot be verified"),
    ):
        open_repository("org/name")
    assert len(refused) == 1  # another try would not help
