"""Batch audits: a list of models, each scanned in a process or on a cluster, each left whole in its own folder.

`read_model_list` → entries; `run_batch` scans what is not finished and joins the results; `merge` joins directories.
Nothing here imports what a scan computes with before the first one. The public names are imported on first use: a
worker process writes no joined files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use

if TYPE_CHECKING:
    from weightaudit.batches.merge_batches import merge as merge
    from weightaudit.batches.model_list import Entry as Entry
    from weightaudit.batches.model_list import read_model_list as read_model_list
    from weightaudit.batches.run import BatchResult as BatchResult
    from weightaudit.batches.run import run_batch as run_batch

_HOMES = {
    "BatchResult": "weightaudit.batches.run",
    "Entry": "weightaudit.batches.model_list",
    "merge": "weightaudit.batches.merge_batches",
    "read_model_list": "weightaudit.batches.model_list",
    "run_batch": "weightaudit.batches.run",
}

__all__ = ["BatchResult", "Entry", "merge", "read_model_list", "run_batch"]

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES)
