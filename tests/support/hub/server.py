"""One HTTP server of the two: keep-alive, latency, a shared bandwidth, and connections that can be cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.hub.answers import Answer, Request

CHUNK = 64 * 1024
CREDIT = 0.01
"""Seconds by which a late wake-up may be made good, so that the mean rate is the one asked for."""


class Pace:
    """A bandwidth in bytes per second that all who call `wait` share; None is without limit."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._free = 0.0

    def wait(self, nbytes: int, closing: threading.Event) -> None:
        """Until ``nbytes`` more would have arrived, or the server closes."""
        if self.rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now - CREDIT) + nbytes / self.rate
            delay = self._free - now
        if delay > 0:
            closing.wait(delay)


class Server(ThreadingHTTPServer):
    """Asks ``answer`` what to say to each request. `stop` ends every connection and waits for its threads."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, kind: str, answer: Callable[[Request], Answer], pace: Pace) -> None:
        self.kind = kind
        self.answer = answer
        self.pace = pace
        self.closing = threading.Event()
        self.latency = 0.0
        self.connections: set[socket.socket] = set()
        self.accepted = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        super().__init__(("127.0.0.1", 0), Handler)

    def start(self) -> None:
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        """From now on connections are refused. Twice is once."""
        if self.closing.is_set():
            return
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.socket.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients come and go; what goes wrong in a handler is seen by its client."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the acknowledgement of its headers
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.accepted += 1
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet; `Hub.log` is the log."""

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def _respond(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.server.kind, self.command, self.path, headers)
        answer = self.server.answer(request)
        self.server.closing.wait(self.server.latency)
        if answer.hang_up:
            self._drop(answer)
            return
        if answer.pause is not None and answer.pause[0] is None:
            self.server.closing.wait(answer.pause[1])
        try:
            self._send(request, answer)
        except OSError:  # the client has gone
            self.close_connection = True
        finally:
            request.ended = time.monotonic()

    def _send(self, request: Request, answer: Answer) -> None:
        request.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers and answer.status != 304:
            self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if request.method == "HEAD" or answer.status == 304:
            return
        if "Content-Length" in answer.headers and int(answer.headers["Content-Length"]) != answer.length:
            self.close_connection = True
        stops = {answer.length if answer.cut is None else min(answer.cut, answer.length)}
        end = max(stops)
        if answer.pause is not None and answer.pause[0] is not None:
            stops.add(min(answer.pause[0], end))
        pace = self.server.pace if answer.rate is None else Pace(answer.rate)
        done = 0
        for stop in sorted(stops):
            self._body(request, answer, done, stop, pace)
            done = stop
            if answer.pause is not None and answer.pause[0] == done:
                self.server.closing.wait(answer.pause[1])
        if answer.cut is not None:
            self._drop(answer)

    def _body(self, request: Request, answer: Answer, start: int, stop: int, pace: Pace) -> None:
        first = answer.span[0]
        length = CHUNK if pace.rate is None else max(1, min(CHUNK, int(pace.rate / 20)))
        for piece in answer.content.chunks(first + start, first + stop, length):
            pace.wait(len(piece), self.server.closing)
            if self.server.closing.is_set():
                raise ConnectionAbortedError
            # Counted before they leave: a client that has them all may look into the log at once.
            request.sent += len(piece)
            self.wfile.write(piece)

    def _drop(self, answer: Answer) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if answer.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
