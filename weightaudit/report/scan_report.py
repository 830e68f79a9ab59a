"""What a scan returns: the numbers of one model, and the ways to look at them and to write them down."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from weightaudit.model_files import ModelFiles
from weightaudit.records import CoverageEntry, Finding, LayerRow, ModelIdentity, ModelMap
from weightaudit.report import tables
from weightaudit.report.files import output_extension, replacing

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["errors", "warnings", "clean", "unchecked"]


@dataclass(frozen=True)
class ScanReport:
    """The audit of one model.

    Attributes
    ----------
    identity
        Which model this is, and the files that were read.
    map
        Which tensor is which matrix, by which family.
    rows
        A matrix and what was measured of it each, in report order.
    ledger
        What became of every tensor of the checkpoint, in name order.
    summary
        Numbers of the whole model.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
    findings
        What the rules found, gravest first.
    notes
        Sentences for the reader.
    rules
        Ids of all rules that were checked.

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.scan("gpt2")  # doctest: +SKIP
    >>> report.layers.groupby("role").stable_rank.mean()  # doctest: +SKIP
    """

    identity: ModelIdentity
    map: ModelMap
    rows: tuple[LayerRow, ...]
    ledger: tuple[CoverageEntry, ...]
    summary: dict[str, Any]
    options: dict[str, Any]
    versions: dict[str, str]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """``errors`` or ``warnings`` where a finding is one, else ``clean``; ``unchecked`` where no rule was."""
        if not self.rules:
            return "unchecked"
        found = {finding.severity for finding in self.findings}
        return "errors" if "error" in found else "warnings" if "warning" in found else "clean"

    @property
    def layers(self) -> pd.DataFrame:
        """One row per (stack, layer, expert, role), the CSV's columns in order, numbers in full precision."""
        return tables.layers_frame(self)

    @property
    def coverage(self) -> pd.DataFrame:
        """One row per tensor of the checkpoint: what it is and what became of it."""
        return tables.coverage_frame(self)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the layers as CSV. OutputError where ``path`` cannot be written."""
        self._write(path, tables.write_csv)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything as strict JSON. OutputError where ``path`` cannot be written."""
        self._write(path, tables.write_json)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the layers as Parquet. OutputError where ``path`` cannot be written."""
        self._write(path, tables.write_parquet)

    def to_html(self, path: str | os.PathLike[str], *, plotly: str = "") -> None:
        """Write one self-contained page. OutputError where ``path`` cannot be written.

        ``plotly`` is the address, from the page, of a plotly.js that several pages share, such as "../plotly.js".
        """
        from weightaudit.report.html import write_html

        self._write(path, partial(write_html, plotly=plotly))

    def to_sarif(self, path: str | os.PathLike[str]) -> None:
        """Write the findings as SARIF 2.1.0, for code-scanning pages. OutputError where ``path`` cannot be written."""
        from weightaudit.report.sarif import write_sarif

        self._write(path, write_sarif)

    def to_figures(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Draw norms and stable ranks by layer, and a heat map, each stack its own, as PNG and SVG for a paper.

        Returns the files. Raises UsageError where matplotlib is not installed (extra ``figures``), OutputError
        where ``directory``, which is made if it is not there, cannot be written.
        """
        from weightaudit.report.static_figures import write_figures

        return write_figures(self, Path(directory), self._model_files())

    def write(self, path: str | os.PathLike[str], kind: str = "") -> None:
        """Write to ``path`` in the format ``kind``, or that its extension picks: .html .csv .json .parquet .sarif.

        Raises UsageError for any other, OutputError where ``path`` cannot be written.
        """
        writers = {
            ".html": self.to_html,
            ".csv": self.to_csv,
            ".json": self.to_json,
            ".parquet": self.to_parquet,
            ".sarif": self.to_sarif,
        }
        writers[kind or output_extension(path)](path)

    def _write(self, path: str | os.PathLike[str], write: Callable[[ScanReport, BinaryIO], None]) -> None:
        with replacing(path, self._model_files(), follow=True) as file:
            write(self, file)

    def _model_files(self) -> ModelFiles:
        """What no output of this report may replace: the model that it is about, where that lies on this machine."""
        return ModelFiles.of([self.identity.location])
