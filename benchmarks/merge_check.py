"""A merge check of several models with a base beside the scans of them all, and the merge itself, each as a process of
its own, their runs interleaved.

    python -m benchmarks.merge_check BASE FOLDER [--models 4] [--repeats 3] [--threads N]

The models are made of BASE in FOLDER where they are not there (`benchmarks.diff_models`), each with changes of its own.
Prints Markdown: medians of wall and CPU time, peak memory, and the ratio to the scans; and of the merge its peak memory
over the largest tensor of all models together.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.diff_models import derive
from benchmarks.headers import stored_tensors
from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown, times

IMPORTS, SCANS, CHECK, MERGE = "import weightaudit.spectral", "the scans of all", "merge-check", "merge"
MB = 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A merge check beside the scans of all models.")
    parser.add_argument("base", type=Path, help="a float32 checkpoint, e.g. from benchmarks.checkpoints")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    models = [options.folder / f"tuned-{i}" for i in range(options.models)]
    for i, model in enumerate(models):
        if not model.exists():
            derive(options.base, model, seed=i + 1)
    merged = options.folder / "merged"
    called = [sys.executable, "-c", "import sys; from weightaudit.cli import main; sys.exit(main())"]
    told = ["--quiet", "--threads", str(options.threads), "--fail-on", "never"]
    named = [str(model) for model in models]
    check = [*called, "merge-check", *named, "--base", str(options.base), *told]
    merge = [*called, "merge", *named, "--base", str(options.base), "--quiet", "--out", str(merged)]
    runs: dict[str, list[Usage]] = {name: [] for name in (IMPORTS, SCANS, CHECK, MERGE)}
    for turn in range(options.repeats + 1):
        shutil.rmtree(merged, ignore_errors=True)
        found = {
            IMPORTS: [usage([sys.executable, "-c", "import weightaudit.spectral.measurement"])],
            SCANS: [usage([*called, "scan", model, *told]) for model in (str(options.base), *named)],
            CHECK: [usage(check)],
            MERGE: [usage(merge)],
        }
        if turn:  # the first fills the page cache
            for name, some in found.items():
                runs[name].append(_together(some))
    shutil.rmtree(merged, ignore_errors=True)
    print(report(runs, [options.base, *models]))


def _together(some: Sequence[Usage]) -> Usage:
    """One after the other."""
    return Usage(sum(one.wall for one in some), sum(one.cpu for one in some), max(one.peak for one in some), "")


def report(runs: dict[str, list[Usage]], models: Sequence[Path]) -> str:
    """Medians and ratios."""
    wall, cpu = (
        {name: statistics.median(getattr(run, what) for run in runs[name]) for name in runs} for what in ("wall", "cpu")
    )
    peak = {name: max(run.peak for run in runs[name]) for name in runs}
    rows = [
        [
            name,
            f"{wall[name]:.2f} s",
            f"{cpu[name]:.2f} s",
            f"{peak[name] / MB:.0f} MB",
            times(wall[name] / wall[SCANS]),
        ]
        for name in runs
    ]
    sizes = [[tensor.nbytes for each in stored_tensors(model).values() for tensor in each] for model in models]
    largest, whole = sum(map(max, sizes)), sum(map(sum, sizes))
    return "\n".join(
        [
            markdown(["process", "wall", "CPU", "peak memory", f"wall / {SCANS}"], rows),
            "",
            f"- {len(models)} models with the base, {whole / MB:.0f} MB; the largest tensor of each together "
            f"{largest / MB:.0f} MB.",
            f"- The merge took {(peak[MERGE] - peak[IMPORTS]) / largest:.2f} times that beyond the imports.",
        ]
    )


if __name__ == "__main__":
    main()
