"""`compare`: several models side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightaudit.api.models import Model, as_list
from weightaudit.api.options import with_options
from weightaudit.api.scanning import scan
from weightaudit.audit import Progress
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles, parted
from weightaudit.records import ScanResult

if TYPE_CHECKING:
    import pandas as pd

    from weightaudit.report.comparison.read import Finished


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models side by side.

    Attributes
    ----------
    names
        What each is called, in the order in which they were given.
    reports
        What is compared of each.
    locations
        Where the models lie and the reports that were read: nothing is written over them.
    """

    names: tuple[str, ...]
    reports: tuple[Finished, ...]
    locations: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """One row a model: its numbers as a whole, the columns of a batch's summary.csv."""
        import pandas as pd

        from weightaudit.report.comparison import SUMMARY_NAMES

        rows = [{name: report.metrics.get(name) for name in SUMMARY_NAMES} for report in self.reports]
        return pd.DataFrame(rows, index=pd.Index(self.names, name="model"))

    @property
    def differences(self) -> pd.DataFrame:
        """One row a matrix of the first model and of each other: differences.csv as `docs/compare.md` describes it."""
        import pandas as pd

        from weightaudit.report.comparison.apart import apart_by_reports
        from weightaudit.report.comparison.differences import write_differences

        first, *others = self.reports
        file = BytesIO()
        apart = [apart_by_reports(first.rows, other.rows) for other in others]
        write_differences(list(zip(self.names, self.reports, strict=True)), apart, file)
        file.seek(0)
        return pd.read_csv(file)

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Write index.html and differences.csv into ``directory``, made if it is not there. OutputError, also where it
        is a model's or a batch's.
        """
        from weightaudit.report.comparison.directory import prepare_directory
        from weightaudit.report.comparison.write import put_together

        prepare_directory(Path(directory), ModelFiles.of(self.locations), [])
        put_together(self.reports, Path(directory))

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.names)}: {', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        html: str = self.summary.dropna(axis="columns", how="all").T.to_html()
        return html


@with_options(without=("revision", "baseline", "base"))
def compare(
    models: Sequence[Model | ScanResult],
    *,
    progress: bool | Progress = False,
    config: AuditConfig = DEFAULTS,
    **options: Any,
) -> Comparison:
    """Put models side by side, by what was measured of them.

    Parameters
    ----------
    models
        Two at least: what `scan` returned, a report's ``.json`` or ``.parquet``, a model's folder in a batch, or what
        `scan` takes, which is scanned.
    progress
        True shows a bar on stderr or in the notebook; a `Progress` is told of every tensor.
    config
        Options all at once; those given by name count before it.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    Comparison
        Their numbers as tables, and a page of them.

    Raises
    ------
    UsageError
        An option makes no sense, or a report cannot be read.
    ModelError
        A model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> both = wa.compare(["gpt2", "gpt2-xl.json"])  # doctest: +SKIP
    >>> both.summary[["parameters", "stable_rank"]]  # doctest: +SKIP
    """
    from weightaudit.report.comparison.read import finished, read_finished
    from weightaudit.report.comparison.write import titles

    named = as_list(models, what="models")
    if len(named) < 2:
        raise UsageError("compare", "a comparison needs two reports or models", "Name another")
    asked = config.with_written(options)
    found: list[Finished] = []
    locations: list[str] = []
    for model in named:
        read = read_finished(Path(model)) if isinstance(model, (str, os.PathLike)) else None
        if read is None:
            result = model if isinstance(model, ScanResult) else _scanned(model, asked, progress)
            locations.append(result.identity.location)
            read = finished(result)
        else:
            locations.append(os.fspath(model))
        found.append(read)
    return Comparison(tuple(titles(found)), tuple(found), tuple(locations))


def _scanned(model: Any, config: AuditConfig, progress: bool | Progress) -> ScanResult:
    """The scan of a model, which as a Hub id may carry a revision: ``id@revision``."""
    if not isinstance(model, (str, os.PathLike)):
        return scan(model, progress=progress, config=config)
    name, revision = parted(os.fspath(model))
    return scan(name, progress=progress, config=replace(config, revision=revision))
