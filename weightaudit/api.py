"""What a Python program calls: `scan`, `diff`, `merge_check`, `merge`, `matrices`, and the reports that they return."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from weightaudit.audit import Progress, model_matrices, scan_model
from weightaudit.config import DEFAULTS, NOT_OF_A_DIFFERENCE, NOT_OF_A_MERGE, OF_A_SUM, AuditConfig
from weightaudit.options import options_of
from weightaudit.parse import parse_bytes
from weightaudit.records import DiffResult, MergeCheckResult, Reported, RoleMatrix, ScanResult
from weightaudit.report import write, write_figures

if TYPE_CHECKING:
    import pandas as pd

    from weightaudit.merging.linear.merge import LinearMerge

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = "    **options\n        Those of `AuditConfig`.\n"
"""Of a docstring, as it is read in the source."""


class Written:
    """Ways to write down a result; each raises OutputError where ``path`` cannot be written."""

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as CSV. OutputError where ``path`` cannot be written."""
        self.write(path, ".csv")

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything as strict JSON. OutputError where ``path`` cannot be written."""
        self.write(path, ".json")

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as Parquet. OutputError where ``path`` cannot be written."""
        self.write(path, ".parquet")

    def to_sarif(self, path: str | os.PathLike[str]) -> None:
        """Write the findings as SARIF 2.1.0, for code-scanning pages. OutputError where ``path`` cannot be written."""
        self.write(path, ".sarif")

    def to_markdown(self, path: str | os.PathLike[str]) -> None:
        """Write verdict, findings and roles as Markdown. OutputError where ``path`` cannot be written."""
        self.write(path, ".md")

    def to_junit(
        self, path: str | os.PathLike[str], *, fail_on: Literal["error", "warning", "info", "never"] = "error"
    ) -> None:
        """Write a test case for each rule as JUnit's XML. OutputError where ``path`` cannot be written.

        ``fail_on`` is the severity from which on a finding is a failure.
        """
        self.write(path, ".xml", fail_on=fail_on)

    def write(self, path: str | os.PathLike[str], kind: str = "", **options: Any) -> None:
        """Write to ``path`` in the format ``kind``, or that its extension picks: .html .csv .json .parquet .sarif .md
        .xml; ``options`` go to the format's writer.

        Raises UsageError for any other, OutputError where ``path`` cannot be written.
        """
        assert isinstance(self, Reported)
        write(self, path, kind, **options)


class ScanReport(Written, ScanResult):
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

    def to_html(self, path: str | os.PathLike[str], *, plotly: str = "") -> None:
        """Write one self-contained page. OutputError where ``path`` cannot be written.

        ``plotly`` is the address, from the page, of a plotly.js that several pages share, such as "../plotly.js".
        """
        self.write(path, ".html", plotly=plotly)

    def to_figures(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Draw norms and stable ranks by layer as PNG and SVG: see `weightaudit.report.write_figures`."""
        return write_figures(self, directory)


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

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained page. OutputError where ``path`` cannot be written."""
        self.write(path, ".html")


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

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained page. OutputError where ``path`` cannot be written."""
        self.write(path, ".html")

    def to_mergekit(self, path: str | os.PathLike[str]) -> None:
        """Write a configuration of mergekit's with the suggested weights. OutputError where ``path`` cannot be written,
        UsageError where there are none.
        """
        self.write(path, ".yaml")


def with_options(
    *, panels: Collection[str] = (), only: Collection[str] = (), without: Collection[str] = ()
) -> Callable[[F], F]:
    """Give a function that takes ``**options`` the keywords of `AuditConfig`, or of its ``panels`` alone, or ``only``
    those, but for those named in ``without``.

    Its signature shows them with their defaults, its docstring has the help of each, and a name that is none is a
    TypeError.
    """

    def with_signature(function: F) -> F:
        own, hints = inspect.signature(function), AuditConfig.__annotations__
        taken = {
            name: known
            for name, known in options_of(AuditConfig).items()
            if (not panels or known.panel in panels) and (not only or name in only) and name not in without
        }
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
        Local directory, weight file, Hub id, or address (``https://``, ``hf://``, ``s3://``, ``gs://``); what exists as
        a path is one.
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


@with_options(without=NOT_OF_A_DIFFERENCE)
def diff(
    base: str | os.PathLike[str],
    derived: str | os.PathLike[str],
    *,
    parents: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    adapter: str | os.PathLike[str] | None = None,
    directions: bool = False,
    intruders: bool = False,
    progress: bool | Progress = False,
    **options: Any,
) -> DiffReport:
    """Say what a model changed of the one that it was made from: every matrix and vector beside its own, how far apart
    they are, and what was done.

    Both are streamed together. A model is a local directory, a weight file, or a Hub id, which may carry a revision
    (``"id@revision"``); what exists as a path is one.

    Parameters
    ----------
    base
        The model that was changed.
    derived
        What was made of it: a model, or an adapter.
    parents
        Models of whose changes those of ``derived`` may be a sum, as a linear merge makes them; or a single one.
    adapter
        An adapter that should have been merged into ``derived``.
    directions
        Whether to look where the changes point as well.
    intruders
        Whether to look for leading singular vectors that are like none of the base; ``directions`` with it.
    progress
        True shows a bar on stderr; a `Progress` is told of every tensor.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    DiffReport
        What became of every matrix and vector, what that comes to, and the findings.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    MappingError
        The two are models of different architectures.
    ModelError
        A model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.diff("gpt2", "./merged", adapter="./adapter")  # doctest: +SKIP
    >>> report.to_html("diff.html")  # doctest: +SKIP
    """
    from weightaudit.pairs.diff import diff_models

    others = [parents] if isinstance(parents, str | os.PathLike) else parents
    result = diff_models(
        os.fspath(base),
        os.fspath(derived),
        DEFAULTS.with_written(options),
        parents=[os.fspath(parent) for parent in others],
        adapter=None if adapter is None else os.fspath(adapter),
        directions=directions,
        intruders=intruders,
        progress=progress,
    )
    return DiffReport(**vars(result))


@with_options(without=NOT_OF_A_MERGE)
def merge_check(
    models: Sequence[str | os.PathLike[str]],
    *,
    base: str | os.PathLike[str] | None = None,
    weights: str | Iterable[float] | None = None,
    merged: str | os.PathLike[str] | None = None,
    progress: bool | Progress = False,
    **options: Any,
) -> MergeReport:
    """Say what merging models would do to each: how much of its own change it keeps where its inputs lie, and what the
    others add there.

    All are streamed together, matrix by matrix; nothing is merged. A model is a local directory, a weight file, or a
    Hub id, which may carry a revision (``"id@revision"``); what exists as a path is one.

    Parameters
    ----------
    models
        What is to be merged, two to eight: models or adapters.
    base
        The model that all were made from. None adds up the weights as they are, as the source paper does.
    weights
        A weight for each model; None is 1 each, the sum.
    merged
        A merge of them that exists, made in whatever way, which is judged instead.
    progress
        True shows a bar on stderr; a `Progress` is told of every tensor.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    MergeReport
        Retention, contamination and disturbance of every matrix and model, suggested weights, and the findings.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    MappingError
        The models are of different architectures.
    ModelError
        A model cannot be read; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> report = wa.merge_check(["./math", "./code"], base="gpt2", weights=(0.5, 0.5))  # doctest: +SKIP
    >>> report.to_html("merge.html")  # doctest: +SKIP
    """
    from weightaudit.merging.asked import weights_asked
    from weightaudit.merging.check import check_merge

    named = [os.fspath(model) for model in models]
    asked = weights_asked(len(named), weights, merged=None if merged is None else os.fspath(merged))
    result = check_merge(
        named,
        DEFAULTS.with_written(options),
        base=None if base is None else os.fspath(base),
        merged=None if merged is None else os.fspath(merged),
        weights=asked or None,
        progress=progress,
    )
    return MergeReport(**vars(result))


@with_options(only=OF_A_SUM)
def merge(
    models: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    weights: str | Iterable[float] | None = None,
    dtype: str | None = None,
    shard_size: str | int = "5GB",
    progress: bool | Progress = False,
    **options: Any,
) -> LinearMerge:
    """Add up what models changed of their base, or their weights as they are, and write the sum as a model.

    W₀ + Σ wᵢ(Wᵢ − W₀) of every tensor, or Σ wᵢWᵢ without a base, in float64, rounded as torch rounds; the recipe is in
    the files' metadata. All are streamed together; the folder is there when it is whole.

    Parameters
    ----------
    models
        What is merged, two to eight: models, or adapters to the base.
    out
        Folder for the merge, not there yet.
    base
        The model that all were made from. None adds up the weights as they are, as the source paper does.
    weights
        A weight for each model; None is 1 each, the sum.
    dtype
        "float32", "bfloat16", "float16" or "float64"; None stores floats as the base does.
    shard_size
        Bytes of a file of weights, at most.
    progress
        True shows a bar on stderr; a `Progress` is told of every tensor.
    **options
        Those of `AuditConfig`.

    Returns
    -------
    LinearMerge
        Which files were written.

    Raises
    ------
    UsageError
        An option makes no sense; nothing was read.
    OutputError
        The folder is there already, or cannot be written.
    ModelError
        A model cannot be read, or has other tensors or shapes; subclasses say why (`weightaudit.errors`).

    Examples
    --------
    >>> import weightaudit as wa
    >>> wa.merge(["./math", "./code"], "./both", base="gpt2", weights=(0.9, 0.6)).files  # doctest: +SKIP
    ('model.safetensors',)
    """
    from weightaudit.merging.asked import weights_asked
    from weightaudit.merging.linear.merge import merge_models

    named = [os.fspath(model) for model in models]
    return merge_models(
        named,
        out,
        DEFAULTS.with_written(options),
        base=None if base is None else os.fspath(base),
        weights=weights_asked(len(named), weights),
        dtype=dtype,
        shard_size=parse_bytes(shard_size) or 0,
        progress=progress,
    )


@with_options(panels=("Hub",))
def matrices(model: str | os.PathLike[str], **options: Any) -> Iterator[RoleMatrix]:
    """Iterate over every matrix of a model with its role, in report order.

    Of the model only headers are read; a matrix is read by its ``load()``.

    Parameters
    ----------
    model
        Local directory, weight file, Hub id, or address (``https://``, ``hf://``, ``s3://``, ``gs://``); what exists as
        a path is one.
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
