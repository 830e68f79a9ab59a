"""A whole diff beside a scan of one of its models, each as a process of its own, their runs interleaved.

    python -m benchmarks.diff_models BASE DERIVED [--repeats 3] [--threads N]

DERIVED is made of BASE where it is not there: of each matrix 0.4 % changed, as fine-tuning does it, in directions whose
singular values fall as 1/i, with a fourth of that in all directions beside; vectors by 0.01 %. Prints Markdown: medians
of wall and CPU time, peak memory, the ratios, and the memory goal.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.headers import stored_tensors
from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown, times
from weightaudit.arrays import Array

SCAN, DIFF, IMPORTS = "weightaudit scan", "weightaudit diff", "import weightaudit.spectral"
MB = 1e6
RELATIVE, DIRECTIONS, BESIDE = 4e-3, 32, 0.5
"""‖Δ‖/‖W₀‖ of the leading part, how many directions it has, and the size of the rest over its own."""
ROWS = 512
"""Rows that are changed at once."""


def derive(base: Path, derived: Path, *, seed: int = 1) -> None:
    """A copy of the float32 safetensors files of ``base`` with every tensor changed."""
    derived.mkdir(parents=True)
    for file in base.iterdir():
        shutil.copy(file, derived / file.name)
    draw = np.random.default_rng(seed)
    for file, tensors in stored_tensors(derived).items():
        for tensor in tensors:
            stored = np.memmap(derived / file, np.float32, "r+", offset=tensor.offset, shape=tensor.shape)
            if stored.ndim == 2:
                _fine_tuned(stored, draw)
            else:
                stored *= np.float32(1.0001)
            stored.flush()


def _fine_tuned(W: Array, draw: np.random.Generator) -> None:
    rows, cols = W.shape
    size = RELATIVE * float(np.sqrt(np.square(W[:ROWS], dtype=np.float64).mean() * W.size))
    left, right = (draw.standard_normal((n, DIRECTIONS), np.float32) / np.sqrt(np.float32(n)) for n in (rows, cols))
    left *= size / np.arange(1, DIRECTIONS + 1, dtype=np.float32)
    for top in range(0, rows, ROWS):
        some = W[top : top + ROWS]
        noise = draw.standard_normal(some.shape, np.float32)
        some += left[top : top + ROWS] @ right.T + noise * np.float32(BESIDE * size / np.sqrt(W.size))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A whole diff beside a scan of one of its models.")
    parser.add_argument("base", type=Path, help="a float32 checkpoint, e.g. from benchmarks.checkpoints")
    parser.add_argument("derived", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    if not options.derived.exists():
        derive(options.base, options.derived)
    called = [sys.executable, "-c", "import sys; from weightaudit.cli import main; sys.exit(main())"]
    told = ["--quiet", "--threads", str(options.threads)]
    found = {
        IMPORTS: [sys.executable, "-c", "import weightaudit.spectral.measurement"],
        SCAN: [*called, "scan", str(options.base), *told, "--fail-on", "never"],
        DIFF: [*called, "diff", str(options.base), str(options.derived), *told, "--fail-on", "never"],
    }
    runs: dict[str, list[Usage]] = {name: [] for name in found}
    for turn in range(options.repeats + 1):
        for name, command in found.items():
            one = usage(command)
            if turn:  # the first fills the page cache
                runs[name].append(one)
    print(report(runs, options.base, options.derived))


def report(runs: dict[str, list[Usage]], base: Path, derived: Path) -> str:
    """Medians, ratios and the memory goal: the imports, five times the largest tensor and 200 MB."""
    wall, cpu = (
        {name: statistics.median(getattr(run, what) for run in runs[name]) for name in runs} for what in ("wall", "cpu")
    )
    peak = {name: max(run.peak for run in runs[name]) for name in runs}
    rows = [
        [name, f"{wall[name]:.2f} s", f"{cpu[name]:.2f} s", f"{peak[name] / MB:.0f} MB", times(wall[name] / wall[SCAN])]
        for name in runs
    ]
    largest = max(
        tensor.nbytes for model in (base, derived) for each in stored_tensors(model).values() for tensor in each
    )
    goal = peak[IMPORTS] + 5 * largest + 200 * MB
    said = "holds" if peak[DIFF] <= goal else "is missed"
    return "\n".join(
        [
            markdown(["process", "wall", "CPU", "peak memory", f"wall / {SCAN}"], rows),
            "",
            f"- CPU, diff / scan: {times(cpu[DIFF] / cpu[SCAN])}.",
            f"- Memory goal: {goal / MB:.0f} MB {said}: the diff peaked at {peak[DIFF] / MB:.0f} MB.",
        ]
    )


if __name__ == "__main__":
    main()
