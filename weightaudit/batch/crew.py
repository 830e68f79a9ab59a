"""Which workers a run gets, from what the user asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from weightaudit.batch.executors import Here, Pool, share_out, usable_cores


def crew(
    jobs: int, *, workers: int | None, scheduler: str | None, threads: int | None, max_time: float | None = None
) -> tuple[Callable[[], Pool], int]:
    """(how to make the workers for ``jobs`` models, threads of each scan).

    Processes on this machine; none for ``workers`` 0, which scans in this one; or, with ``scheduler``, a Dask cluster,
    where a scan has one thread unless more were asked for: what cores its workers have is not for us to guess. A
    process that does not end a scan by itself when its ``max_time`` seconds are over is ended.
    """
    if scheduler is not None:
        from weightaudit.batch.cluster import Cluster

        return partial(Cluster, scheduler), threads or 1
    if workers == 0:
        return Here, threads or usable_cores()
    from weightaudit.batch.processes import Processes
    from weightaudit.batch.time_limit import GRACE

    processes, shared = share_out(jobs, workers)
    ended_after = None if max_time is None else max_time + GRACE
    return partial(Processes, processes, threads or shared, ended_after), threads or shared
