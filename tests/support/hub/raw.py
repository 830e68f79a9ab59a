"""A server that answers every request with the same bytes, of whatever form: heads that no HTTP library would write,
bodies without an end.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

Body = Callable[[], Iterable[bytes]]
MOST = 40_000_000
"""Bytes of a body without an end that are sent at most, so that a client that reads on ends all the same."""


class RawServer:
    """``sent`` counts the bytes of bodies that were handed to the network, ``asked`` the requests."""

    def __init__(self, head: bytes, body: Body) -> None:
        self._head = head
        self._body = body
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.sent = 0
        self.asked: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def stop(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.asked.append(connection.recv(65536))
            connection.sendall(self._head)
            for piece in self._body():
                connection.sendall(piece)
                self.sent += len(piece)


def endless() -> Iterator[bytes]:
    for _ in range(MOST // 65536):
        yield b"a" * 65536


def nothing() -> Iterable[bytes]:
    return ()


@contextmanager
def raw_server(lines: Iterable[str | bytes], body: Body = nothing) -> Iterator[RawServer]:
    """A running one, whose head has these ``lines``."""
    head = b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines) + b"\r\n"
    server = RawServer(head, body)
    try:
        yield server
    finally:
        server.stop()
