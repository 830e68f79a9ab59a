"""One file of the Hub read by ranges: exactly the bytes asked for, from several threads, closed, and checked."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.hub import Hub, faults, pointed_at, serve
from tests.support.impatience import shorten_pauses
from weightaudit.errors import CheckpointError
from weightaudit.source import ByteSource, open_repository
from weightaudit.source.http.ranges import RemoteFile

DATA = random.Random(0).randbytes(300_000)
FILE = "model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    shorten_pauses(monkeypatch)
    files = {FILE: DATA, "config.json": b'{"a": 1}', "empty.bin": b""}
    with serve({"org/name": files}) as server, pointed_at(server.url, tmp_path):
        yield server


def open_file(name: str = FILE, max_wait: float = 60.0) -> ByteSource:
    return open_repository("org/name", max_wait=max_wait).open(name)


def read(source: ByteSource, offset: int = 0, length: int | None = None) -> bytes:
    out = bytearray(source.size - offset if length is None else length)
    source.read_into(offset, memoryview(out))
    return bytes(out)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 300_000), (0, 8), (17, 100_001), (299_999, 1), (300_000, 0), (9, 0)]
)
def test_exactly_the_asked_bytes_are_sent(offset: int, length: int, hub: Hub) -> None:
    source = open_file()
    assert isinstance(source, RemoteFile)
    assert source.distant
    assert (source.size, source.name, source.label) == (300_000, FILE, f"org/name/{FILE}")
    assert read(source, offset, length) == DATA[offset : offset + length]
    assert hub.sent("cdn") == length
    assert len(hub.asked("cdn")) == (length > 0)
    assert len(hub.asked("hub", "HEAD")) == 1


@pytest.mark.parametrize(("offset", "length"), [(0, 300_001), (299_999, 2), (300_000, 1), (10**15, 1)])
def test_reading_past_the_end_is_an_error(offset: int, length: int, hub: Hub) -> None:
    source = open_file()
    with pytest.raises(CheckpointError, match=f"bytes {offset} to {offset + length} were expected, but it ends at"):
        read(source, offset, length)
    assert hub.asked("cdn") == []


def test_small_and_empty_files(hub: Hub) -> None:
    assert read(open_file("config.json")) == b'{"a": 1}'
    assert read(open_file("empty.bin")) == b""
    assert all(request.headers["accept-encoding"] == "identity" for request in hub.log)


def test_a_view_of_larger_items_is_filled(hub: Hub) -> None:
    out = memoryview(bytearray(800)).cast("q")
    open_file().read_into(5, out)
    assert out.cast("B") == DATA[5:805]


def test_many_threads_read_at_once(hub: Hub) -> None:
    source = open_file()
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: read(source, i * 10_000, 10_000), range(30)))
    assert b"".join(parts) == DATA
    assert len(hub.asked("hub", "HEAD")) == 1


def test_an_expired_address_is_renewed_once_for_all_threads(hub: Hub) -> None:
    source = open_file()
    hub.expire()
    together = threading.Barrier(4)

    def part(i: int) -> bytes:
        together.wait()
        return read(source, i * 75_000, 75_000)

    with ThreadPoolExecutor(4) as pool:
        assert b"".join(pool.map(part, range(4))) == DATA
    assert len(hub.asked("hub", "HEAD")) == 2


def test_after_closing_reading_is_an_error(hub: Hub) -> None:
    source = open_file()
    source.close()
    source.close()
    with pytest.raises(ValueError, match=f"org/name/{FILE} is closed"):
        read(source, 0, 1)
    assert hub.asked("cdn") == []


def check_closing_ends(call: Callable[[], object], close: Callable[[], None], *, once: Callable[[], object]) -> None:
    """``call``, in another thread, says that the file is closed after ``close``, which comes once it has begun."""
    failed: list[BaseException] = []

    def calling() -> None:
        try:
            call()
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=calling)
    thread.start()
    while not once():
        thread.join(0.01)
    close()
    thread.join(60)
    assert not thread.is_alive()
    assert str(failed[0]) == f"org/name/{FILE} is closed"


@pytest.mark.parametrize("after", [None, 1000], ids=["before the answer", "in its body"])
def test_closing_ends_a_read_that_waits_for_bytes(after: int | None, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.source.http.retry.STALL", 600.0)
    hub.faults.append(faults.stall(600.0, after=after))
    source = open_file(max_wait=600.0)
    check_closing_ends(
        lambda: read(source), source.close, once=lambda: hub.asked("cdn") and hub.sent("cdn") >= (after or 0)
    )


def test_closing_ends_a_pause_between_tries(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.source.http.retry.FIRST_PAUSE", 60.0)
    monkeypatch.setattr("weightaudit.source.http.retry.LONGEST_PAUSE", 60.0)
    source = open_file(max_wait=600.0)
    hub.faults.append(faults.status(503))
    check_closing_ends(lambda: read(source), source.close, once=lambda: hub.asked("cdn"))


def test_closing_the_repository_ends_the_opening_of_a_file(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightaudit.source.http.retry.STALL", 600.0)
    repository = open_repository("org/name", max_wait=600.0)
    opened = repository.open("config.json")
    hub.faults.append(faults.stall(600.0, after=None, where=faults.HEADS))
    check_closing_ends(lambda: repository.open(FILE), repository.close, once=lambda: hub.asked("hub", "HEAD", FILE))
    assert read(opened) == b'{"a": 1}'


def test_a_drop_resumes_at_the_byte_reached(hub: Hub) -> None:
    hub.faults.append(faults.drop_after(100_000))
    assert read(open_file()) == DATA
    first, second = hub.asked("cdn")
    assert (first.span, second.span) == ((0, 300_000), (first.sent, 300_000))


def test_neither_etag_nor_commit_need_be_said(hub: Hub) -> None:
    hub.cdn_etags = "none"
    missing = {"X-Linked-ETag": None, "ETag": None, "X-Repo-Commit": None}
    hub.faults.append(faults.alter(missing, where=faults.HUB, times=None))
    assert read(open_file()) == DATA


def test_weak_and_strong_etags_are_the_same_file(hub: Hub) -> None:
    source = open_file()
    read(source, 0, 10)
    etag = hub.repos["org/name"].commits[hub.sha][FILE].cdn_etag
    weak = faults.alter({"ETag": f'W/"{etag}"'})
    hub.faults.append(weak)
    assert read(source) == DATA
    assert weak.struck == 1
