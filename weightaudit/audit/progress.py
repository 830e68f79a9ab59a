"""Telling a waiting person how far a scan is, or an experiment."""

from __future__ import annotations

from contextlib import closing
from typing import Protocol, runtime_checkable

from weightaudit.audit.heartbeat import Heartbeat, NotebookBar, in_notebook
from weightaudit.errors import UsageError
from weightaudit.text import printable

WIDE = 80
"""Columns from which on the bar is long, and the rate is told."""
BAR = 10
"""Columns of a bar where there are fewer."""
COLUMNS = (BAR, 4, 11, 10, 7)
"""Least widths: of the bar, a share, the bytes (``4.9/6.4 GB``), the rate and the time."""


@runtime_checkable
class Progress(Protocol):
    """What a scan calls, always from the thread that called `scan`.

    An experiment calls it too, with a stage of its work for the model, and steps of that for bytes.
    """

    def start(self, model: str, total_bytes: int) -> None:
        """Work on ``model`` begins; ``total_bytes`` of tensors will be read. Called again, it is the next one's."""

    def tensor(self, name: str) -> None:
        """Work on the tensor ``name`` begins."""

    def advance(self, nbytes: int) -> None:
        """``nbytes`` more of the total are done."""

    def close(self) -> None:
        """The scan ended, well or not."""


class Silent:
    """Says nothing."""

    def start(self, model: str, total_bytes: int) -> None: ...
    def tensor(self, name: str) -> None: ...
    def advance(self, nbytes: int) -> None: ...
    def close(self) -> None: ...


class Bar:
    """A bar on stderr with tensor name, bytes and rate, or the share of ``steps``; nothing where it is no terminal."""

    def __init__(self, *, steps: bool = False) -> None:
        from rich import progress as rich
        from rich.console import Console
        from rich.table import Column

        console = Console(stderr=True)
        wide = console.width >= WIDE
        # The name gets what the numbers leave: without a least width rich takes room from those first.
        name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        bar, share, size, rate, time = (Column(no_wrap=True, min_width=width) for width in COLUMNS)
        amount: list[rich.ProgressColumn] = (
            [rich.TaskProgressColumn(table_column=share)] if steps else [rich.DownloadColumn(table_column=size)]
        )
        if wide and not steps:
            amount.append(rich.TransferSpeedColumn(table_column=rate))
        self._bar = rich.Progress(
            rich.TextColumn("{task.fields[tensor]}", markup=False, table_column=name),
            rich.BarColumn(bar_width=24 if wide else BAR, table_column=bar),
            *amount,
            rich.TimeRemainingColumn(table_column=time),
            console=console,
            transient=True,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("scan", total=None, tensor="")

    def start(self, model: str, total_bytes: int) -> None:
        self._bar.reset(self._task, total=total_bytes, tensor=printable(model))
        self._bar.start()

    def tensor(self, name: str) -> None:
        self._bar.update(self._task, tensor=printable(name))

    def advance(self, nbytes: int) -> None:
        self._bar.update(self._task, advance=nbytes)

    def close(self) -> None:
        self._bar.stop()


def display(*, steps: bool = False) -> Progress:
    """What shows a waiting person how far it is: a bar on a terminal or in a notebook, else a line now and then.

    ``steps`` says that an experiment's are counted, and no bytes.
    """
    if in_notebook():
        return NotebookBar(steps=steps)
    from rich.console import Console

    return Bar(steps=steps) if Console(stderr=True).is_terminal else Heartbeat(steps=steps)


def check_progress(progress: object) -> None:
    """Raise UsageError for what is neither a bool nor a `Progress`."""
    if not isinstance(progress, (bool, Progress)):
        what = f"{printable(repr(progress))} is neither True, False nor a Progress"
        raise UsageError("progress", what, "Write progress=True for a bar on stderr")


def reporting(progress: Progress | bool) -> closing[Progress]:
    """Context with the display asked for (True is `display`'s), closed however the scan ends."""
    if isinstance(progress, bool):
        return closing(display() if progress else Silent())
    return closing(progress)
