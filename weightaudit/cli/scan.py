"""``weightaudit scan MODEL``."""

from __future__ import annotations

from collections import Counter

from weightaudit.cli import options
from weightaudit.cli.fail_on import exit_on_findings
from weightaudit.cli.formats import TEXT, show
from weightaudit.cli.outputs import chosen_outputs, write_outputs
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import AuditConfig
from weightaudit.model_files import ModelFiles


@with_scan_options(models=lambda given: [given["model"]])
def scan(
    model: options.Model,
    *,
    out: options.Out = None,
    csv: options.Csv = None,
    json: options.Json = None,
    parquet: options.Parquet = None,
    figures: options.Figures = None,
    format: options.Format = TEXT,
    config: AuditConfig,
    fail_on: options.FailOn = "error",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Measure every weight matrix of a model, check it against the rules and write a report.

    Prints a summary on stdout; --out, --csv, --json, --parquet and --figures write the details.
    Exit code 1 says that there are findings at or above --fail-on.
    """
    # Wrong usage is found before a byte is read.
    read = [config.base] if config.base is not None else []
    models = ModelFiles.of([model, *read], read=[config.baseline] if config.baseline is not None else [])
    outputs = chosen_outputs(out, csv, json, parquet, models)
    if figures is not None:
        from weightaudit.report.figures import check_figures

        check_figures(figures, models)

    from weightaudit.api import scan as scan_model
    from weightaudit.report.atomic_write import Attempts

    report = scan_model(model, progress=not quiet, **vars(config))
    for note in report.notes:
        tell(f"note: {note}")
    attempts = Attempts()
    write_outputs(report, outputs, fail_on, attempts, quiet=quiet)
    if figures is not None:
        with attempts:
            drawn = report.to_figures(figures)
            if not quiet:
                tell(f"wrote {len(drawn)} figures into {figures}")
    if format != TEXT or not quiet:
        with attempts:
            show(report, format, fail_on)
    attempts.conclude()
    # What the baseline knows does not count.
    exit_on_findings(Counter(one.severity for one in report.findings if one.baseline_state != "unchanged"), fail_on)
