"""Telling how far a scan is where there is no terminal: a line now and then in a log, a bar in a notebook."""

from __future__ import annotations

import sys
import time
from typing import Any

from weightaudit.text import printable

EVERY = 30.0
"""Seconds between two lines; what takes less says nothing."""
REFRESH = 0.2
"""Seconds between two drawings of a notebook's bar."""
BAR = 24
"""Characters of it."""


class _Count:
    """How much of what is done, and since when."""

    def __init__(self, *, steps: bool) -> None:
        self._steps = steps
        self._model, self._tensor, self._done, self._total = "", "", 0, 0
        self._began = self._told = time.monotonic()

    def start(self, model: str, total_bytes: int) -> None:
        self._model, self._tensor, self._done, self._total = model, "", 0, total_bytes
        self._began = self._told = time.monotonic()
        self.show()

    def tensor(self, name: str) -> None:
        self._tensor = name
        self._show_if_due()

    def advance(self, nbytes: int) -> None:
        self._done += nbytes
        self._show_if_due()

    def _show_if_due(self) -> None:
        now = time.monotonic()
        if now - self._told >= self.pause:
            self._told = now
            self.show()

    @property
    def pause(self) -> float:
        """Seconds between two times that something is shown."""
        raise NotImplementedError

    def show(self) -> None:
        """Show how far it is."""
        raise NotImplementedError

    @property
    def share(self) -> float:
        """What is done, from 0 to 1."""
        return self._done / self._total if self._total else 0.0

    @property
    def amount(self) -> str:
        """``31 % of 6,431 MB``, or of an experiment's stage ``31 %``."""
        of = "" if self._steps else f" of {self._total / 1e6:,.0f} MB"
        return f"{100 * self.share:.0f} %{of}"


class Heartbeat(_Count):
    """A line on stderr every `EVERY` seconds, so that whoever reads a log knows that it goes on."""

    pause = EVERY

    def show(self) -> None:
        if self._done == 0 and self._told == self._began:  # it has only begun
            return
        seconds = time.monotonic() - self._began
        at = f", at {printable(self._tensor)}" if self._tensor else ""
        line = f"weightaudit: {printable(self._model)}: {self.amount} after {seconds:,.0f} s{at}"
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to do."""


class NotebookBar(_Count):
    """A bar in the output of a notebook's cell, which goes away when the scan has ended."""

    pause = REFRESH

    def __init__(self, *, steps: bool = False) -> None:
        super().__init__(steps=steps)
        self._shown: Any = None

    def show(self) -> None:
        filled = round(BAR * self.share)
        bar = "█" * filled + "░" * (BAR - filled)
        self._say(f"{bar} {printable(self._model, 60)}: {self.amount} {printable(self._tensor, 80)}")

    def close(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._say("")
            self._shown = None

    def _say(self, line: str) -> None:
        from IPython.display import display

        content = {"text/plain": line}
        if self._shown is None:
            self._shown = display(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel; IPython is imported by nobody for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None
