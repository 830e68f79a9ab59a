"""`weightaudit.batches`: a batch from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.api.models import as_list
from weightaudit.api.options import with_options
from weightaudit.batches.display import Silent, display_on_stderr
from weightaudit.batches.executors import make_pool
from weightaudit.batches.model_list import Entry, models_named, read_model_list
from weightaudit.batches.run import BatchResult, run_batch
from weightaudit.batches.shipped_lists import find_list
from weightaudit.batches.time_limit import check_max_time
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.report.layout import ALL_PARQUET, SUMMARY_CSV
from weightaudit.text import plural

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Batch:
    """A batch that has ended: what is in its directory, as tables.

    Attributes
    ----------
    directory
        Where the reports are: a folder for each model, and a page of them all.
    result
        Which models were scanned now, kept from earlier runs, or failed, and why.
    """

    directory: Path
    result: BatchResult

    @property
    def summary(self) -> pd.DataFrame:
        """One row a model: its verdict, its numbers as a whole, why it failed."""
        import pandas as pd

        return pd.read_csv(self.directory / SUMMARY_CSV)

    @property
    def layers(self) -> pd.DataFrame:
        """One row a matrix of any model."""
        import pandas as pd

        return pd.read_parquet(self.directory / ALL_PARQUET)

    @property
    def failed(self) -> dict[str, str]:
        """The models that failed, and why."""
        return self.result.failed

    def __repr__(self) -> str:
        done = len(self.result.scanned) + len(self.result.kept)
        return f"<Batch {self.directory}: {plural(done, 'model')}, {len(self.failed)} failed>"

    def _repr_html_(self) -> str:
        shown = self.summary.dropna(axis="columns", how="all").set_index("model")
        html: str = shown.to_html()
        return html


@with_options(without=("revision", "base", "baseline"))
def batch(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    retry_failed: bool = False,
    max_time: float | None = None,
    progress: bool = False,
    config: AuditConfig = DEFAULTS,
    **options: Any,
) -> Batch:
    """Scan every model of a list; what is finished stays finished.

    The same call goes on after anything that stopped it. Processes of this machine do the work; they import the module
    that calls, so in a script the call belongs under ``if __name__ == "__main__":``.

    Parameters
    ----------
    models
        A list's file, ``"@NAME"`` for one that comes along, a directory of checkpoints; or the models themselves: Hub
        ids, which may carry a revision (``"id@revision"``), and paths.
    out
        Directory for the results; made if it is not there.
    workers
        Processes; 0 scans in this one. None is one a core, at most 8.
    retry_failed
        Whether what failed in earlier runs is scanned again.
    max_time
        Seconds that the scan of one model may take.
    progress
        True shows on stderr how far it is.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    Batch
        Tables of what was found, and which models failed: a model that fails stops nothing.

    Raises
    ------
    UsageError
        An option makes no sense, or a line of the list cannot be used.
    OutputError
        The directory cannot be written, or another run has it.

    Examples
    --------
    >>> import weightaudit as wa
    >>> done = wa.batch(["gpt2", "gpt2-xl"], "reports")  # doctest: +SKIP
    >>> done.summary[["model", "verdict", "stable_rank"]]  # doctest: +SKIP
    """
    if not isinstance(progress, bool):
        raise UsageError("progress", "a batch shows itself, or nothing", "Write progress=True")
    check_max_time(max_time)
    asked = config.with_written(options)
    entries, title, read = _entries(models, asked)
    pool, shared = make_pool(len(entries), workers=workers, scheduler=None, threads=asked.threads, max_time=max_time)
    result = run_batch(
        entries,
        Path(out),
        pool,
        threads=shared,
        max_time=max_time,
        retry_failed=retry_failed,
        display=display_on_stderr() if progress else Silent(),
        title=title,
        read=read,
    )
    return Batch(Path(out), result)


def _entries(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], config: AuditConfig
) -> tuple[list[Entry], str, list[Path]]:
    """The models, a title, and the file that they were read from."""
    if isinstance(models, (str, os.PathLike)):
        path = find_list(os.fspath(models))
        return read_model_list(path, config), path.stem, [path]
    return models_named(as_list(models, what="models"), config), "", []
