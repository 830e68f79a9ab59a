"""Workers of a Dask cluster, on however many machines (extra ``dask``)."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from weightaudit.errors import UsageError
from weightaudit.text import printable

TIMEOUT = "30s"
"""How long a scheduler may take to answer."""
LEAST_ROOM = 32
"""Models sent ahead however few workers there are: a cluster that grows with its work must see some."""


class Cluster:
    """`Pool` of a Dask cluster. Its scheduler gives work of lost workers to others, and gives up after some of them.

    ``notes`` are what the user should know of the cluster. Raises UsageError where Dask is not installed or no
    scheduler answers.
    """

    is_local = False

    def __init__(self, address: str) -> None:
        try:
            distributed: Any = import_module("distributed")  # its types differ from version to version
        except ImportError as error:
            raise UsageError("--scheduler", "Dask is not installed here", "pip install distributed") from error
        _hush()
        # A URL is no path, whatever lies in the working directory.
        named = "://" not in address and Path(address).is_file()
        where: dict[str, Any] = {"scheduler_file" if named else "address": address}
        try:
            self._client = distributed.Client(**where, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError, asyncio.TimeoutError) as error:
            raise UsageError(
                f"scheduler '{printable(address)}'",
                "no Dask scheduler answers there",
                "Give its address, such as tcp://host:8786, or its scheduler file",
            ) from error
        self.executor: Executor = self._client.get_executor(pure=False)
        self.worker_lost_errors: tuple[type[BaseException], ...] = (distributed.KilledWorker,)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing before the work starts."""
        several = sum(threads > 1 for threads in self._client.nthreads().values())
        if not several:
            return ()
        return (
            f"{several} of the cluster's workers run several tasks in one process, where scans take turns: start them "
            "with --nthreads 1, and more of them",
        )

    @property
    def max_in_flight(self) -> int:
        """Twice what the cluster can work on now."""
        try:
            known = self._client.nthreads()
        except OSError:  # no scheduler answers any more, which the work under way will tell
            known = {}
        return max(LEAST_ROOM, 2 * int(sum(known.values())))

    def close(self, *, kill: bool) -> None:
        """Leave the cluster, which goes on without us; what it has not begun for us is taken back."""
        with suppress(Exception) if kill else nullcontext():  # a client without its scheduler has nothing to take back
            self.executor.shutdown(wait=not kill)
        self._client.close()


def _hush() -> None:
    """Keep Dask's own talk from the terminal, and that of the network library beneath it: their failures come back as
    exceptions too.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
