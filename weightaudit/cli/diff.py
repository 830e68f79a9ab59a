"""``weightaudit diff BASE DERIVED``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from weightaudit.cli import options
from weightaudit.cli.fail_on import exit_on_findings
from weightaudit.cli.formats import TEXT, show
from weightaudit.cli.outputs import chosen_outputs, write_outputs
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import NOT_OF_A_DIFFERENCE, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles, parted


@with_scan_options(without=NOT_OF_A_DIFFERENCE, rules="weightaudit.pairs.rules")
def diff(
    base: options.Base,
    derived: options.Derived,
    *,
    parents: options.Parents = None,
    adapter: options.Adapter = None,
    directions: options.Directions = False,
    intruders: options.Intruders = False,
    out: options.Out = None,
    csv: options.Csv = None,
    json: options.Json = None,
    parquet: options.Parquet = None,
    format: options.Format = TEXT,
    config: AuditConfig,
    fail_on: options.FailOn = "error",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Say what a model changed of the one that it was made from, matrix by matrix, and whether that is all.

    Prints a summary on stdout; --out, --csv, --json and --parquet write the details.
    Exit code 1 says that there are findings at or above --fail-on.
    """
    # Wrong usage is found before a byte is read.
    others = [*(parents or []), *([adapter] if adapter is not None else [])]
    if adapter is not None and parents:
        raise UsageError("--adapter", "it is asked beside --parents", "Ask for one of the two")
    models = ModelFiles.of([parted(name)[0] for name in (base, derived, *others)])
    outputs = chosen_outputs(out, csv, json, parquet, models)

    from weightaudit.api import diff as diff_models
    from weightaudit.report.atomic_write import Attempts

    asked = {name: value for name, value in asdict(config).items() if name not in NOT_OF_A_DIFFERENCE}
    report = diff_models(
        base,
        derived,
        parents=parents or (),
        adapter=adapter,
        directions=directions,
        intruders=intruders,
        progress=not quiet,
        **asked,
    )
    for note in report.notes:
        tell(f"note: {note}")
    attempts = Attempts()
    write_outputs(report, outputs, fail_on, attempts, quiet=quiet)
    if format != TEXT or not quiet:
        with attempts:
            show(report, format, fail_on)
    attempts.conclude()
    exit_on_findings(Counter(one.severity for one in report.findings), fail_on)
