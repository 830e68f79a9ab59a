"""``weightaudit advise MODEL|REPORT``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from weightaudit.cli import options
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import DEFAULTS, AuditConfig
from weightaudit.errors import UsageError
from weightaudit.model_files import ModelFiles
from weightaudit.options import Panel
from weightaudit.text import printable

if TYPE_CHECKING:
    from weightaudit.api import ScanReport

STDOUT = Path("-")
MEASURING = ("all", "spec", "spectrum", "tol", "seed")
"""Options that a report that was written does not have: what is measured, and how."""
INDEX = ".index.json"
"""How an index of a model's shards ends, which is no report."""
ADVICE: Panel = "Advice"
Source = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|REPORT",
        help="A scan's report as .json, or a model, which is scanned: a directory, weight file, Hugging Face id or "
        "address.",
        show_default=False,
    ),
]


def _file(flag: str, help: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        flag, metavar="FILE", rich_help_panel=options.OUTPUTS, help=f"{help}; - is stdout.", show_default=False
    )
    return option


Lora = Annotated[Path | None, _file("--lora", "Write ranks for LoRA, keywords of PEFT's LoraConfig as JSON")]
Train = Annotated[Path | None, _file("--train", "Write the modules to train, unfrozen_parameters of Axolotl as YAML")]
Mergekit = Annotated[
    Path | None, _file("--mergekit", "Write the same modules as a model's parameters in a mergekit configuration")
]
Compress = Annotated[
    Path | None,
    _file("--compress", "Write the ranks that hold 90, 95 and 99 % of each matrix's energy, as .csv or Markdown"),
]
By = Annotated[
    Literal["stable_rank", "entropy_effective_rank", "alpha"],
    typer.Option(
        "--by",
        metavar="stable_rank|entropy_effective_rank|alpha",
        rich_help_panel=ADVICE,
        help="What --lora, --train and --mergekit go by; the second needs --spectrum, the third whole spectra.",
    ),
]
Rank = Annotated[int, typer.Option("--rank", rich_help_panel=ADVICE, min=1, help="Mean rank of LoRA.")]
MinRank = Annotated[
    int | None,
    typer.Option("--min-rank", rich_help_panel=ADVICE, min=1, help="Least rank.", show_default="a quarter of --rank"),
]
MaxRank = Annotated[
    int | None,
    typer.Option("--max-rank", rich_help_panel=ADVICE, min=1, help="Largest rank.", show_default="four times --rank"),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        "--lora-alpha",
        rich_help_panel=ADVICE,
        help="LoRA's alpha at --rank; the scaling is the same at any.",
        show_default="--rank",
    ),
]
Share = Annotated[
    float, typer.Option("--share", rich_help_panel=ADVICE, help="Share of the modules of each kind to train.")
]
Take = Annotated[
    Literal["lowest", "highest"],
    typer.Option("--take", metavar="lowest|highest", rich_help_panel=ADVICE, help="Which end of --by is trained."),
]


@with_scan_options(
    only=(
        *("roles", *MEASURING, "device", "threads", "memory"),
        *("revision", "token", "offline", "download", "max_wait"),
    )
)
def advise(
    source: Source,
    *,
    lora: Lora = None,
    train: Train = None,
    mergekit: Mergekit = None,
    compress: Compress = None,
    by: By = "stable_rank",
    rank: Rank = 8,
    min_rank: MinRank = None,
    max_rank: MaxRank = None,
    lora_alpha: Alpha = None,
    share: Share = 0.25,
    take: Take = "lowest",
    config: AuditConfig,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Say what a scan is good for: ranks for LoRA, modules to train, ranks that compress.

    At least one of --lora, --train, --mergekit and --compress. A report that was written is read and nothing is
    measured; options of a scan are for a model, but for --roles.
    """
    wanted = {"lora": lora, "train": train, "mergekit": mergekit, "compress": compress}
    files = {kind: path for kind, path in wanted.items() if path is not None}
    from weightaudit.advice.lora import check_ranks
    from weightaudit.advice.modules import check_asked
    from weightaudit.advice.training import check_choice
    from weightaudit.report.atomic_write import Attempts, check_writable, replacing

    if not files:
        raise UsageError("advice", "none was asked for", "Name --lora, --train, --mergekit or --compress with a file")
    written = [os.path.realpath(path) for path in files.values() if path != STDOUT]
    if len(set(written)) < len(written):
        raise UsageError("advice", "two kinds of it go to one file", "Name a file for each")
    if lora is not None:
        check_ranks(rank, min_rank, max_rank, lora_alpha)
    if train is not None or mergekit is not None:
        check_choice(share, take)
    if _is_report(source):
        _check_unmeasured(source, config)
    elif set(files) != {"compress"}:
        check_asked(by, config.spectrum)
    models = ModelFiles.of([], read=[source]) if _is_report(source) else ModelFiles.of([source])
    for path in files.values():
        if path != STDOUT:
            check_writable(path, models)
    report = _report(source, config, quiet=quiet)

    def ranks() -> str:
        pattern = report.rank_pattern(
            r=rank, by=by, min_rank=min_rank, max_rank=max_rank, alpha=lora_alpha, roles=config.roles
        )
        for note in pattern.notes:
            tell(f"note: {note}")
        return pattern.to_json()

    def modules(form: str) -> str:
        unfrozen = report.unfrozen_parameters(by=by, share=share, take=take, roles=config.roles)
        return unfrozen.to_yaml() if form == "axolotl" else unfrozen.to_mergekit()

    def cuts() -> str:
        found = report.compressibility(config.roles)
        return found.to_csv() if compress is not None and compress.suffix.lower() == ".csv" else found.to_markdown()

    make: dict[str, Callable[[], str]] = {
        "lora": ranks,
        "train": lambda: modules("axolotl"),
        "mergekit": lambda: modules("mergekit"),
        "compress": cuts,
    }
    attempts = Attempts()
    for kind, path in files.items():
        with attempts:
            text = make[kind]()
            if path == STDOUT:
                print(text, end="")
                continue
            with replacing(path, models, follow=True) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
            if not quiet:
                tell(f"wrote {path}")
    attempts.conclude()


def _check_unmeasured(source: str, config: AuditConfig) -> None:
    """UsageError where a number is asked for that only a scan can measure."""
    for name in MEASURING:
        if getattr(config, name) != getattr(DEFAULTS, name):
            cause = "a report is read, and nothing is measured"
            raise UsageError(
                f"--{name} of {printable(source)}", cause, "Scan the model with it, or name the model here"
            )


def _is_report(source: str) -> bool:
    """Whether it is called like a report: no address, and no index of shards."""
    name = source.lower()
    return name.endswith(".json") and not name.endswith(INDEX) and "://" not in name


def _report(source: str, config: AuditConfig, *, quiet: bool) -> ScanReport:
    """The report of that name, or of a scan of the model."""
    from weightaudit.api import ScanReport, load, scan

    if not _is_report(source):
        return scan(source, progress=not quiet, config=config)
    found = load(source)
    if not isinstance(found, ScanReport):
        raise UsageError(source, "it is no report of a scan", "Name one that `weightaudit scan --json` wrote")
    return found
