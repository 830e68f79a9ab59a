"""``weightaudit compare A B … --out DIR``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightaudit.cli import options
from weightaudit.cli.compared import folder_of, scanned
from weightaudit.cli.directories import no_file
from weightaudit.cli.formats import TEXT, show_data
from weightaudit.cli.over import Over, draw_over
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import NOT_OF_A_DIFFERENCE, AuditConfig
from weightaudit.errors import MappingError, UsageError
from weightaudit.model_files import ModelFiles, parted
from weightaudit.report.layout import DIFFERENCES, INDEX, SERIES_CSV
from weightaudit.text import plural, printable

if TYPE_CHECKING:
    from weightaudit.report.comparison.apart import Apart
    from weightaudit.report.comparison.differences import Matched
    from weightaudit.report.comparison.read import Finished

Compared = Annotated[
    list[str],
    typer.Argument(
        metavar="A B ...",
        help="Reports (.json, .parquet, a model's folder in a batch) or models, which are scanned first; with --over "
        "one directory of checkpoints will do.",
        show_default=False,
    ),
]
FailOnDifference = Annotated[
    bool,
    typer.Option(
        "--fail-on-difference",
        rich_help_panel=options.FINDINGS,
        help="Exit code 1 where the weights of a model differ from the first's, or cannot be told to be identical.",
    ),
]
Series = Annotated[
    Over | None,
    typer.Option(
        "--over",
        help="Draw one run, or versions of one model, over steps: step takes these from names (checkpoint-500, "
        "org/name@step1000) or a run's log; revision takes any names, in the order given.",
        show_default=False,
    ),
]
Directory = Annotated[
    Path,
    typer.Option("--out", callback=no_file, help="Directory for the page; made if it is not there."),
]


@with_scan_options(without=["revision", "base", "baseline"])
def compare(
    compared: Compared,
    *,
    out: Directory,
    format: options.Listing = TEXT,
    over: Series = None,
    config: AuditConfig,
    fail_on_difference: FailOnDifference = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Put models side by side: index.html, and differences.csv of the first against each of the others, with whether
    weights are identical.

    A Hub id may carry a revision: id@revision. The options are those of scan, for the models that are scanned. With
    --over, what is named is one run: its log, a directory of its checkpoints, a batch of them, or these one by one; it
    leaves index.html and series.csv.
    """
    if over is not None:
        if fail_on_difference:
            raise UsageError("--fail-on-difference", "steps of a run differ", "Leave one of the two options out")
        if format != TEXT:
            raise UsageError("--format", "a series is drawn", f"Its numbers are in {SERIES_CSV} of --out")
        draw_over(compared, over, out, config, quiet=quiet)
        return
    if len(compared) < 2:
        raise UsageError("compare", "a comparison needs two reports or models", "Name another")

    from weightaudit.report.atomic_write import Attempts
    from weightaudit.report.comparison.directory import prepare_directory
    from weightaudit.report.comparison.read import read_finished, table_of
    from weightaudit.report.comparison.write import put_together

    # Reports are read before the first model is scanned: what is wrong with them is told at once.
    reports = [read_finished(Path(name)) for name in compared]
    folders = [out / folder_of(place, name) for place, name in enumerate(compared, 1)]
    models = [name for name, report in zip(compared, reports, strict=True) if report is None]
    read = [table_of(Path(name)) for name, report in zip(compared, reports, strict=True) if report is not None]
    prepare_directory(out, ModelFiles.of([parted(name)[0] for name in models], read=read), folders)
    attempts = Attempts()
    with attempts:  # of a model that cannot be read too: what could not be written before it is told with it
        whole = [
            report if report is not None else scanned(name, folder, config, attempts, quiet=quiet)
            for name, report, folder in zip(compared, reports, folders, strict=True)
        ]
        apart = dict(_apart(compared, reports, config, quiet=quiet))
        matched = put_together(whole, out, attempts, apart)
        if format != TEXT:
            with attempts:
                show_data(_data(whole, matched, out))
        for one in [] if quiet else matched:
            tell(
                f"{printable(one.model)}: {one.both} matrices have a partner in the first, {one.only_this} have none; "
                f"{one.only_first} of the first have none"
            )
            tell(f"{printable(one.model)}: {one.apart.words}")
    attempts.conclude()
    if not quiet:
        tell(f"wrote {out / INDEX} and {out / DIFFERENCES}")
    if fail_on_difference:
        _exit_on_differences(matched)


def _data(whole: Sequence[Finished], matched: Sequence[Matched], out: Path) -> dict[str, Any]:
    """What was compared, how the others stand beside the first, and where the details are."""
    from weightaudit.report.comparison.write import titles

    told = ("revision", "family", "guessed", "metrics", "findings", "rules")
    return {
        "models": [
            {"name": name, **{field: getattr(report, field) for field in told}}
            for name, report in zip(titles(whole), whole, strict=True)
        ],
        "beside_the_first": [
            {
                "name": one.model,
                "matched": one.both,
                "only_first": one.only_first,
                "only_this": one.only_this,
                **_counts(one.apart),
            }
            for one in matched
        ],
        "page": str(out / INDEX),
        "differences": str(out / DIFFERENCES),
    }


def _counts(apart: Apart) -> dict[str, Any]:
    """Whether weights are identical, with how many of how many differ; null where that is not known."""
    counted = (("matrices", apart.matrices), ("vectors", apart.vectors))
    return {
        "identical": apart.identical,
        **{name: None if known is None else dict(zip(("differ", "of"), known, strict=True)) for name, known in counted},
        "relative_difference": apart.relative,
        "largest_relative_difference": apart.largest,
        "why": apart.why,
    }


def _apart(
    compared: Sequence[str], reports: Sequence[Finished | None], config: AuditConfig, *, quiet: bool
) -> Iterator[tuple[int, Apart]]:
    """How far the weights of those models are from the first, by their places, of which entries can be compared: where
    neither is a report.
    """
    from weightaudit.api import diff
    from weightaudit.report.comparison.apart import Apart, apart_by_difference

    # Rules that these may name are a scan's.
    asked = {**asdict(config), "ignore": (), "severity": ()}
    asked = {name: value for name, value in asked.items() if name not in NOT_OF_A_DIFFERENCE}
    for place, (name, report) in enumerate(zip(compared, reports, strict=True)):
        if place == 0 or reports[0] is not None or report is not None:
            continue
        try:
            difference = diff(compared[0], name, progress=not quiet, **asked)
        except MappingError as error:  # another architecture, which a comparison of norms may be of
            yield place, Apart(None, why=f"{error.thing}: {error.cause}")
            continue
        for note in difference.notes:
            tell(f"note: {printable(difference.derived.name)}: {note}")
        yield place, apart_by_difference(difference)


def _exit_on_differences(matched: Sequence[Matched]) -> None:
    """Say why and exit with code 1 where the weights of any are not known to be the first's."""
    others = [one for one in matched if not one.apart.identical]
    if others:
        tell(f"{plural(len(others), 'model')} not identical to the first: exit code 1 (--fail-on-difference)")
        raise typer.Exit(1)
