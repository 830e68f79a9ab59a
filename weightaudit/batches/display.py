"""Telling a waiting person how far a batch is: a live table on a terminal, a line a model anywhere else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from weightaudit.batches.job import Job
from weightaudit.batches.outcome import Outcome
from weightaudit.batches.progress_file import Step, read_progress
from weightaudit.text import escaped, printable

if TYPE_CHECKING:
    from rich.console import Console, Group

MOST_ROWS = 16
"""Models in progress shown at once."""
SIZES = 6
"""Columns of gigabytes, and of a share in percent."""
REDRAW = 0.25
"""Seconds after which counts are drawn anew, though no model is under way: finished ones are read one after another."""


RETRY_HINT = "--retry-failed scans it again"
"""The way out for a model that is kept as failed."""


def failure(outcome: Outcome, *, kept: bool) -> str:
    """Why a model failed, and of one that failed in an earlier run how it is scanned again."""
    if not kept:
        return f"failed: {outcome.reason}"
    return f"failed before: {outcome.reason}{'' if '--retry-failed' in outcome.reason else f'; {RETRY_HINT}'}"


class Display(Protocol):
    """What a run calls, always from one thread. ``live`` says that scans should tell how far they are."""

    live: bool

    def start(self, total: int, directory: Path) -> None:
        """``total`` models are to be gone through."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def same(self, title: str) -> None:
        """An entry is the same scan as an earlier one."""

    def ended(self, title: str, outcome: Outcome, *, kept: bool) -> None:
        """A model is done or has failed, now or (``kept``) in an earlier run."""

    def tick(self, jobs: Iterable[Job]) -> None:
        """``jobs`` are under way."""

    def joining(self) -> None:
        """All models have ended; the results are being joined."""

    def close(self) -> None:
        """The run ended, well or not."""


class Silent:
    """Says nothing."""

    live = False

    def start(self, total: int, directory: Path) -> None: ...
    def note(self, text: str) -> None: ...
    def same(self, title: str) -> None: ...
    def ended(self, title: str, outcome: Outcome, *, kept: bool) -> None: ...
    def tick(self, jobs: Iterable[Job]) -> None: ...
    def joining(self) -> None: ...
    def close(self) -> None: ...


class Lines:
    """One line on stderr for each model that ends now; of those kept from earlier runs, how many."""

    live = False

    def __init__(self) -> None:
        self._total = self._ended = self._kept = 0

    def start(self, total: int, directory: Path) -> None:
        self._total = total

    def note(self, text: str) -> None:
        print(f"note: {escaped(text)}", file=sys.stderr, flush=True)

    def same(self, title: str) -> None:
        self._count(f"{printable(title)}: the same scan as an earlier line's")

    def ended(self, title: str, outcome: Outcome, *, kept: bool) -> None:
        if kept and outcome.status == "done":
            self._ended += 1
            self._kept += 1
            return
        self._count(f"{printable(title)}: {failure(outcome, kept=kept) if outcome.status == 'failed' else 'done'}")

    def tick(self, jobs: Iterable[Job]) -> None: ...
    def joining(self) -> None: ...
    def close(self) -> None: ...

    def _count(self, text: str) -> None:
        self._ended += 1
        print(f"[{self._ended}/{self._total}] {escaped(text)}", file=sys.stderr, flush=True)


class LiveTable:
    """How far all is and the models in progress, redrawn in place, failures above it."""

    live = True

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._total = self._ended = self._failed = self._kept = 0
        self._directory = Path()
        self._began = time.monotonic()
        self._drawn = -math.inf
        self._running: list[tuple[str, Step]] = []

    def start(self, total: int, directory: Path) -> None:
        self._total, self._directory = total, directory
        self._live.start()

    def note(self, text: str) -> None:
        self._console.print(f"note: {escaped(text)}", markup=False, highlight=False)

    def same(self, title: str) -> None:
        self._ended += 1
        self._draw(at_once=False)

    def ended(self, title: str, outcome: Outcome, *, kept: bool) -> None:
        self._ended += 1
        self._kept += kept
        if outcome.status == "failed":
            self._failed += 1
            said = escaped(failure(outcome, kept=kept))  # of a file that anybody may have written
            self._console.print(f"{printable(title)}: {said}", markup=False, highlight=False)
        self._draw(at_once=False)

    def tick(self, jobs: Iterable[Job]) -> None:
        self._running = [
            (job.title, step) for job in jobs if (step := read_progress(self._directory / job.folder)) is not None
        ]
        self._draw()

    def _draw(self, *, at_once: bool = True) -> None:
        now = time.monotonic()
        if at_once or now - self._drawn >= REDRAW:
            self._drawn = now
            self._live.update(self._table(self._running), refresh=True)

    def joining(self) -> None:
        self._live.update(f"joining the results of {self._ended} models", refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _headline(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        counts = [f"{self._ended} of {self._total} models"]
        counts += [f"{self._failed} failed"] if self._failed else []
        counts += [f"{self._kept} from earlier runs"] if self._kept else []
        return ", ".join([*counts, f"{minutes}:{seconds:02}"])

    def _table(self, running: list[tuple[str, Step]]) -> Group:
        """The headline on a line of its own: as a table's title it would be wrapped to that table's columns."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        headline = Text(self._headline(), style="bold", no_wrap=True, overflow="ellipsis")
        if not running:
            return Group(headline)
        # The numbers have their columns, whatever names want: without a least width rich takes those from them first.
        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("model", overflow="ellipsis", no_wrap=True, ratio=2)
        table.add_column("GB", justify="right", no_wrap=True, min_width=SIZES)
        table.add_column("done", justify="right", no_wrap=True, min_width=SIZES)
        table.add_column("tensor", overflow="ellipsis", no_wrap=True, ratio=3)
        for title, step in running[:MOST_ROWS]:
            share = f"{100 * step.done // step.total} %" if step.total else ""
            cells: list[Any] = [printable(title), f"{step.total / 1e9:.2f}", share, printable(step.tensor)]
            table.add_row(*map(Text, cells))  # as text: a name in brackets is no markup
        more = len(running) - MOST_ROWS
        return Group(headline, table, *([Text(f"and {more} more")] if more > 0 else []))


def display_on_stderr() -> Display:
    """A live table where stderr is a terminal, else lines."""
    from rich.console import Console

    console = Console(stderr=True)
    return LiveTable(console) if console.is_terminal else Lines()
