"""A headless Chromium for the tests that open a page, where one is installed: one tab for all pages of a process."""

from __future__ import annotations

import atexit
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(
        None,
        map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")),
    ),
    None,
)
"""The shell, which is Chromium without its windows, needs half the time for a page."""
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
)
TALL, SHORT = 2600, 700
"""Heights of the window: plots are near enough to be drawn, which takes longest of all, and are not."""
WIDE, NARROW = 1280, 390
"""Widths of the window: a computer's, a telephone's."""
PATIENCE_S = 120.0
"""For one page, which takes two or three seconds."""
SETTLED = "new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(end))))"
"""Once what is in sight has been drawn: observers of what comes into view are called between two frames."""
DOCUMENT = """
document.getElementById("plotly")?.replaceChildren();
answer.document = document.documentElement.outerHTML;
"""
"""The document as it is now, without the megabytes of plotly.js's text, after which nothing can be drawn any more."""
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or sys.platform == "win32",
    reason="no Chromium on the PATH, or no pipes to it: the page was not opened in a browser",
)

Message = dict[str, Any]


def opened(page: Path) -> tuple[str, list[str]]:
    """The document after its scripts ran, with its plots, and what they wrote to the console."""
    shown = _browser().opened(page, TALL, DOCUMENT)
    return str(shown.answer["document"]), shown.console


def asked(
    page: Path,
    script: str,
    *,
    height: int = SHORT,
    width: int = WIDE,
    dark: bool = False,
    paper: bool = False,
    place: str = "",
    first: str = "",
) -> dict[str, Any]:
    """What ``script``, which may await, puts into ``answer`` when run in the page once it has loaded, in a window
    ``height`` high; ``place`` is a place in the page, with its #. Where it is on ``paper``, the styles for print hold.
    ``first`` is a library that is run before it: alone, so that the browser parses it once.

    Nothing may be written to the console. The page's policy holds for the page, not for the script.
    """
    shown = _browser().opened(page, height, script, width=width, dark=dark, paper=paper, place=place, first=first)
    assert shown.console == []
    return shown.answer


def printed(page: Path, *, dark: bool = False) -> bytes:
    """The page as a PDF, as who reads it in the dark would print it too."""
    return _browser().printed(page, dark=dark)


@cache
def _browser() -> _Browser:
    browser = _Browser()
    atexit.register(browser.close)
    return browser


@dataclass(frozen=True)
class _Shown:
    console: list[str]
    answer: dict[str, Any]


class _Browser:
    """Chromium, spoken to in the DevTools protocol: JSON ended by a zero byte, by descriptors 3 and 4."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # Out of the way of the numbers that they are to have.
        given, taken = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 5) for end in (theirs_in, theirs_out))

        def placed() -> None:
            os.dup2(given, 3)
            os.dup2(taken, 4)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *OPTIONS.split(), f"--user-data-dir={self._profile}"],
            preexec_fn=placed,
            close_fds=False,  # they would be closed after they have been placed; all others close by themselves
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, given, taken):
            os.close(end)
        self._in, self._out = ours_in, ours_out
        self._rest = b""
        self._asked = 0
        self._events: list[Message] = []
        self._session = ""
        self._held = Path(self._profile, "page.html")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def opened(
        self,
        page: Path,
        height: int,
        script: str = "",
        *,
        width: int = WIDE,
        dark: bool = False,
        paper: bool = False,
        place: str = "",
        first: str = "",
    ) -> _Shown:
        with self._tab(page, height, width=width, dark=dark, paper=paper, place=place) as session:
            expression = f"(async () => {{ const answer = {{}};\n{script}\nreturn JSON.stringify(answer); }})()"
            self._evaluated(session, f"{first}\n0")
            answer = json.loads(self._evaluated(session, expression))
            console = [line for event in self._events for line in _console(event)]
        return _Shown(console, answer)

    def printed(self, page: Path, *, dark: bool) -> bytes:
        with self._tab(page, SHORT, width=WIDE, dark=dark) as session:
            # With its own rules for paper, and with the backgrounds that mean something.
            told = self._ask("Page.printToPDF", session, printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(told["data"])

    @contextmanager
    def _tab(
        self, page: Path, height: int, *, width: int, dark: bool, paper: bool = False, place: str = ""
    ) -> Iterator[str]:
        """A session of the page in a window of this size, with no other page in its history."""
        session, self._session = self._session or self._new_tab(), ""  # kept only where all went well
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", session, **size)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}  # each step of a smooth scroll would be drawn
        self._ask("Emulation.setEmulatedMedia", session, media="print" if paper else "", features=[theme, still])
        self._go(session, self._address(page) + place)
        self._ask("Page.resetNavigationHistory", session)
        self._ask("Runtime.evaluate", session, expression=SETTLED, awaitPromise=True)
        yield session
        self._go(session, "about:blank")
        self._session = session

    def _address(self, page: Path) -> str:
        """Where the page is opened. Those that hold plotly.js take turns at one address: at another the browser would
        parse it anew, which takes as long as all drawing.
        """
        if b'id="plotly"' not in page.read_bytes():
            return page.as_uri()
        self._held.unlink(missing_ok=True)
        self._held.symlink_to(page.absolute())
        return self._held.as_uri()

    def _new_tab(self) -> str:
        target = self._ask("Target.createTarget", url="about:blank")
        session = str(self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable", session)
        return session

    def _go(self, session: str, address: str) -> None:
        self._events.clear()
        self._ask("Page.navigate", session, url=address)
        self._until(lambda: any(event["method"] == "Page.loadEventFired" for event in self._events))

    def _evaluated(self, session: str, expression: str) -> str:
        told = self._ask("Runtime.evaluate", session, expression=expression, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return str(told["result"]["value"])

    def _ask(self, method: str, session: str = "", **params: object) -> Message:
        self._asked += 1
        number = self._asked
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answers: list[Message] = []

        def answered() -> bool:
            answers.extend(event for event in self._events if event.get("id") == number)
            return bool(answers)

        self._until(answered)
        self._events = [event for event in self._events if "id" not in event]
        assert "error" not in answers[0], answers[0]["error"]
        result: Message = answers[0]["result"]
        return result

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self._in, 1 << 20)
            assert piece, f"Chromium ended with {self._process.wait()}"
            *messages, self._rest = (self._rest + piece).split(b"\0")
            self._events += map(json.loads, messages)


def _console(event: Message) -> list[str]:
    """What the event wrote to the console."""
    params = event.get("params", {})
    if event["method"] == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        return [str(details.get("exception", {}).get("description", details["text"]))]
    if event["method"] == "Log.entryAdded":
        return [f"{params['entry']['text']} {params['entry'].get('url', '')}"]
    if event["method"] == "Runtime.consoleAPICalled":
        return [" ".join(str(argument.get("value", argument)) for argument in params["args"])]
    return []
