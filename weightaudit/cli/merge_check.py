"""``weightaudit merge-check A B [C …]``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from weightaudit.cli import options
from weightaudit.cli.fail_on import exit_on_findings
from weightaudit.cli.formats import TEXT, show
from weightaudit.cli.outputs import chosen_outputs, write_outputs
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import NOT_OF_A_MERGE, AuditConfig
from weightaudit.merging.asked import weights_asked
from weightaudit.model_files import ModelFiles, parted


@with_scan_options(without=NOT_OF_A_MERGE, rules="weightaudit.merging.rules")
def merge_check(
    models: options.Models,
    *,
    base: options.MergeBase = None,
    weights: options.Weights = None,
    merged: options.Merged = None,
    out: options.Out = None,
    csv: options.Csv = None,
    json: options.Json = None,
    parquet: options.Parquet = None,
    mergekit: options.Mergekit = None,
    format: options.Format = TEXT,
    config: AuditConfig,
    fail_on: options.FailOn = "error",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say where the changes of models meet, and which of them would suffer if they were added up.

    Prints a summary on stdout; --out, --csv, --json and --parquet write the details. Nothing is merged: 'merge' does
    that. Exit code 1 says that there are findings at or above --fail-on.
    """
    # Wrong usage is found before a byte is read.
    weights_asked(len(models), weights, merged=merged is not None)
    named = [*models, *(one for one in (base, merged) if one is not None)]
    files = ModelFiles.of([parted(name)[0] for name in named])
    outputs = chosen_outputs(out, csv, json, parquet, files, mergekit)

    from weightaudit.api import merge_check as check_models
    from weightaudit.report.atomic_write import Attempts

    asked = {name: value for name, value in asdict(config).items() if name not in NOT_OF_A_MERGE}
    report = check_models(
        models,
        base=base,
        weights=weights,
        merged=merged,
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
