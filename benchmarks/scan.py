"""A whole scan against the floor and against WeightWatcher, each as a process of its own, their runs interleaved.

    python -m benchmarks.scan DIR [--repeats 3] [--threads N] [--before CHECKOUT] [--weightwatcher-python PATH]

CHECKOUT is a working tree of an earlier commit, whose scans take turns with this one's. Prints Markdown: wall time, CPU
time and peak memory of each process, their ratios, whether the memory goal holds, and, where DIR has a planted.json,
how many of the certified intervals hold the true σ₁.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.headers import stored_tensors
from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown, times

SCAN, FLOOR, TORCH, WEIGHTWATCHER = "weightaudit scan", "floor", "import torch", "WeightWatcher"
ALONE, BEFORE, BEFORE_ALONE = f"{SCAN}, 1 thread", "before", "before, 1 thread"
MB = 1e6


def commands(
    directory: Path, csv_file: Path, threads: int, weightwatcher: str | None, before: Path | None
) -> dict[str, list[str]]:
    """The processes to compare, in the order in which they take turns."""
    python, model, n = sys.executable, str(directory), str(threads)

    def scan(threads: int, checkout: Path | None = None) -> list[str]:
        found = "" if checkout is None else f"sys.path.insert(0, {str(checkout.resolve())!r}); "
        code = f"import sys; {found}from weightaudit.cli import main; sys.exit(main())"
        csv = csv_file if checkout is None else csv_file.with_name("before.csv")
        return [python, "-c", code, "scan", model, "--csv", str(csv), "--quiet", "--threads", str(threads)]

    found = {
        TORCH: [python, "-c", "import torch"],
        FLOOR: [python, "-m", "benchmarks.floor", model, "--threads", n],
        SCAN: scan(threads),
        ALONE: scan(1),
    }
    if before:
        found |= {BEFORE: scan(threads, before), BEFORE_ALONE: scan(1, before)}
    if weightwatcher:
        found[WEIGHTWATCHER] = [weightwatcher, str(Path(__file__).with_name("weightwatcher_run.py")), model, n]
    return found


def race(found: dict[str, list[str]], repeats: int, weightwatcher_repeats: int, threads: int) -> dict[str, list[Usage]]:
    """Runs of each process, in turn; the first ones warm the page cache and compile modules and are not counted."""
    env = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    runs: dict[str, list[Usage]] = {name: [] for name in found}
    with tempfile.TemporaryDirectory() as bytecode:
        # An installed package is compiled, a working tree need not be, and the environment may forbid it.
        env |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
        for name in (FLOOR, SCAN, *([BEFORE] if BEFORE in found else [])):
            usage(found[name], env)
        for turn in range(repeats):
            for name, command in found.items():
                if name != WEIGHTWATCHER or turn < weightwatcher_repeats:
                    print(f"{turn + 1}/{repeats} {name} …", file=sys.stderr)
                    runs[name].append(usage(command, env))
    return runs


def report(runs: dict[str, list[Usage]], directory: Path) -> str:
    """Medians, ratios and the memory goal."""
    wall = {name: statistics.median(run.wall for run in runs[name]) for name in runs}
    peak = {name: max(run.peak for run in runs[name]) for name in runs}
    rows = [
        [
            name,
            str(len(runs[name])),
            f"{wall[name]:.2f} s",
            f"{statistics.median(run.cpu for run in runs[name]):.2f} s",
            f"{peak[name] / MB:.0f} MB",
            times(wall[name] / wall[SCAN]),
        ]
        for name in runs
    ]
    table = markdown(["process", "runs", "wall", "CPU", "peak memory", f"wall / {SCAN}"], rows)
    inside = statistics.median(json.loads(run.stdout)["seconds"] for run in runs[FLOOR])
    beyond = wall[SCAN] - wall[TORCH]
    lines = [
        table,
        "",
        f"- Scan / floor: {times(wall[SCAN] / wall[FLOOR])} as whole processes. Beyond `import torch` the scan took "
        f"{beyond:.2f} s, {times(beyond / inside)} the floor's own pass ({inside:.2f} s).",
        f"- One thread / all: {times(wall[ALONE] / wall[SCAN])}.",
    ]
    if BEFORE in runs:
        lines.append(f"- Before / scan: {times(wall[BEFORE] / wall[SCAN])}.")
    if WEIGHTWATCHER in runs:
        lines.append(f"- WeightWatcher / scan: {times(wall[WEIGHTWATCHER] / wall[SCAN])}.")
    return "\n".join([*lines, memory_goal(peak, directory)])


def memory_goal(peak: dict[str, int], directory: Path) -> str:
    """Peak ≤ interpreter with torch + 2.5 × the largest stored tensor + 200 MB."""
    every = [tensor for tensors in stored_tensors(directory).values() for tensor in tensors]
    largest = max(every, key=lambda tensor: tensor.nbytes)
    goal = peak[TORCH] + 2.5 * largest.nbytes + 200 * MB
    verdict = "holds" if peak[SCAN] <= goal else "is missed"
    return (
        f"- Memory goal: {peak[TORCH] / MB:.0f} MB (torch) + 2.5 × {largest.nbytes / MB:.0f} MB ({largest.name}) "
        f"+ 200 MB = {goal / MB:.0f} MB; the scan peaked at {peak[SCAN] / MB:.0f} MB: it {verdict}."
    )


def planted_held(csv_file: Path, planted_file: Path) -> str:
    """How many rows of the scan hold the σ₁ that `benchmarks.checkpoints` planted."""
    truth = {
        (record["layer"], record["role"]): record["sigma_max"]
        for record in json.loads(planted_file.read_text(encoding="utf-8"))["matrices"]
        if record["sigma_max"] is not None
    }
    held = rows = 0
    with csv_file.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sigma = truth.get((int(row["layer"]) if row["layer"] else None, row["role"]))
            if sigma is not None:
                # Rounding the matrix to its stored dtype has moved σ₁ by a little.
                slack = 1e-6 if row["dtype"] == "float32" else 1e-3
                low, high = float(row["spectral_norm"]), float(row["spectral_norm_upper"])
                held += low * (1 - slack) <= sigma <= high * (1 + slack)
                rows += 1
    return f"- {held} of {rows} certified intervals hold the planted σ₁ (up to the rounding of the stored dtype)."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A whole scan against the floor and WeightWatcher.")
    parser.add_argument("directory", type=Path, help="a checkpoint, e.g. from benchmarks.checkpoints")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="working tree of an earlier commit")
    parser.add_argument("--weightwatcher-python", metavar="PATH", help="interpreter that has WeightWatcher")
    parser.add_argument("--weightwatcher-repeats", type=int, default=1, help="it is slow (default: 1)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        csv_file = Path(scratch) / "layers.csv"
        found = commands(options.directory, csv_file, options.threads, options.weightwatcher_python, options.before)
        runs = race(found, options.repeats, options.weightwatcher_repeats, options.threads)
        nbytes = json.loads(runs[FLOOR][0].stdout)["bytes"]
        print(
            f"{options.directory.name}: {nbytes / MB:,.0f} MB, {options.threads} threads, interleaved runs, medians.\n"
        )
        print(report(runs, options.directory))
        planted = options.directory / "planted.json"
        if planted.exists():
            print(planted_held(csv_file, planted))
    if not options.weightwatcher_python:
        print("- WeightWatcher was left out: give --weightwatcher-python (see benchmarks/README.md).")


if __name__ == "__main__":
    main()
