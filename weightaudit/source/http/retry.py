"""When to try again, how long to wait before it, and when to give up: the one policy for all that crosses a network."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TypeVar

from weightaudit.errors import ModelUnreachable
from weightaudit.text import printable

T = TypeVar("T")

MAX_ATTEMPTS = 6
"""Tries that bring nothing of a server that has not answered yet; with the pauses below, some 15 seconds."""
FIRST_PAUSE = 0.5
"""Seconds before the second try; each further pause is twice as long, give or take a quarter."""
LONGEST_PAUSE = 8.0
"""Seconds."""
STALL = 20.0
"""Seconds without a byte after which a request is given up and made again."""
PROGRESS = 1 << 20
"""Bytes that must arrive before budget starts anew: a trickle is no progress."""
RETRYABLE = (408, 429, 500, 502, 503, 504)
"""HTTP statuses that may be gone at the next try."""
NETWORK = "Check the network, then try again"

log = logging.getLogger("weightaudit.source")


class RetryableError(Exception):  # it is a request, not an error, and never leaves this room
    """This try failed in a way that another may not.

    ``cause`` and ``hint`` are for the error if none succeeds; ``after`` is how many seconds the server asks to wait;
    ``soon`` asks for no pause before the next try if it is the first of its kind; ``tries`` is how many failures of
    this cause are enough, where that is fewer than of others.
    """

    def __init__(
        self,
        cause: str,
        hint: str = NETWORK,
        *,
        after: float | None = None,
        soon: bool = False,
        tries: int | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint
        self.after = after
        self.soon = soon
        self.tries = tries


class GaveUp(Exception):  # never leaves this room
    """The file was closed while it was read."""


class RetryBudget:
    """How much more waiting one task is worth. For one thread.

    It ends ``max_wait`` seconds after the last progress, or after so many ``tries`` without any (None: no limit);
    progress is a megabyte. ``thing`` is what the error is about; ``closing`` ends every pause at once.
    """

    def __init__(
        self, thing: str, max_wait: float, closing: Event | None = None, *, tries: int | None = MAX_ATTEMPTS
    ) -> None:
        self.thing = thing
        self.closing = closing or Event()
        self._max_wait = max_wait
        self._tries = tries
        self._renew()

    def _renew(self) -> None:
        self._until = time.monotonic() + self._max_wait
        self._failures: Counter[tuple[str, str]] = Counter()
        self._arrived = 0

    def left(self) -> float:
        """Seconds until it ends; 0 when it has."""
        return max(0.0, self._until - time.monotonic())

    def timeout(self) -> float:
        """Seconds that the next answer may keep us waiting for a byte."""
        return max(0.001, min(STALL, self.left()))

    def arrived(self, nbytes: int) -> None:
        """So many bytes came. Raises RetryableError where they come too slowly to ever count as progress."""
        self._arrived += nbytes
        if self._arrived >= PROGRESS:
            self._renew()
        elif not self.left():
            raise RetryableError("the bytes come too slowly")

    def forget(self, trouble: RetryableError) -> None:
        """Failures of this cause do not count any more: something has gone well since."""
        del self._failures[trouble.cause, trouble.hint]

    def pause(self, trouble: RetryableError) -> None:
        """Wait before the next try. ModelUnreachable where there is to be none, GaveUp where it was closed."""
        self._failures[trouble.cause, trouble.hint] += 1
        failures, alike, left = self._failures.total(), self._failures[trouble.cause, trouble.hint], self.left()
        if trouble.after is not None and trouble.after > left:
            raise ModelUnreachable(
                self.thing,
                f"{trouble.cause}, and it asks to wait {trouble.after:.0f} seconds",
                f"Try again then, or allow a longer wait (--max-wait, now {self._max_wait:g} seconds)",
            )
        if failures == self._tries or alike == trouble.tries:
            raise ModelUnreachable(self.thing, f"{trouble.cause} ({failures} tries)", trouble.hint)
        seconds = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        seconds = max(seconds, trouble.after or 0.0)
        if trouble.soon and alike == 1:
            seconds = 0.0
        if seconds >= left:
            # The last failure may only say that there was no time left; the most frequent one says why.
            (cause, hint), _ = self._failures.most_common(1)[0]
            raise ModelUnreachable(
                self.thing,
                f"{cause}, and nothing helped within {self._max_wait:g} seconds",
                f"{hint}; --max-wait allows more",
            )
        if not seconds:
            return
        log.warning("%s: %s; trying again in %.1f s", self.thing, trouble.cause, seconds)
        if self.closing.wait(seconds):
            raise GaveUp


def retry(attempt: Callable[[], T], budget: RetryBudget) -> T:
    """What ``attempt`` returns, called again for as long as it raises RetryableError and ``budget`` lasts."""
    while True:
        try:
            return attempt()
        except RetryableError as failure:
            trouble = failure
        # Outside of the handler, so that no error carries another one whose text might hold an address with its key.
        budget.pause(trouble)


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: Retry-After as a number or a date (RFC 9110), or the Hub's RateLimit."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", said):
        return float(said)
    if said:
        try:
            until = parsedate_to_datetime(said)
        except (ValueError, TypeError, OverflowError):
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=timezone.utc)
        return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
    # RateLimit: "api";r=0;t=55, of the IETF's draft: none remaining, 55 seconds until there are.
    limit = re.search(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*([0-9]{1,9})", headers.get("ratelimit", ""))
    return float(limit[1]) if limit else None


def failed_status(status: int, headers: Mapping[str, str], server: str) -> RetryableError:
    """What an answer with one of the `RETRYABLE` statuses means."""
    if status == 429:
        cause, hint = f"the rate limit of {printable(server)} is reached (HTTP 429)", "Wait some minutes"
    else:
        cause, hint = f"{printable(server)} answered HTTP {status}", "Try again later"
    return RetryableError(cause, hint, after=asked_to_wait(headers))
