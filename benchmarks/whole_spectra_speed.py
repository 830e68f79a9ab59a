"""The two largest matrices of a GPT-2 layout by ``--spectrum full`` and by WeightWatcher: processes, in turns.

    python -m benchmarks.checkpoints gpt2-xl DIR --layers 1
    python -m benchmarks.whole_spectra_speed DIR --peer-python PATH [--repeats 3] [--threads 2]

Word embedding and the first layer's M1: 50257×1600 and 6400×1600, float32, a Gaussian bulk with a power law above it.
Ours finds all singular values twice (of the entries in random order, too), fits, resamples 100 times for α's interval
and 100 times for its p-value. WeightWatcher decomposes each matrix once and fits; with ``randomize`` it decomposes the
entries in random order as well, which is the like of ours. Prints Markdown: medians of wall time and CPU time, the
highest peak, and their ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown, times

OURS, THEIRS, ALIKE = "weightaudit scan --spectrum full", "WeightWatcher", "WeightWatcher, randomize=True"
NAMES = ("wte.weight", "h.0.mlp.c_fc.weight")
MB = 1e6


def commands(directory: Path, folder: Path, peer: str, threads: int) -> dict[str, list[str]]:
    """The processes, in the order in which they take turns."""
    scan = "import sys; from weightaudit.cli import main; sys.exit(main())"
    file = str(directory / "model.safetensors")
    script = str(Path(__file__).with_name("weightwatcher_spectra.py"))
    theirs = ("--only-weightwatcher", "--names", *NAMES)
    return {
        OURS: [
            *(sys.executable, "-c", scan, "scan", str(directory), "--spectrum", "full", "--roles", "EMBED,M1"),
            *("--out", str(folder / "ours.json"), "--quiet", "--threads", str(threads)),
        ],
        THEIRS: [peer, script, file, str(folder / "theirs.json"), *theirs],
        ALIKE: [peer, script, file, str(folder / "alike.json"), "--randomize", *theirs],
    }


def report(runs: dict[str, list[Usage]]) -> str:
    """Medians, the highest peaks, and the ratios of theirs to ours."""
    wall, cpu = (
        {name: statistics.median(getattr(run, of) for run in some) for name, some in runs.items()}
        for of in ("wall", "cpu")
    )
    peak = {name: max(run.peak for run in some) for name, some in runs.items()}
    rows = [[name, f"{wall[name]:.1f}", f"{cpu[name]:.1f}", f"{peak[name] / MB:,.0f}"] for name in runs]
    ratios = [
        [f"{name} over ours", *(times(of[name] / of[OURS]) for of in (wall, cpu, peak))] for name in (THEIRS, ALIKE)
    ]
    return markdown(("process", "wall s", "CPU s", "peak MB"), [*rows, *ratios])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--peer-python", required=True, help="an interpreter that has weightwatcher")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    env = {name: str(asked.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        found = commands(asked.directory, Path(folder), asked.peer_python, asked.threads)
        runs: dict[str, list[Usage]] = {name: [] for name in found}
        for turn in range(asked.repeats):
            for name, command in found.items():
                runs[name].append(usage(command, env))
                last = runs[name][-1]
                print(
                    f"{turn + 1} {name}: {last.wall:.1f} s, CPU {last.cpu:.1f} s, {last.peak / MB:,.0f} MB",
                    file=sys.stderr,
                )
    print(report(runs))


if __name__ == "__main__":
    main()
