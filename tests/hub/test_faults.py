"""Each fault does what it says, as many times as it says, and no more."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from huggingface_hub import get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError

from tests.support.hub import Hub, faults, pointed_at, serve

WEIGHTS = bytes(range(250)) * 100
SIZE = len(WEIGHTS)
HTTP_ERROR = HfHubHTTPError.__bases__[0]
RANGE = {"range": "bytes=100-1099"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve({"org/name": {"w.bin": WEIGHTS, "config.json": b"{}"}}) as server, pointed_at(server.url, tmp_path):
        yield server


def location() -> str:
    return get_hf_file_metadata(hf_hub_url("org/name", "w.bin"), timeout=20).location


def get(url: str, **headers: str) -> Any:
    headers = {**(headers or RANGE), "accept-encoding": "identity"}
    return get_session().get(url, headers=headers, follow_redirects=False, timeout=20)


def healthy(answer: Any) -> bool:
    return bool(answer.status_code == 206 and answer.content == WEIGHTS[100:1100])


def test_broken_connections(hub: Hub) -> None:
    url = location()
    broken = [
        faults.hang_up(),
        faults.hang_up(reset=True),
        faults.drop_after(0),
        faults.drop_after(400),
        faults.drop_after(400, reset=True),
    ]
    for fault in broken:
        hub.faults[:] = [fault]
        with pytest.raises(HTTP_ERROR):
            get(url)
        assert healthy(get(url))
        assert fault.struck == 1
    assert [request.sent for request in hub.asked("cdn")] == [0, 1000] * 3 + [400, 1000] * 2
    assert [request.status for request in hub.asked("cdn")] == [0, 206] * 2 + [206] * 6


def test_bytes_come_before_the_drop(hub: Hub) -> None:
    """What a reader that resumes depends on."""
    hub.faults.append(faults.drop_after(400))
    url = urlsplit(location())
    with socket.create_connection((url.hostname, url.port)) as client, client.makefile("rb") as answer:
        client.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-999\r\n\r\n".encode())
        headers, _, body = answer.read().partition(b"\r\n\r\n")
    assert b"Content-Length: 1000" in headers
    assert body == WEIGHTS[:400]


def test_lies_about_ranges(hub: Hub) -> None:
    url = location()

    def struck(fault: faults.Fault) -> tuple[int, bytes, str | None, str]:
        hub.faults[:] = [fault]
        answer = get(url)
        assert healthy(get(url))
        said = answer.headers.get("content-range")
        return answer.status_code, answer.content, said, answer.headers["content-length"]

    part, whole = WEIGHTS[100:1100], f"bytes 100-1099/{SIZE}"
    assert struck(faults.short(10)) == (206, part[:-10], whole, "990")
    assert struck(faults.short(10, honest=True)) == (206, part[:-10], f"bytes 100-1089/{SIZE}", "990")
    assert struck(faults.ignore_range()) == (200, WEIGHTS, None, str(SIZE))
    assert struck(faults.wrong_range(5)) == (206, WEIGHTS[105:1105], f"bytes 105-1104/{SIZE}", "1000")
    assert struck(faults.wrong_range(0, total=7)) == (206, part, f"bytes 100-1099/{SIZE + 7}", "1000")
    assert struck(faults.alter({"content-range": None})) == (206, part, None, "1000")
    assert struck(faults.alter({"ETag": '"x"'}))[:2] == (206, part)
    assert struck(faults.gzipped())[:3] == (206, part, whole)


def test_statuses_and_redirects(hub: Hub) -> None:
    url = location()
    hub.faults[:] = [faults.status(429, {"Retry-After": "3"}, times=2, skip=1)]
    answers = [get(url) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [206, 429, 429, 206]
    assert answers[1].headers["retry-after"] == "3"
    hub.faults[:] = [faults.redirect_to("http://127.0.0.1:9/")]
    target = urlsplit(url)
    assert get(url).headers["location"] == f"http://127.0.0.1:9{target.path}?{target.query}"
    hub.faults[:] = [faults.status(503, where=faults.HEADS)]
    with pytest.raises(HfHubHTTPError, match="503"):
        location()
    assert location() != url
    hub.faults[:] = [faults.status(500, where=faults.API, times=None)]
    assert get(f"{hub.url}/api/models/org/name").status_code == 500
    assert healthy(get(url))


def test_expiry(hub: Hub) -> None:
    hub.faults.append(faults.expire_after(2, code=410))
    first = location()
    assert [get(first).status_code for _ in range(4)] == [206, 206, 410, 410]
    assert [get(location()).status_code for _ in range(2)] == [206, 206]


def test_a_file_that_changes(hub: Hub) -> None:
    url = location()
    hub.faults.append(faults.change_file(hub, "org/name", "w.bin", WEIGHTS[::-1], skip=1))
    before, after = get(url), get(url)
    assert (before.content, after.content) == (WEIGHTS[100:1100], WEIGHTS[::-1][100:1100])
    assert before.headers["etag"] != after.headers["etag"]


def test_only_where_it_should(hub: Hub) -> None:
    url = location()
    where = faults.Where(suffix="w.bin", min_bytes=500)
    hub.faults.append(faults.status(500, where=where, times=None))
    assert get(url, range="bytes=0-9").status_code == 206
    assert get(url).status_code == 500
    assert location()


def test_slow_answers(hub: Hub) -> None:
    """Never faster than asked; how much slower is the machine's matter."""
    url = location()
    for fault, seconds in (
        (faults.stall(0.05, after=None), 0.05),
        (faults.stall(0.05, after=300), 0.05),
        (faults.trickle(20_000), 0.04),
    ):
        hub.faults[:] = [fault]
        start = time.monotonic()
        assert healthy(get(url))
        assert time.monotonic() - start >= seconds
    hub.faults.clear()
    hub.latency, hub.rate = 0.025, 20_000
    start = time.monotonic()
    assert healthy(get(url))
    assert time.monotonic() - start >= 0.025 + 0.04


def test_stopping_ends_a_stall_and_refuses(hub: Hub) -> None:
    url = location()
    hub.faults.append(faults.stall(3600, after=400))
    with get_session().stream("GET", url, headers=RANGE, timeout=60) as answer:
        body = answer.iter_raw()
        assert next(body) == WEIGHTS[100:500]
        hub.stop("cdn")
        with pytest.raises(HTTP_ERROR):
            next(body)
    with pytest.raises(HTTP_ERROR):
        get(url)
    assert location()  # the Hub itself lives
