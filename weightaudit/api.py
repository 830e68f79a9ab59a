"""What a Python program calls: `scan`, `matrices`, and the report that a scan returns."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from weightaudit.audit import Progress, model_matrices, scan_model
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.options import options_of
from weightaudit.records import RoleMatrix, ScanResult
from weightaudit.report import write, write_figures

if TYPE_CHECKING:
    import pandas as pd

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = "    **options\n        Those of `AuditConfig`.\n"
"""Of a docstring, as it is read in the source."""


class ScanReport(ScanResult):
    """The audit of one model, with ways to look at it and to write it down; `ScanResult` is its data.

    Attributes
    ----------
    identity
        Which model this is, and the files that were read.
    map
        Which tensor is which matrix, by which family.
    rows
        A matrix and what was measured of it each, in report order.
    coverage_entries
        What became of every tensor of the checkpoint, in name order.
    summary
        Numbers of the whole model.
    options
        Options that change numbers.
    versions
        Of the libraries that computed them.
    findings
        What the rules found, most severe first.
    notes
        Sentences for the reader.
    rules
        Ids of all rules that were checked.
    partial
        Why it is of a part of the model only: "--roles", "one of 3 shards"; () where it is of all.
    not_judged
        Rules that could not judge, or not all, and why.
    suppressed
        Findings that do not count, as an option says.
    gate
        How findings were judged: options that move no number, and what the baseline came to.
    base
        Which model its matrices were compared with; None for none.

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.scan("gpt2")  # doctest: +SKIP
    >>> report.layers.groupby("role").stable_rank.mean()  # doctest: +SKIP
    """

    @property
    def layers(self) -> pd.DataFrame:
        """One row per (stack, layer, expert, role), the CSV's columns in order, numbers in full precision."""
        from weightaudit.report.tables import layers_frame

        return layers_frame(self)

    @property
    def coverage(self) -> pd.DataFrame:
        """One row per tensor of the checkpoint: what it is and what became of it."""
        from weightaudit.report.tables import coverage_frame

        return coverage_frame(self)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the layers as CSV. OutputError where ``path`` cannot be written."""
        write(self, path, ".csv")

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything as strict JSON. OutputError where ``path`` cannot be written."""
        write(self, path, ".json")

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the layers as Parquet. OutputError where ``path`` cannot be written."""
        write(self, path, ".parquet")

    def to_html(self, path: str | os.PathLike[str], *, plotly: str = "") -> None:
        """Write one self-contained page. OutputError where ``path`` cannot be written.

        ``plotly`` is the address, from the page, of a plotly.js that several pages share, such as "../plotly.js".
        """
        write(self, path, ".html", plotly=plotly)

    def to_sarif(self, path: str | os.PathLike[str]) -> None:
        """Write the findings as SARIF 2.1.0, for code-scanning pages. OutputError where ``path`` cannot be written."""
        write(self, path, ".sarif")

    def to_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write verdict, findings and roles as Markdown. OutputError where ``path`` cannot be written."""
        write(self, path, ".md")

    def to_junit(
        self, path: str | os.PathLike[str], *, fail_on: Literal["error", "warning", "info", "never"] = "error"
    ) -> None:
        """Write a test case for each rule as JUnit's XML. OutputError where ``path`` cannot be written.

        ``fail_on`` is the severity from which on a finding is a failure.
        """
        write(self, path, ".xml", fail_on=fail_on)

    def to_figures(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Draw norms and stable ranks by layer as PNG and SVG: see `weightaudit.report.write_figures`."""
        return write_figures(self, directory)

    def write(self, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None:
        """Write to ``path`` in the format ``kind``, or that its extension picks: .html .csv .json .parquet .sarif .md
        .xml; ``options`` go to the format's writer.

        Raises UsageError for any other, OutputError where ``path`` cannot be written.
        """
        write(self, path, kind, **options)


def with_options(*, panels: Collection[str] = ()) -> Callable[[F], F]:
    """Give a function that takes ``**options`` the keywords of `AuditConfig`, or of its ``panels`` alone.

    Its signature shows them with their defaults, its docstring has the help of each, and a name that is none is a
    TypeError.
    """

    def with_signature(function: F) -> F:
        own, hints = inspect.signature(function), AuditConfig.__annotations__
        taken = {name: known for name, known in options_of(AuditConfig).items() if not panels or known.panel in panels}
        keywords = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=getattr(DEFAULTS, name), annotation=hints[name]
            )
            for name in taken
        ]
        *others, _ = own.parameters.values()
        signature = own.replace(parameters=[*others, *keywords])

        described = "".join(f"    {name}\n        {known.description}\n" for name, known in taken.items())
        function.__doc__ = (function.__doc__ or "").replace(_OPTIONS, described)

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(*args, **kwargs)

        checked.__signature__ = signature  # type: ignore[attr-defined]  # what inspect looks for
        return checked  # type: ignore[return-value]  # the same but for its signature

    return with_signature


@with_options()
def scan(model: str | os.PathLike[str], *, progress: bool | Progress = False, **options: Any) -> ScanReport:
    """Measure every weight matrix of a model, and check what was measured against the rules.

    A Hub model that is not in the local cache is streamed, and nothing of it is kept on disk. The options are those of
    `AuditConfig`.

    Parameters
    ----------
    model
        Local directory, weight file, or Hub id; what exists as a path is one.
    progress
        True shows a bar on stderr; a `Progress` is told of every tensor.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    ScanReport
        The numbers of every matrix, the findings, and what became of every tensor.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    ModelError
        The model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.scan("gpt2", roles="Q,K,V")  # doctest: +SKIP
    >>> report.layers[["layer", "role", "stable_rank"]]  # doctest: +SKIP
    """
    result = scan_model(os.fspath(model), DEFAULTS.with_written(options), progress)
    return ScanReport(**vars(result))


@with_options(panels=("Hub",))
def matrices(model: str | os.PathLike[str], **options: Any) -> Iterator[RoleMatrix]:
    """Iterate over every matrix of a model with its role, in report order.

    Of the model only headers are read; a matrix is read by its ``load()``.

    Parameters
    ----------
    model
        Local directory, weight file, or Hub id; what exists as a path is one.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    Iterator[RoleMatrix]
        Matrices in the order of the report's rows.

    Raises
    ------
    ModelError
        The model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> for m in wa.matrices("gpt2"):  # doctest: +SKIP
    ...     print(m.layer, m.role, m.shape)
    """
    return model_matrices(os.fspath(model), DEFAULTS.with_written(options))
