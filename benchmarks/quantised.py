"""What a scan of quantised weights costs beside one of the same weights in bfloat16, in turns.

    python -m benchmarks.quantised [--formats fp8,gptq,nf4,q4_k] [--layers 8] [--repeats 3] [--folder DIR]
    python -m benchmarks.quantised --deepseek DIR

Prints Markdown. The second measures one scan of three layers of DeepSeek-V3's shapes in FP8, written to DIR (16 GB)
where it is not there yet.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown, times

HEAD = ("format", "quantised", "bfloat16", "wall", "CPU time", "peak, quantised", "peak, bfloat16")
SLICE = ("DeepSeek-V3, 3 layers", "wall", "CPU time", "of the file", "peak")


def scan(model: Path, csv: Path) -> Usage:
    """One scan of ``model`` as a process of its own."""
    main = "import sys; from weightaudit.cli import main; sys.exit(main())"
    return usage([sys.executable, "-c", main, "scan", str(model), "--csv", str(csv), "--quiet"])


def race(format: str, folder: Path, layers: int, repeats: int) -> list[str]:
    """A row of the table: medians of scans in turns; the first of each warms the page cache and is not counted."""
    # Written by a process of its own: a child's peak starts at what its parent had resident.
    usage([sys.executable, "-m", "benchmarks.quantised_models", format, str(folder), str(layers)])
    models = (folder / format, folder / f"{format}-bfloat16")
    runs: dict[Path, list[Usage]] = {model: [] for model in models}
    for turn in range(repeats + 1):
        for model in models:
            print(f"{format}: {turn}/{repeats} {model.name} …", file=sys.stderr)
            done = scan(model, folder / "layers.csv")
            runs[model] += [done] if turn else []
    walls = [statistics.median(run.wall for run in runs[model]) for model in models]
    cpus = [statistics.median(run.cpu for run in runs[model]) for model in models]
    peaks = [max(run.peak for run in runs[model]) for model in models]
    return [
        format,
        *(f"{wall:.2f} s" for wall in walls),
        *(times(one / other) for one, other in (walls, cpus)),
        *(f"{peak / 1e6:.0f} MB" for peak in peaks),
    ]


def deepseek(folder: Path, csv: Path) -> list[str]:
    """A row for the slice of DeepSeek-V3 in ``folder``, written there first where it is not."""
    if not (folder / "config.json").exists():
        usage([sys.executable, "-m", "benchmarks.quantised_models", "deepseek", str(folder)])
    done = scan(folder, csv)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return [
        f"{size / 1e9:.1f} GB",
        f"{done.wall:.0f} s",
        f"{done.cpu:.0f} s",
        f"{size / done.wall / 1e6:.0f} MB/s",
        f"{done.peak / 1e9:.2f} GB",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", default="fp8,gptq,nf4,q4_k")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the models are written; a temporary folder without it")
    parser.add_argument("--deepseek", type=Path, help="scan the slice of DeepSeek-V3 in this folder, and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.deepseek:
            print(markdown(SLICE, [deepseek(options.deepseek, Path(temporary) / "layers.csv")]))
            return
        folder = options.folder or Path(temporary)
        rows = [race(one, folder, options.layers, options.repeats) for one in options.formats.split(",")]
        print(markdown(HEAD, rows))


if __name__ == "__main__":
    main()
