"""The unit of work: one model, with all that a worker needs to know, fit to travel to another machine."""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.config import AuditConfig
from weightaudit.version import __version__


@dataclass(frozen=True)
class Job:
    """Scan ``model`` under ``config`` and leave ``folder``, if ``run`` is still the run of ``directory``.

    ``number`` is the model's place in the list, from 0; ``title`` is what people call it, ``label`` what its rows are
    called by ("" leaves the scan's own name); ``key`` says which scan it is. The config's revision is a commit where
    that is known, ``asked`` is what the list calls it. ``live`` asks for word of its progress, ``max_time`` is
    how many seconds it may take (None: any); ``version`` is this package's where the work was made.
    """

    number: int
    title: str
    label: str
    model: str
    config: AuditConfig
    directory: str
    folder: str
    key: str
    run: str
    asked: str | None = None
    live: bool = False
    max_time: float | None = None
    version: str = __version__
