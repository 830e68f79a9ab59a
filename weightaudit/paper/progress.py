"""How far an experiment is: what it calls to say so, and the bar that a waiting person sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from weightaudit.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """What an experiment calls to say how far it is."""

    def start(self, total: int, what: str) -> None:
        """A stage of ``total`` steps begins; ``what`` names it. May be called again for the next stage."""

    def advance(self, n: int = 1, what: str | None = None) -> None:
        """``n`` more steps of the stage are done; ``what`` renames it."""


class _Silent:
    """Nobody waits."""

    def start(self, total: int, what: str) -> None: ...
    def advance(self, n: int = 1, what: str | None = None) -> None: ...


def silent() -> Progress:
    """A progress that says nothing."""
    return _Silent()


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
