"""Options that commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weightaudit.cli.threshold import FAIL_ON
from weightaudit.config import METHODS
from weightaudit.version import __version__

Model = Annotated[str, typer.Argument(help="Local directory, weight file, or Hugging Face id.", show_default=False)]
Out = Annotated[
    list[Path] | None,
    typer.Option(
        help="Report file: .html, .csv, .json, .parquet or .sarif. May be given several times.", show_default=False
    ),
]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.", show_default=False)]
Json = Annotated[Path | None, typer.Option("--json", help="Write everything as JSON.", show_default=False)]
Parquet = Annotated[Path | None, typer.Option("--parquet", help="Write the table as Parquet.", show_default=False)]
Figures = Annotated[
    Path | None,
    typer.Option(
        "--figures",
        help="Directory for figures as PNG and SVG, by matplotlib; made if it is not there.",
        show_default=False,
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="What stdout gets: text (a summary), github (annotations for its Actions), sarif or json (the document); "
        "all but text with --quiet too.",
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a Hub model.", show_default="the default branch")
]
Token = Annotated[
    str | None,
    typer.Option(help="Hub access token.", envvar="HF_TOKEN", show_default=False, show_envvar=True),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use only local files and the local Hugging Face cache.")]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="Download a Hub model into the Hugging Face cache first; else it is streamed and not kept."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="Weights held in memory at once, for example 2GB.", show_default="twice the largest tensor and 128 MB"
    ),
]
MaxWait = Annotated[
    float, typer.Option(help="Seconds to wait for a network that makes no progress, all retries included.")
]
Roles = Annotated[str | None, typer.Option(help="Roles to analyse, for example Q,K,M1.", show_default="all")]
Layers = Annotated[str | None, typer.Option(help="Layers to analyse, for example 0-5,11 (from 0).", show_default="all")]
MethodName = Annotated[str, typer.Option("--method", help=f"How σ₁ is computed: {', '.join(METHODS)}.")]
Tol = Annotated[float, typer.Option(help="Relative width of the certified interval on σ₁².")]
Delta = Annotated[float, typer.Option(help="Probability, per matrix, that an upper end is too low.")]
Seed = Annotated[int, typer.Option(help="Seed of the random starts.")]
Spectrum = Annotated[
    bool,
    typer.Option("--spectrum", help="Also estimate the spectrum: leading singular values, density, effective rank."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        help="Rules that are not checked, by id: see 'weightaudit rules'. May be given several times.",
        show_default=False,
    ),
]
FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        help=f"Exit code 1 where a finding is that grave: {', '.join(FAIL_ON)}; outputs are written all the same.",
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")]
Threads = Annotated[int | None, typer.Option(help="Compute threads.", min=1, show_default="torch's choice")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary; only notes and errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"weightaudit {__version__}")
        raise typer.Exit


def show_version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What is inside a pretrained language model's weights: certified norms and stable ranks of every matrix."""
