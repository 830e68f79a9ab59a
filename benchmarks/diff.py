"""What the kernels over two matrices cost, on one thread, in turns with what they are measured by.

    python -m benchmarks.diff [--layer gpt2-xl] [--repeats 5] [--change 1e-2]

Prints Markdown: the pass over the entries of both beside a bare read of their bytes, from memory (a sum over float32
numbers) and from files in the page cache, and `measure` of the difference beside `measure` of the second matrix.
Ratios are of CPU time, the least of the runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.shapes import LAYERS, Shape, make
from benchmarks.tables import markdown, times
from benchmarks.threads import pin
from weightaudit import measure
from weightaudit.arrays import Array, as_array
from weightaudit.spectral import Difference, ThreadTeam
from weightaudit.spectral.entry_changes import entry_changes

HEAD = (
    *("roles", "shape", "dtypes", "entries", "of a sum", "of reading files"),
    *("W₁, passes", "Δ, passes", "Δ of W₁", "a pass of Δ of W₁"),
)
PAIRS = (("float32", "float32"), ("bfloat16", "bfloat16"), ("float32", "bfloat16"))
READ = 1 << 22
"""Bytes read at once."""


def pair(shape: Shape, dtypes: tuple[str, str], change: float, seed: int = 0) -> tuple[Array, Array]:
    """A matrix with planted singular values, and the same with ``change`` times another such, so stored."""
    base, other = (torch.cat(make(shape, "heavy-tailed", torch.float32, one)[0]) for one in (seed, seed + 1))
    derived = base + change * other
    made = (one.to(getattr(torch, dtype)) for one, dtype in zip((base, derived), dtypes, strict=True))
    return as_array(next(made)), as_array(next(made))


def summed(arrays: tuple[Array, ...]) -> None:
    for array in arrays:
        array.reshape(-1).view(np.float32).sum()


def read(files: list[Path]) -> None:
    buffer = memoryview(bytearray(READ))
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def row(shape: Shape, dtypes: tuple[str, str], change: float, repeats: int, folder: Path) -> list[str]:
    print(f"{shape.roles} {'-'.join(dtypes)} …", file=sys.stderr)
    base, derived = pair(shape, dtypes, change)
    files = [folder / "base", folder / "derived"]
    for file, array in zip(files, (base, derived), strict=True):
        array.tofile(file)
    alone = ThreadTeam(0)
    calls: dict[str, Callable[[], object]] = {
        "entries": lambda: entry_changes(base, derived, team=alone),
        "sum": lambda: summed((base, derived)),
        "read": lambda: read(files),
        "derived": lambda: measure(derived, team=alone, name="W"),
        "difference": lambda: measure(Difference(derived, base), team=alone, name="W"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):  # the first loads, or compiles, the kernels
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name] += [time.process_time() - start] if turn else []
    took = {name: min(runs) for name, runs in seconds.items()}
    passes = [measure(one, team=alone, name="W").passes for one in (derived, Difference(derived, base))]
    ratio = took["difference"] / took["derived"]
    return [
        shape.roles,
        f"{shape.rows}×{shape.cols}",
        " → ".join(dtypes),
        f"{took['entries'] / base.size * 1e9:.2f} ns",
        times(took["entries"] / took["sum"]),
        times(took["entries"] / took["read"]),
        *map(str, passes),
        times(ratio),
        times(ratio * passes[0] / passes[1]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", choices=sorted(LAYERS), default="gpt2-xl")
    parser.add_argument("--change", type=float, default=1e-2, help="relative size of the change")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    pin(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row(shape, dtypes, options.change, options.repeats, Path(folder))
            for dtypes in PAIRS
            for shape in LAYERS[options.layer]
        ]
    print(markdown(HEAD, rows))


if __name__ == "__main__":
    main()
