"""All commands, as one application of typer's."""

from __future__ import annotations

import typer

from weightaudit.cli.advise import advise
from weightaudit.cli.archs import archs
from weightaudit.cli.batch import batch
from weightaudit.cli.compare import compare
from weightaudit.cli.diff import diff
from weightaudit.cli.error_reporting import report_errors
from weightaudit.cli.merge import merge
from weightaudit.cli.merge_check import merge_check
from weightaudit.cli.options import show_version
from weightaudit.cli.paper import paper
from weightaudit.cli.rules import rules
from weightaudit.cli.scan import scan
from weightaudit.cli.strict_command import OnceCommand

app = typer.Typer(
    name="weightaudit",
    help="What is inside a pretrained language model's weights: certified norms and stable ranks of every matrix.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (scan, diff, merge_check, merge, batch, compare, advise, archs, rules):
    app.command(cls=OnceCommand)(report_errors(command))
app.add_typer(paper)
app.callback()(show_version)
