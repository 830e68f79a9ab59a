"""``weightaudit scan MODEL``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import typer

from weightaudit.cli import options
from weightaudit.cli.formats import FORMATS, TEXT, show
from weightaudit.cli.github import harmless
from weightaudit.cli.threshold import FAIL_ON, check_choice, end
from weightaudit.config import DEFAULTS, Method
from weightaudit.errors import UsageError


def scan(
    model: options.Model,
    out: options.Out = None,
    csv: options.Csv = None,
    json: options.Json = None,
    parquet: options.Parquet = None,
    figures: options.Figures = None,
    format: options.Format = TEXT,
    revision: options.Revision = DEFAULTS.revision,
    token: options.Token = DEFAULTS.token,
    offline: options.Offline = DEFAULTS.offline,
    download: options.Download = DEFAULTS.download,
    memory: options.Memory = None,
    max_wait: options.MaxWait = DEFAULTS.max_wait,
    roles: options.Roles = None,
    layers: options.Layers = None,
    method: options.MethodName = DEFAULTS.method,
    tol: options.Tol = DEFAULTS.tol,
    delta: options.Delta = DEFAULTS.delta,
    seed: options.Seed = DEFAULTS.seed,
    spectrum: options.Spectrum = DEFAULTS.spectrum,
    ignore: options.Ignore = None,
    fail_on: options.FailOn = "error",
    device: options.Device = DEFAULTS.device,
    threads: options.Threads = DEFAULTS.threads,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure every weight matrix of a model, check it against the rules and write a report.

    Prints a summary on stdout; --out, --csv, --json, --parquet and --figures write the details.
    Exit code 1 says that something was found that is as grave as --fail-on says.
    """
    from weightaudit.audit.findings import check_ignored
    from weightaudit.audit.selection import parse_layers, parse_roles
    from weightaudit.audit.sizes import parse_bytes

    # Wrong usage is found before a byte is read.
    wanted_roles, wanted_layers, most_memory = parse_roles(roles), parse_layers(layers), parse_bytes(memory)
    ignored = check_ignored(",".join(ignore or ()))
    check_choice("--format", format, FORMATS)
    check_choice("--fail-on", fail_on, FAIL_ON)
    outputs = _outputs(out or [], csv, json, parquet)
    if figures is not None:
        from weightaudit.report.static_figures import check_figures

        check_figures(figures)

    from weightaudit.audit import scan as scan_model

    report = scan_model(
        model,
        revision=revision,
        token=token,
        offline=offline,
        download=download,
        memory=most_memory,
        max_wait=max_wait,
        roles=wanted_roles,
        layers=wanted_layers,
        method=cast(Method, method),
        tol=tol,
        delta=delta,
        seed=seed,
        spectrum=spectrum,
        ignore=ignored,
        device=device,
        threads=threads,
        progress=not quiet,
    )
    for note in report.notes:
        typer.echo(harmless(f"note: {note}"), err=True)
    for path, kind in outputs:
        report.write(path, kind)
        if not quiet:
            typer.echo(f"wrote {path}", err=True)
    if figures is not None:
        drawn = report.to_figures(figures)
        if not quiet:
            typer.echo(f"wrote {len(drawn)} figures into {figures}", err=True)
    if format != TEXT or not quiet:
        show(report, format)
    end(Counter(finding.severity for finding in report.findings), fail_on)


def _outputs(out: list[Path], csv: Path | None, json: Path | None, parquet: Path | None) -> list[tuple[Path, str]]:
    """Every output with its format, each checked to be writable and named once."""
    from weightaudit.report.files import check_writable, output_extension

    outputs = [(path, output_extension(path)) for path in out]
    outputs += [(p, kind) for p, kind in ((csv, ".csv"), (json, ".json"), (parquet, ".parquet")) if p is not None]
    seen: set[Path] = set()
    for path, _ in outputs:
        check_writable(path)
        if path.resolve() in seen:
            raise UsageError(str(path), "named for two outputs", "Give each output its own file.")
        seen.add(path.resolve())
    return outputs
