"""Telling a waiting person how far an experiment is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from weightaudit.paper.results import Progress, silent
from weightaudit.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


@contextmanager
def bar(wanted: bool) -> Iterator[Progress]:
    """A bar on stderr, one stage at a time; nothing where it is not wanted or stderr is no terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield silent()
        return
    from rich import progress as shown

    columns = (
        shown.TextColumn("{task.description}", markup=False),
        shown.BarColumn(bar_width=24),
        shown.TaskProgressColumn(),
        shown.TimeRemainingColumn(),
    )
    with shown.Progress(*columns, console=console, transient=True) as display:
        yield _Bar(display)


class _Bar:
    def __init__(self, display: RichProgress) -> None:
        self._display = display
        self._task = display.add_task("", total=None)

    def start(self, total: int, what: str) -> None:
        self._display.reset(self._task, total=total, description=printable(what))

    def advance(self, n: int = 1, what: str | None = None) -> None:
        if what is not None:
            self._display.update(self._task, description=printable(what))
        self._display.advance(self._task, n)
