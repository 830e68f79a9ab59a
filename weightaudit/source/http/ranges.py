"""A file on the Hub or a web server, read by HTTP ranges (RFC 9110, section 14) and never kept."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Lock

from weightaudit.errors import ChangedMeanwhile, CheckpointError
from weightaudit.source.http.client import Access, Response, broken, origin, send
from weightaudit.source.http.location import Locate, Mark, RemoteLocation, etag_of
from weightaudit.source.http.retry import MAX_ATTEMPTS, GaveUp, RetryableError, RetryBudget, retry
from weightaudit.source.http.validate import REFUSALS, UnexpectedResponse, body_stop
from weightaudit.source.hub_errors import HTTP_ERROR


@dataclass
class _Task:
    """A part of the file to be read: ``length`` bytes from byte ``offset`` of the file on, ``done`` of them so far.

    ``put(position, bytes)`` takes them, at their position in the part, some again where an answer was not believed in
    the end. ``copying`` asks for the whole file without naming a range. ``served`` is how many answers had been
    believed, of whichever task, when this one was last refused.
    """

    offset: int
    length: int
    put: Callable[[int, bytes], None]
    copying: bool = False
    done: int = 0
    served: int = 0

    @property
    def start(self) -> int:
        return self.offset + self.done

    @property
    def stop(self) -> int:
        return self.offset + self.length

    def hint(self, access: Access) -> str:
        """For the error where the server does not serve files, or parts of them, properly."""
        return access.hint if self.copying else access.no_parts


class RemoteFile:
    """A file that does not change, read at any offset straight into the caller's memory.

    ``locate`` says once where the file is; ranges are read from there, and it is asked again when that address has
    expired. An answer is believed when its status, Content-Range, Content-Length and ``mark`` (the ETag) are those of
    the file and the range asked for. What a broken connection has brought is kept and the rest asked for anew.

    ``place`` is what ``locate`` has said already. ``giving_up`` ends the opening, by ValueError, as `close` ends
    reading.
    """

    distant = True

    def __init__(
        self,
        locate: Locate,
        *,
        name: str,
        label: str,
        access: Access,
        giving_up: Event,
        mark: Mark = etag_of,
        place: RemoteLocation | None = None,
    ) -> None:
        self.name = name
        self.label = label
        self._locate = locate
        self._mark = mark
        self._access = access
        self._closing = Event()
        self._live: set[Response] = set()
        self._lock = Lock()
        self._locating = Lock()
        self._answered = False
        self._etags: dict[str, str | None] = {}
        budget = RetryBudget(label, access.max_wait, giving_up)
        try:
            self._place = place or retry(lambda: locate(budget), budget)
        except GaveUp:
            raise ValueError(f"{label} is closed") from None
        if place is not None:
            self._etags[origin(place.url)] = place.etag
        self._served = 0  # answers that were believed, of all threads
        self.size = self._place.size

    @property
    def sha256(self) -> str | None:
        """What the Hub says that the file's SHA-256 is, in hexadecimal; it says so of large files."""
        return self._place.sha256

    @property
    def git_sha1(self) -> str | None:
        """The file's ETag, where that may be git's SHA-1 of it, as it is of small files."""
        etag = self._place.etag
        return etag if etag is not None and re.fullmatch(r"[0-9a-f]{40}", etag) else None

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` from ``offset``, both in bytes.

        Raises CheckpointError where the file has fewer bytes or changes meanwhile, ModelUnavailable where the network
        or the Hub fails for longer than is allowed, ValueError where the file is closed, before or meanwhile.
        """
        view = out.cast("B")

        def put(position: int, chunk: bytes) -> None:
            view[position : position + len(chunk)] = chunk

        self._read(_Task(offset, len(view), put))

    def copy(self, put: Callable[[int, bytes], None]) -> None:
        """The whole file: ``put(position, bytes)`` takes it, mostly in its order, a few bytes perhaps several times.

        In one request without a range, so that servers serve it that do not serve parts; the rest of a broken answer is
        asked for as a part. Raises as `read_into`, and what ``put`` raises.
        """
        self._read(_Task(0, self.size, put, copying=True))

    def _read(self, task: _Task) -> None:
        offset = task.offset
        if self._closing.is_set():
            raise ValueError(f"{self.label} is closed")
        if task.length and task.stop > self.size:
            raise CheckpointError(
                self.label,
                f"bytes {offset} to {task.stop} were expected, but it ends at {self.size}",
                "Its publisher must mend it",
            )
        budget = self._patience()
        try:
            while task.done < task.length:
                retry(lambda: self._ask(task, budget), budget)
        except GaveUp:
            raise ValueError(f"{self.label} is closed") from None

    def check_unchanged(self) -> None:
        """Nothing to do: each answer's ETag is that of the first."""

    def close(self) -> None:
        """End reading, that of other threads too; a second call does nothing."""
        self._closing.set()
        with self._lock:
            live = list(self._live)
        for answer in live:
            _hang_up(answer)

    def _patience(self) -> RetryBudget:
        # A server that has answered before is worth the whole wait: a network may be away for a minute.
        tries = None if self._answered else MAX_ATTEMPTS
        return RetryBudget(self.label, self._access.max_wait, self._closing, tries=tries)

    def _ask(self, task: _Task, budget: RetryBudget) -> None:
        """Make one request for what is left of ``task`` and take what it brings."""
        place = self._place
        server = origin(place.url)
        asked = {} if task.copying and not task.done else {"range": f"bytes={task.start}-{task.stop - 1}"}
        with self._open(place, budget, asked) as answer:
            stop = self._checked(answer, place, task, budget)
            first = task.done
            failure: Exception | None = None
            try:
                for chunk in answer.iter_raw():
                    if task.start + len(chunk) > stop:
                        task.done = first  # whatever this is, none of it is to be believed
                        raise RetryableError(
                            f"{server} sends more than it says it has", task.hint(self._access), tries=REFUSALS
                        )
                    task.put(task.done, chunk)
                    task.done += len(chunk)
                    budget.arrived(len(chunk))
            except (HTTP_ERROR, RuntimeError) as error:
                failure = broken(error, server)
            if self._closing.is_set():
                raise GaveUp
            if task.start < stop:
                raise failure or RetryableError(f"{server} ends its answer early", soon=True)
            self._answered = True

    @contextmanager
    def _open(self, place: RemoteLocation, budget: RetryBudget, asked: dict[str, str]) -> Iterator[Response]:
        answer = send("GET", place.url, budget, self._access, asked)
        with self._lock:
            self._live.add(answer)
        try:
            if self._closing.is_set():
                raise GaveUp
            yield answer
        finally:
            with self._lock:
                self._live.discard(answer)
            answer.close()

    def _checked(self, answer: Response, place: RemoteLocation, task: _Task, budget: RetryBudget) -> int:
        """The byte before which the answer's body ends, if that is to be believed. Its first is ``task.start``."""
        server = origin(place.url)
        astray: UnexpectedResponse | None = None
        try:
            stop = body_stop(answer, server, task.start, task.stop, self.size, task.hint(self._access))
        except UnexpectedResponse as found:
            astray = found
        if astray is not None:
            # Somebody was served since this task was last refused: the address has expired, and that is no judgement on
            # who asks. It may happen any number of times. Refusals from before it are no more part of a row.
            served, task.served = task.served, self._served
            self._relocate(place, budget)
            if served != task.served:
                budget.forget(astray)
                raise RetryableError(f"{astray.cause}, as it did not before", soon=True)
            raise astray
        etag = self._mark(answer.headers)
        if etag != self._etags.setdefault(server, etag):
            raise self._changed()
        self._served += 1
        return stop

    def _relocate(self, old: RemoteLocation, budget: RetryBudget) -> None:
        """Ask again where the file is, unless another thread has done so; CheckpointError if it has changed."""
        if not self._locating.acquire(timeout=budget.timeout()):
            raise RetryableError("nobody says where the file is now")
        try:
            if self._place is not old:
                return
            place = self._locate(budget)
            if place.marks != old.marks:
                raise self._changed()
            self._place = place
        finally:
            self._locating.release()

    def _changed(self) -> ChangedMeanwhile:
        return ChangedMeanwhile(self.label, "it has changed while it was read", "Scan the model again")


def _hang_up(answer: Response) -> None:
    """Wake up whoever waits for more of ``answer``: closing a socket does not end a read in another thread."""
    stream = answer.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(connection, socket.socket):
        with suppress(OSError):  # it may have ended already
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of the socket itself, even where TLS lies over it
