"""``weightaudit paper EXPERIMENT --out DIR``: a command for each experiment, its options made from its settings.

``weightaudit paper --help`` loads no experiment: their modules load torch.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from weightaudit.cli import options
from weightaudit.cli.directories import no_file
from weightaudit.cli.error_reporting import report_errors
from weightaudit.cli.paper_options import Given, setting_options, with_settings
from weightaudit.cli.strict_command import command_of
from weightaudit.cli.terminal import say, tell
from weightaudit.paper.registry import EXPERIMENTS, Experiment
from weightaudit.redact import without_secrets

if TYPE_CHECKING:
    from weightaudit.audit import Progress
    from weightaudit.paper.running import Ran

ALL = "all"
TITLES = {name: experiment.title for name, experiment in EXPERIMENTS.items()} | {
    ALL: "All of them; those whose models or data are missing are skipped"
}
SHARED = ("seed", "draws", "models", "data_dir", "offline")
"""Settings that ``all`` has an option for; each goes to the experiments with a setting of that name."""

Out = Annotated[
    Path,
    typer.Option(
        callback=no_file,
        help="Directory for the outputs; each experiment gets a folder in it.",
        show_default=False,
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Run anew what an earlier run has finished there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no verdicts; only errors.")]


class ExperimentGroup(TyperGroup):
    """The experiments as commands: names and titles to list, and options for the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The experiments in running order, then ``all``."""
        return list(TITLES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """An experiment's name and title; None where there is none of that name."""
        return self._named(cmd_name, lambda: None) if cmd_name in TITLES else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that was called, with its options."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else self._named(name, _function(name)), rest

    def _named(self, name: str, function: Callable[..., None]) -> Any:
        return command_of(function, name=name, help=TITLES[name])


paper = typer.Typer(
    cls=ExperimentGroup,
    name="paper",
    help="Run the source paper's experiments and check its claims with numbers.",
    no_args_is_help=True,
    subcommand_metavar="EXPERIMENT --out DIR [OPTIONS]",
)


def _function(name: str) -> Callable[..., None]:
    """What the command runs, with the signature that its options are made from."""
    if name == ALL:
        known: dict[str, Any] = {}
        for experiment in EXPERIMENTS.values():
            known.update(setting_options(experiment.config_class, default="By default each experiment its own"))
        return report_errors(with_settings(_run_all, {field: known[field] for field in SHARED if field in known}))
    experiment = EXPERIMENTS[name]

    def run_it(
        given: Given, out: Out, again: Again = False, quiet: Quiet = False, debug: options.Debug = False
    ) -> None:
        _run_one(experiment, given, out, again, quiet)

    return report_errors(with_settings(run_it, setting_options(experiment.config_class)))


def _run_one(experiment: Experiment, given: Given, out: Path, again: bool, quiet: bool) -> None:
    from weightaudit.paper.running import run_one
    from weightaudit.paper.settings import configured
    from weightaudit.report.atomic_write import Attempts

    config = configured(experiment.config_class, given)
    attempts = Attempts()
    with _progress(quiet) as progress:
        ran = run_one(experiment, config, out, progress, attempts, again=again, say=_saying(quiet))
    if not quiet:
        with attempts:
            _show([ran])
    attempts.conclude()


def _run_all(given: Given, out: Out, again: Again = False, quiet: Quiet = False, debug: options.Debug = False) -> None:
    from weightaudit.paper.readme import write_readme
    from weightaudit.paper.running import all_configs, run_all
    from weightaudit.report.atomic_write import Attempts

    configs = all_configs(EXPERIMENTS, given)
    attempts = Attempts()
    with _progress(quiet) as progress:
        ran = run_all(configs, out, progress, attempts, again=again, say=_saying(quiet))
    with attempts:
        write_readme(ran, out, without_secrets(shlex.join(["weightaudit", *sys.argv[1:]])))
    if not quiet:
        with attempts:
            _show(ran)
    attempts.conclude()


def _show(ran: Sequence[Ran]) -> None:
    from weightaudit.paper.readme import told

    for line in told(ran).split("\n"):
        say(line)
    sys.stdout.flush()


def _progress(quiet: bool) -> closing[Progress]:
    from weightaudit.audit.progress import Silent, display

    return closing(Silent() if quiet else display(steps=True))


def _saying(quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if quiet else tell
