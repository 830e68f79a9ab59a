"""What a Python program gets of a difference: its result with ways to look at it and to write it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from weightaudit.api.written import Target, Written
from weightaudit.records import DiffResult

if TYPE_CHECKING:
    import pandas as pd


class DiffReport(Written, DiffResult):
    """What one model changed of another, with ways to look at it and to write it down; `DiffResult` is its data.

    Attributes
    ----------
    base, derived
        Which models they are, and the files that were read.
    family
        That of the derived model.
    changes
        What became of each matrix in report order, then of each vector by name.
    one_sided
        What one of the two has alone.
    summary
        Numbers of the whole.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
    parents
        Models whose changes those of the derived one may be a sum of; an adapter that may have been merged.
    findings
        What the rules found, most severe first.
    rules
        Ids of all rules that were checked.
    suppressed
        Findings that do not count, as an option says.
    notes
        Sentences for the reader.
    partial
        Why it is of a part of the models only: "--roles"; () where it is of all.
    gate
        How findings were judged: options that move no number.

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.diff("gpt2", "./fine-tuned")  # doctest: +SKIP
    >>> report.summary.kinds  # doctest: +SKIP
    {'low rank': 24, 'unchanged': 26}
    >>> report.changes_frame.groupby("role").relative.max()  # doctest: +SKIP
    """

    @property
    def changes_frame(self) -> pd.DataFrame:
        """One row a matrix or vector, the CSV's columns in order, numbers in full precision."""
        from weightaudit.report.diff.tables import changes_frame

        return changes_frame(self)

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: Target) -> None: ...
    def to_html(self, path: Target | None = None) -> str | None:
        """Write one self-contained page, or return it. OutputError where ``path`` cannot be written."""
        return self._out(path, ".html")
