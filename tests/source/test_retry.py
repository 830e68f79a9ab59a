"""When to try again, how long to wait before it, and when to give up. Time is a number here; nothing sleeps."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from weightaudit.errors import ModelUnavailable
from weightaudit.source.http import retry as retrying
from weightaudit.source.http.retry import GaveUp, RetryableError, RetryBudget, asked_to_wait, failed_status, retry
from weightaudit.source.http.timeout import call_with_timeout


class Clock(threading.Event):
    """Time that passes only where something waits, and the waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.now += timeout
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made.monotonic)
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)
    return made


def failing(times: int, **trouble: object) -> Callable[[], str]:
    """Fails so many times with "no answer", then returns "done"."""
    left = [times]

    def attempt() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise RetryableError("no answer", **trouble)  # type: ignore[arg-type]
        return "done"

    return attempt


def test_pauses_double_up_to_a_limit(clock: Clock) -> None:
    assert retry(failing(8), RetryBudget("model", 120, clock, tries=None)) == "done"
    assert clock.waits == [0.5, 1, 2, 4, 8, 8, 8, 8]


def test_a_server_that_never_answered_is_told_after_some_seconds(clock: Clock) -> None:
    with pytest.raises(ModelUnavailable, match=r"^model: no answer \(6 tries\)\. Check the network") as caught:
        retry(failing(1000), RetryBudget("model", 120, clock))
    assert sum(clock.waits) == 15.5
    assert caught.value.__context__ is None  # nothing whose text could hold a secret


def test_without_a_limit_of_tries_the_wait_ends_it(clock: Clock) -> None:
    budget = RetryBudget("model", 120, clock, tries=None)
    with pytest.raises(ModelUnavailable, match=r"no answer, and nothing helped within 120 seconds.*--max-wait"):
        retry(failing(1000), budget)
    assert clock.now == 1000 + 0.5 + 1 + 2 + 4 + 14 * 8  # the next pause would not end in time
    assert budget.left() < 8


def test_pauses_vary_by_a_quarter(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    retry(failing(2), RetryBudget("model", 120, clock))
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    retry(failing(2), RetryBudget("model", 120, clock))
    assert clock.waits == [0.375, 0.75, 0.625, 1.25]


def test_a_request_to_wait_is_honoured_where_it_fits(clock: Clock) -> None:
    assert retry(failing(2, after=50.0), RetryBudget("model", 120, clock)) == "done"
    assert clock.waits == [50, 50]
    with pytest.raises(ModelUnavailable, match=r"asks to wait 121 seconds\. .* \(--max-wait, now 120 seconds\)"):
        retry(failing(1, after=121.0), RetryBudget("model", 120, clock))
    assert clock.waits == [50, 50]
    assert retry(failing(3, after=0.0), RetryBudget("model", 120, clock)) == "done"
    assert clock.waits[2:] == [0.5, 1, 2]  # no server is asked without pause, not even at its own wish


def test_a_megabyte_starts_patience_anew_and_a_trickle_does_not(clock: Clock) -> None:
    budget = RetryBudget("model", 10, clock)
    for _ in range(4):
        budget.pause(RetryableError("no answer"))
        clock.now = 1005.0
        budget.arrived(retrying.PROGRESS // 4)
    assert budget.left() == 10
    for _ in range(9):
        clock.now += 1
        budget.arrived(1000)
    clock.now += 1
    with pytest.raises(RetryableError, match="too slowly") as slow:
        budget.arrived(1000)
    with pytest.raises(ModelUnavailable, match="the bytes come too slowly, and nothing helped within 10 seconds"):
        budget.pause(slow.value)


def test_the_first_of_a_kind_may_ask_for_no_pause(clock: Clock) -> None:
    budget = RetryBudget("model", 120, clock)
    for cause in ("expired", "expired", "broken"):
        budget.pause(RetryableError(cause, soon=True))
    assert clock.waits == [1]


def test_some_causes_are_worth_fewer_tries(clock: Clock) -> None:
    budget = RetryBudget("model", 120, clock, tries=None)
    budget.pause(RetryableError("broken"))
    budget.pause(RetryableError("refused", "Download it", tries=3))
    budget.pause(RetryableError("broken"))
    budget.pause(RetryableError("refused", "Download it", tries=3))
    with pytest.raises(ModelUnavailable, match=r"refused \(5 tries\)\. Download it"):
        budget.pause(RetryableError("refused", "Download it", tries=3))


def test_in_the_end_the_most_frequent_cause_is_told(clock: Clock) -> None:
    budget = RetryBudget("model", 120, clock)
    for cause in ("odd", "broken", "broken"):
        budget.pause(RetryableError(cause))
    clock.now += 120
    with pytest.raises(ModelUnavailable, match=r"^model: broken, and nothing helped within 120 seconds"):
        budget.pause(RetryableError("no time left"))


def test_closing_ends_a_pause(clock: Clock) -> None:
    clock.set()
    with pytest.raises(GaveUp):
        retry(failing(1), RetryBudget("model", 120, clock))


def test_each_pause_is_one_line_in_the_log(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="weightaudit.source"):
        retry(failing(2), RetryBudget("model", 120, clock))
    assert caplog.messages == [
        "model: no answer; trying again in 0.5 s",
        "model: no answer; trying again in 1.0 s",
    ]


def test_no_timeout_is_longer_than_what_is_left(clock: Clock) -> None:
    budget = RetryBudget("model", 30, clock)
    assert budget.timeout() == 20
    clock.now += 25
    assert budget.timeout() == 5
    clock.now += 25
    assert budget.timeout() == 0.001  # none at all would mean for ever


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Mon, 06 Jan 2025 09:00:00 GMT"}, 0),
        ({"retry-after": "Mon, 06 Jan 2025 09:00:00"}, 0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 99 Foo 2025 09:00:00 GMT"}, None),
        ({"retry-after": "Mon, 06 Jan 99999999999 09:00:00 GMT"}, None),
        ({"retry-after": "٣"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api";r=12;t=55'}, None),
        ({"ratelimit": "nonsense"}, None),
        ({"retry-after": "7", "ratelimit": '"api";r=0;t=55'}, 7),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_to_wait(headers) == seconds


def test_a_date_to_wait_for() -> None:
    said = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)
    asked = asked_to_wait({"retry-after": said})
    assert asked is not None
    assert 0 < asked <= 100


def test_statuses_have_words() -> None:
    full = failed_status(429, {"retry-after": "3"}, "https://hub")
    assert (full.cause, full.after) == ("the rate limit of https://hub is reached (HTTP 429)", 3)
    assert failed_status(503, {}, "https://hub").cause == "https://hub answered HTTP 503"


def test_a_call_in_time_gives_what_it_gives() -> None:
    assert call_with_timeout(RetryBudget("model", 60), lambda: 5, discard=lambda late: None, cause="slow") == 5
    with pytest.raises(KeyError, match="x"):
        call_with_timeout(
            RetryBudget("model", 60), lambda: dict[str, int]()["x"], discard=lambda late: None, cause="slow"
        )


@pytest.mark.parametrize("closed", [False, True])
def test_a_call_that_hangs_is_left_to_itself(closed: bool) -> None:
    go, discarded = threading.Event(), threading.Event()
    kept: list[str] = []

    def hang() -> str:
        go.wait()
        return "late"

    def discard(late: str) -> None:
        kept.append(late)
        discarded.set()

    closing = threading.Event()
    if closed:
        closing.set()
    with pytest.raises(GaveUp if closed else RetryableError):
        call_with_timeout(RetryBudget("model", 60 if closed else 0.05, closing), hang, discard=discard, cause="slow")
    assert kept == []
    go.set()
    assert discarded.wait(30)
    assert kept == ["late"]  # so that a connection that came too late is closed
