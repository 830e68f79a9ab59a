"""What a Python program gets of a merge check: its result with ways to look at it and to write it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from weightaudit.api.written import Target, Written
from weightaudit.records import MergeCheckResult

if TYPE_CHECKING:
    import pandas as pd


class MergeReport(Written, MergeCheckResult):
    """What merging models would do to each, with ways to look at it and to write it down; `MergeCheckResult` is its
    data.

    Attributes
    ----------
    base
        The model that they were made from; None where they have none in common, and their weights are added up as they
        are.
    models
        Those that are merged, two to eight.
    merged
        A merge of them that exists and is judged; None where one is only thought of.
    family
        That of the models.
    meetings
        Matrices that some model changed, in report order.
    summary
        Numbers of the whole.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
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
    >>> report = wa.merge_check(["./math", "./code"], base="gpt2")  # doctest: +SKIP
    >>> [round(one.disturbance, 2) for one in report.summary.standings]  # doctest: +SKIP
    [0.21, 0.74]
    >>> report.summary.suggested  # doctest: +SKIP
    (0.93, 0.58)
    """

    @property
    def meetings_frame(self) -> pd.DataFrame:
        """One row a matrix, model and what it is merged with, the CSV's columns, numbers in full precision."""
        from weightaudit.report.merge.tables import meetings_frame

        return meetings_frame(self)

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: Target) -> None: ...
    def to_html(self, path: Target | None = None) -> str | None:
        """Write one self-contained page, or return it. OutputError where ``path`` cannot be written."""
        return self._out(path, ".html")

    @overload
    def to_mergekit(self, path: None = None) -> str: ...
    @overload
    def to_mergekit(self, path: Target) -> None: ...
    def to_mergekit(self, path: Target | None = None) -> str | None:
        """Write a configuration of mergekit's with the suggested weights, or return it. OutputError where ``path``
        cannot be written, UsageError where there are none.
        """
        return self._out(path, ".yaml")
