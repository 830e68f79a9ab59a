"""Options that commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from weightaudit.cli import fail_on, formats
from weightaudit.cli.directories import no_file
from weightaudit.options import Panel

OUTPUTS: Panel = "Outputs"
FINDINGS: Panel = "Findings"
MEASUREMENT: Panel = "Measurement"

Model = Annotated[
    str,
    typer.Argument(
        help="Local directory, weight file, Hugging Face id, or address (https://, hf://, s3://, gs://).",
        show_default=False,
    ),
]
_OF_TWO = (
    "local directory, weight file, address, or Hugging Face id, with a revision where it is not the default branch: "
    "id@revision."
)
Base = Annotated[str, typer.Argument(help=f"The model that was changed: a {_OF_TWO}", show_default=False)]
Derived = Annotated[
    str, typer.Argument(help=f"What was made of it, a model or an adapter: a {_OF_TWO}", show_default=False)
]
Parents = Annotated[
    list[str] | None,
    typer.Option(
        "--parents",
        metavar="MODEL",
        rich_help_panel=MEASUREMENT,
        help="A model of whose changes those of DERIVED may be a sum, as a linear merge makes them; once for each.",
        show_default=False,
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        metavar="ADAPTER",
        rich_help_panel=MEASUREMENT,
        help="An adapter that should have been merged into DERIVED: whether it was, once, with its own scale and with "
        "nothing else.",
        show_default=False,
    ),
]
Directions = Annotated[
    bool,
    typer.Option(
        "--directions",
        rich_help_panel=MEASUREMENT,
        help="Also where the changes point: along what BASE has, or along what it has not.",
    ),
]
Intruders = Annotated[
    bool,
    typer.Option(
        "--intruders",
        rich_help_panel=MEASUREMENT,
        help="Also which leading singular vectors are like none of BASE; --directions with it.",
    ),
]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL…",
        help=f"The models to be merged, or adapters, two to eight; each a {_OF_TWO}",
        show_default=False,
    ),
]
MergeBase = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="BASE",
        rich_help_panel=MEASUREMENT,
        help="The model that all were made from: their changes of it are merged. Without it their weights are, as they "
        "are.",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="W,W…",
        rich_help_panel=MEASUREMENT,
        help="A weight for each model, in their order: 0.5,0.5.",
        show_default="1 each, the sum",
    ),
]
Merged = Annotated[
    str | None,
    typer.Option(
        "--merged",
        metavar="MODEL",
        rich_help_panel=MEASUREMENT,
        help="A merge of them that exists, made in whatever way: judge that.",
        show_default=False,
    ),
]
Mergekit = Annotated[
    Path | None,
    typer.Option(
        "--mergekit",
        metavar="FILE",
        rich_help_panel=OUTPUTS,
        help="Write a configuration of mergekit's with the suggested weights.",
        show_default=False,
    ),
]
Out = Annotated[
    list[Path] | None,
    typer.Option(
        rich_help_panel=OUTPUTS,
        help="Report file: .html, .csv, .json, .parquet, .sarif, .md (Markdown) or .xml (JUnit). May be given several "
        "times.",
        show_default=False,
    ),
]
Csv = Annotated[
    Path | None, typer.Option("--csv", rich_help_panel=OUTPUTS, help="Write the table as CSV.", show_default=False)
]
Json = Annotated[
    Path | None, typer.Option("--json", rich_help_panel=OUTPUTS, help="Write everything as JSON.", show_default=False)
]
Parquet = Annotated[
    Path | None,
    typer.Option("--parquet", rich_help_panel=OUTPUTS, help="Write the table as Parquet.", show_default=False),
]
Figures = Annotated[
    Path | None,
    typer.Option(
        "--figures",
        callback=no_file,
        rich_help_panel=OUTPUTS,
        help="Directory for figures as PNG and SVG, by matplotlib; made if it is not there.",
        show_default=False,
    ),
]
Format = Annotated[
    formats.Format,
    typer.Option(
        "--format",
        metavar="|".join(get_args(formats.Format)),
        rich_help_panel=OUTPUTS,
        help="What stdout gets: text (a summary), github (annotations for its Actions), or a document: sarif, json, "
        "markdown (for a job's summary or a model card), junit; all but text with --quiet too.",
    ),
]
Listing = Annotated[
    formats.Listing,
    typer.Option(
        "--format",
        metavar="|".join(get_args(formats.Listing)),
        rich_help_panel=OUTPUTS,
        help="What stdout gets: text, or one JSON document and nothing else.",
    ),
]
FailOn = Annotated[
    fail_on.FailOn,
    typer.Option(
        "--fail-on",
        metavar="|".join(fail_on.FAIL_ON),
        rich_help_panel=FINDINGS,
        help="Severity from which on findings make the exit code 1; outputs are written all the same.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary; only notes and errors.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Say on stderr what is done: files, family, matrices, memory, threads, times; tracebacks too.",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
