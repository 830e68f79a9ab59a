"""Batch audits: a list of models, each scanned in a process or on a cluster, each left whole in its own folder.

`read_model_list` → entries; `run_batch` scans what is not finished and joins the results; `merge` joins directories.
Nothing here imports what a scan computes with before the first one.
"""

from weightaudit.batches.merge_batches import merge
from weightaudit.batches.model_list import Entry, read_model_list
from weightaudit.batches.run import BatchResult, run_batch

__all__ = ["BatchResult", "Entry", "merge", "read_model_list", "run_batch"]
