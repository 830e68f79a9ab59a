"""Which workers a run gets, from what the user asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from weightaudit.batch.executors import Here, Pool, share_out, usable_cores


def crew(
    jobs: int, *, workers: int | None, scheduler: str | None, threads: int | None
) -> tuple[Callable[[], Pool], int]:
    """(how to make the workers for ``jobs`` models, threads of each scan).

    Processes on this machine; none for ``workers`` 0, which scans in this one; or, with ``scheduler``, a Dask cluster,
    where a scan has one thread unless more were asked for: what cores its workers have is not for us to guess.
    """
    if scheduler is not None:
        from weightaudit.batch.cluster import Cluster

        return partial(Cluster, scheduler), threads or 1
    if workers == 0:
        return Here, threads or usable_cores()
    from weightaudit.batch.processes import Processes

    processes, shared = share_out(jobs, workers)
    return partial(Processes, processes, threads or shared), threads or shared
