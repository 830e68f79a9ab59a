"""A batch against itself: two workers against one, on equal models and on a single large one; what a model costs beyond
its own scan; thousands of models with faked results.

    python -m benchmarks.batch DIR [--models 12] [--repeats 3] [--tiny 200] [--faked 5000]

DIR is a checkpoint (from benchmarks.checkpoints gpt2). Prints Markdown. Every run is a process of its own, runs
interleaved, medians. Linux.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown, times

BATCH = [sys.executable, "-m", "weightaudit", "batch"]
ROOT = Path(__file__).parent.parent

# What is asked for in each way of running: the first of each list is the "one" of the goals.
EQUAL = {
    "1 worker, 1 thread": ["--workers", "1", "--threads", "1"],
    "1 worker, all cores": ["--workers", "1"],
    "2 workers": ["--workers", "2"],
}
SINGLE = {"1 worker": ["--workers", "1"], "2 workers": ["--workers", "2"]}
GOAL_EQUAL, GOAL_OVERHEAD = 1.6, 0.2


def linked(model: Path, count: int, scratch: Path) -> Path:
    """A list of ``count`` names for one checkpoint, whose bytes are then in the page cache for every run alike."""
    folder = scratch / "models"
    folder.mkdir(exist_ok=True)
    names = [folder / f"{model.name}-{i:04}" for i in range(count)]
    for name in names:
        if not name.is_symlink():
            name.symlink_to(model.resolve())
    path = scratch / f"{model.name}-{count}.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def run(models: Path, options: Sequence[str], scratch: Path) -> tuple[Usage, float]:
    """One batch into a fresh directory; its usage, and the seconds of its scans by their logs, added up."""
    out = scratch / "out"
    took = usage([*BATCH, str(models), "--out", str(out), "--quiet", *options])
    logs = [path.read_text() for path in out.glob("*/log.txt")]
    scans = sum(float(found[1]) for log in logs if (found := re.search(r"scanned in ([\d.]+) s", log)))
    shutil.rmtree(out)
    return took, scans


def race(models: Path, ways: dict[str, list[str]], repeats: int, scratch: Path) -> dict[str, list[Usage]]:
    """Runs of each way, in turn; the first of all warms the page cache and is not counted."""
    run(models, next(iter(ways.values())), scratch)
    runs: dict[str, list[Usage]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name, options in ways.items():
            print(f"{turn + 1}/{repeats} {models.stem}, {name} …", file=sys.stderr)
            runs[name].append(run(models, options, scratch)[0])
    return runs


def table(runs: dict[str, list[Usage]]) -> str:
    """Medians; the last way's against each other's."""
    wall = {name: statistics.median(one.wall for one in several) for name, several in runs.items()}
    last = list(wall)[-1]
    rows = [
        [
            name,
            f"{wall[name]:.2f} s",
            f"{statistics.median(one.cpu for one in runs[name]):.2f} s",
            times(wall[name] / wall[last]),
        ]
        for name in runs
    ]
    return markdown(["way", "wall", "CPU", f"wall / {last}"], rows)


def tiny_model(scratch: Path) -> Path:
    """A checkpoint whose scan takes some milliseconds."""
    model = scratch / "tiny"
    code = (
        "import sys; from pathlib import Path; from tests.support.models import tiny_model; "
        "tiny_model('gpt2', Path(sys.argv[1]))"
    )
    words = [sys.executable, "-c", code]
    subprocess.run([*words, str(model)], cwd=ROOT, check=True, capture_output=True)
    return model


def overhead(model: Path, count: int, repeats: int, scratch: Path) -> str:
    """Seconds that one more model costs beyond its own scan: the slope between two lengths of list, less the scans."""
    few, many = linked(model, count // 10, scratch), linked(model, count, scratch)
    one = ["--workers", "1", "--threads", "1"]
    run(few, one, scratch)
    slopes, scans = [], []
    for turn in range(repeats):
        print(f"{turn + 1}/{repeats} overhead …", file=sys.stderr)
        (short, short_scans), (long, long_scans) = run(few, one, scratch), run(many, one, scratch)
        more = count - count // 10
        scan = (long_scans - short_scans) / more
        slopes.append((long.wall - short.wall) / more - scan)
        scans.append(scan)
    cost = statistics.median(slopes)
    verdict = "holds" if cost <= GOAL_OVERHEAD else "is missed"
    return (
        f"- One more model costs {cost:.3f} s beyond its scan ({statistics.median(scans):.3f} s), its report and files "
        f"included; {count} tiny models against {count // 10}. The goal of {GOAL_OVERHEAD} s {verdict}."
    )


def faked(model: Path, count: int, scratch: Path) -> str:
    """A run of ``count`` models with faked results, resumed once."""
    models = linked(model, 1, scratch)
    subprocess.run([*BATCH, str(models), "--out", str(scratch / "one"), "--quiet", "--workers", "0"], check=True)
    (template,) = (path.parent for path in (scratch / "one").glob("*/outcome.json"))
    words = [sys.executable, "-m", "tests.batches.faked", str(count), str(template), str(scratch / "faked")]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    said = json.loads(done.stdout)
    rows = sum(1 for _ in (template / "layers.csv").open()) - 1
    return (
        f"- {count} models of {rows} rows with faked results: {said['run']:.1f} s for the run, of which "
        f"{said['join']:.1f} s for the joined files; peak {said['peak'] / 1e6:.0f} MB."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Two workers against one, and what a model costs beyond its scan.")
    parser.add_argument("directory", type=Path, help="a checkpoint, e.g. from benchmarks.checkpoints gpt2")
    parser.add_argument("--models", type=int, default=12, help="equal models in the list (default: 12)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", type=int, default=200, help="tiny models for the overhead (default: 200)")
    parser.add_argument("--faked", type=int, default=5000, help="models with faked results (default: 5000)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory.resolve().parent) as folder:
        scratch = Path(folder)
        equal = race(linked(options.directory, options.models, scratch), EQUAL, options.repeats, scratch)
        print(f"{options.models} × {options.directory.name}:\n\n{table(equal)}\n")
        wall = {name: statistics.median(one.wall for one in runs) for name, runs in equal.items()}
        gain = wall["1 worker, 1 thread"] / wall["2 workers"]
        verdict = "holds" if gain >= GOAL_EQUAL else "is missed"
        print(f"- Two workers: {times(gain)} one of one thread each; the goal of {GOAL_EQUAL}× {verdict}.\n")
        single = race(linked(options.directory, 1, scratch), SINGLE, options.repeats, scratch)
        print(f"{options.directory.name} alone:\n\n{table(single)}\n")
        print(overhead(tiny_model(scratch), options.tiny, options.repeats, scratch))
        print(faked(options.directory, options.faked, scratch))


if __name__ == "__main__":
    main()
