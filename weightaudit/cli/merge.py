"""``weightaudit merge A B [C …] --out DIR``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from weightaudit.cli import options
from weightaudit.cli.directories import no_file
from weightaudit.cli.scan_options import with_scan_options
from weightaudit.cli.terminal import tell
from weightaudit.config import OF_A_SUM, AuditConfig
from weightaudit.merging.asked import weights_asked
from weightaudit.text import listed, plural

Directory = Annotated[
    Path,
    typer.Option(
        "--out",
        callback=no_file,
        rich_help_panel=options.OUTPUTS,
        help="Folder for the merge, not there yet.",
        show_default=False,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        metavar="float32|bfloat16|float16|float64",
        rich_help_panel=options.OUTPUTS,
        help="What floats are stored as.",
        show_default="as in the base",
    ),
]
ShardSize = Annotated[
    str,
    typer.Option("--shard-size", metavar="SIZE", rich_help_panel=options.OUTPUTS, help="Bytes of a file, at most."),
]


@with_scan_options(only=OF_A_SUM)
def merge(
    models: options.Models,
    *,
    out: Directory,
    base: options.MergeBase = None,
    weights: options.Weights = None,
    dtype: Dtype = None,
    shard_size: ShardSize = "5GB",
    config: AuditConfig,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Add up what models changed of their base, or their weights as they are, and write the sum as a model.

    Tensor by tensor, in float64, rounded as torch rounds; the folder is there when it is whole. merge-check says
    beforehand which model would suffer.
    """
    weights_asked(len(models), weights)

    from weightaudit.api import merge as merge_models

    asked = {name: value for name, value in asdict(config).items() if name in OF_A_SUM}
    made = merge_models(
        models, out, base=base, weights=weights, dtype=dtype, shard_size=shard_size, progress=not quiet, **asked
    )
    for note in made.notes:
        tell(f"note: {note}")
    if not quiet:
        tell(f"wrote {made.folder}: {plural(made.tensors, 'tensor')} in {plural(len(made.files), 'file')}")
        if made.copied:
            tell(f"copied beside them: {listed(made.copied, 20)}")
