"""``weightaudit batch LIST --out DIR``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightaudit.cli import completion, options
from weightaudit.cli.directories import no_file
from weightaudit.cli.fail_on import NEVER, FailOn, exit_on_findings
from weightaudit.cli.formats import show_lines
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import look_of, tell
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.logs import step
from weightaudit.report.layout import INDEX
from weightaudit.text import plural, printable

if TYPE_CHECKING:
    from weightaudit.batches import BatchResult
    from weightaudit.batches.merge_batches import MergeResult
    from weightaudit.batches.pairs.run import PairsResult
    from weightaudit.report.atomic_write import Attempts

MOST_TOLD = 20
"""Failures repeated at the end, and shards that are missing."""

Lists = Annotated[
    list[str],  # no Path, which would make @name of ./@name
    typer.Argument(
        metavar="LIST",
        help="Model list: a file, or @NAME for one that comes with weightaudit, such as @small; a directory of "
        "checkpoints (checkpoint-500, step1000); with --merge, directories of batches.",
        show_default=False,
        autocompletion=completion.lists,
    ),
]
Directory = Annotated[
    Path,
    typer.Option("--out", callback=no_file, help="Directory for the results; made if it is not there."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes on this machine; 0 scans in this one.", show_default="one a core, at most 8"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Scan on the Dask cluster of this scheduler: its address or its file.", show_default=False),
]
Shard = Annotated[
    str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts of the list.", show_default=False)
]
Merge = Annotated[bool, typer.Option("--merge", help="Join the named directories of batches into --out.")]
Pairs = Annotated[
    bool,
    typer.Option("--pairs", help="Check every two models of the list for a merge, instead of scanning each."),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="BASE",
        help="With --pairs: the model that all were made from; without it their weights are added up as they are.",
        show_default=False,
    ),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Scan again what failed in earlier runs.")]
MaxTime = Annotated[
    float | None,
    typer.Option(
        help="Seconds that the scan of one model may take; one that takes longer fails, and the others go on.",
        show_default="any",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Compute threads of each scan.", min=1, show_default="the cores, shared out; 1 on a cluster"),
]


def _local_models(given: Mapping[str, Any]) -> Iterator[str]:
    """The models of the list that lie on this machine; none where results are merged."""
    if given["merge"] or len(given["lists"]) != 1:
        return
    from weightaudit.batches import read_model_list
    from weightaudit.batches.shipped_lists import find_list

    entries = read_model_list(find_list(given["lists"][0]), DEFAULTS, check_device=False)
    yield from (entry.model for entry in entries if entry.local)


@with_scan_options(without=["revision", "threads", "base", "baseline"], models=_local_models)
def batch(
    lists: Lists,
    *,
    out: Directory,
    workers: Workers = None,
    scheduler: Scheduler = None,
    shard: Shard = None,
    merge: Merge = False,
    pairs: Pairs = False,
    base: Base = None,
    retry_failed: RetryFailed = False,
    config: AuditConfig,
    max_time: MaxTime = None,
    threads: Threads = None,
    fail_on: options.FailOn = NEVER,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Scan every model of a list, or every checkpoint of a run; what is finished stays finished.

    Prints the verdicts on stdout, worst first; --out gets the details. A line of the list is a Hub id, id@revision, an
    address or a path, then options such as roles=Q,K; # starts a comment. Run the same command again to go on after
    anything that stopped it. Exit code 1 says that some models failed, or that one has a finding at or above --fail-on.
    """
    if merge:
        if pairs:
            raise UsageError("--merge", "it joins batches of scans, not of pairs", "Leave one of the two out")
        _merge([Path(directory) for directory in lists], out, fail_on, quiet)
        return
    if len(lists) != 1:
        raise UsageError("batch", f"{len(lists)} model lists were named", "Name one; --merge joins directories")
    if base is not None and not pairs:
        raise UsageError("--base", "only pairs are held against a base", "Add --pairs, or leave it out")
    if scheduler is not None and workers is not None:
        raise UsageError("--workers", "the cluster of --scheduler has its own workers", "Leave one of the two out")

    from weightaudit.batches import read_model_list, run_batch
    from weightaudit.batches.display import Silent, display_on_stderr
    from weightaudit.batches.executors import make_pool
    from weightaudit.batches.plan import parse_shard
    from weightaudit.batches.shipped_lists import find_list
    from weightaudit.batches.time_limit import check_max_time
    from weightaudit.report.atomic_write import Attempts

    part = parse_shard(shard)
    check_max_time(max_time)
    path = find_list(lists[0])
    if pairs:
        for option, given in (("--shard", shard), ("--scheduler", scheduler), ("--max-time", max_time)):
            if given is not None:
                raise UsageError(option, "pairs are checked in processes of this machine", "Leave it out")
        _pairs(path, out, base, config, workers, threads, fail_on, quiet)
        return
    entries = read_model_list(path, config, check_device=scheduler is None)
    step(f"list {printable(str(path), 1000)}: {plural(len(entries), 'model')}")
    # By the whole list, whatever its shards: the thread count moves the last digit of a number.
    pool, threads = make_pool(len(entries), workers=workers, scheduler=scheduler, threads=threads, max_time=max_time)
    attempts = Attempts()
    try:
        result = run_batch(
            entries,
            out,
            pool,
            threads=threads,
            max_time=max_time,
            shard=part,
            retry_failed=retry_failed,
            display=Silent() if quiet else display_on_stderr(),
            title=_title(path),
            attempts=attempts,
            read=[*([] if path.is_dir() else [path]), *([Path(scheduler)] if scheduler is not None else [])],
        )
    except KeyboardInterrupt:
        tell(f"What is finished in {out} is kept; the same command goes on from there.")
        raise
    kept = f" ({len(result.kept)} from earlier runs)" if result.kept else ""
    models = f"{len(result.scanned) + len(result.kept)} models{kept}"
    before = sum(title in result.failed for title in result.kept)  # which the same command does not try again
    again = f" (--retry-failed scans {'it' if before == 1 else f'{before:,} of them'} again)" if before else ""
    _tell(models, result, out, attempts, quiet=quiet, told=not quiet, again=again)
    attempts.conclude()
    _end(result, fail_on)


def _title(path: Path) -> str:
    """What the page of all models is called: as the list, or the run's directory."""
    return path.resolve().name if path.is_dir() else path.stem


def _pairs(
    path: Path,
    out: Path,
    base: str | None,
    config: AuditConfig,
    workers: int | None,
    threads: int | None,
    fail_on: FailOn,
    quiet: bool,
) -> None:
    from weightaudit.batches import read_model_list
    from weightaudit.batches.executors import make_pool
    from weightaudit.batches.pairs.run import run_pairs
    from weightaudit.report.atomic_write import Attempts

    entries = read_model_list(path, config)
    step(f"list {printable(str(path), 1000)}: {plural(len(entries), 'model')}")
    pool, threads = make_pool(len(entries) * (len(entries) - 1) // 2, workers=workers, scheduler=None, threads=threads)
    attempts = Attempts()
    result = run_pairs(
        entries,
        base,
        out,
        pool,
        threads=threads,
        title=_title(path),
        say=(lambda text: None) if quiet else tell,
        attempts=attempts,
        read=[] if path.is_dir() else [path],
    )
    if result.failed or not quiet:
        done = len(result.checked) + len(result.kept)
        tell(f"{plural(done, 'pair')} checked, {len(result.failed)} failed: {out / INDEX}")
    attempts.conclude()
    _end(result, fail_on)


def _merge(paths: list[Path], out: Path, fail_on: FailOn, quiet: bool) -> None:
    from weightaudit.batches import merge as merge_batches
    from weightaudit.report.atomic_write import Attempts

    attempts = Attempts()
    result = merge_batches(paths, out, attempts)
    for part in result.missing[:MOST_TOLD]:
        tell(f"note: shard {part} is not among them")
    if len(result.missing) > MOST_TOLD:
        tell(f"note: nor are {len(result.missing) - MOST_TOLD} more")
    for title in [] if quiet else result.same:
        tell(f"{printable(title)}: the same scan as another name's, counted once")
    _tell(f"{len(result.models)} models", result, out, attempts, quiet=quiet, told=False)
    attempts.conclude()
    _end(result, fail_on)


def _tell(
    models: str,
    result: BatchResult | MergeResult,
    out: Path,
    attempts: Attempts,
    *,
    quiet: bool,
    told: bool,
    again: str = "",
) -> None:
    """What a person wants to know at the end: the verdicts on stdout, how many models there are and where their page is
    on stderr; failures too unless they were ``told``. ``again`` says how what failed is tried anew.
    """
    from weightaudit.cli.batch_summary import verdict_table

    shown = [] if told else list(result.failed.items())
    for title, reason in shown[:MOST_TOLD]:
        tell(f"failed: {printable(title)}: {reason}")
    if len(shown) > MOST_TOLD:
        tell(f"and {len(shown) - MOST_TOLD} more")
    if not quiet and result.verdicts:
        with attempts:
            show_lines(verdict_table(result.verdicts, look_of(sys.stdout)))
    if result.failed or not quiet:
        tell(f"{models}, {len(result.failed)} failed{again}: {out / INDEX}")


def _end(result: BatchResult | MergeResult | PairsResult, fail_on: str) -> None:
    """Exit code 1 where some models failed, or findings are at or above ``fail_on``."""
    exit_on_findings(result.findings, fail_on)
    if result.failed:
        raise typer.Exit(1)
