"""σ₁ of the matrices of a layer: the engine against its peers, in one process, their runs interleaved.

    python -m benchmarks.engine [--layer gpt2-xl] [--profile heavy-tailed] [--repeats 5] [--skip PEER] [--no-memory]

Prints Markdown: how many times longer each peer takes than the engine (medians), how far its σ₁ is from the float64
truth, and what memory it takes beyond the matrix.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from benchmarks.engine_memory import extra_memory
from benchmarks.peers import ENGINE, METHODS, PEER_ERRORS, PEERS, Blocks, Method, engine, true_sigma
from benchmarks.shapes import LAYERS, PROFILES, WARM_UP, Shape, make
from benchmarks.tables import markdown, times
from benchmarks.threads import pin, settle
from weightaudit import measure
from weightaudit.config import DEFAULTS


@dataclass
class Result:
    """What the methods did with one matrix; a method that failed on it is in none of the fields."""

    shape: Shape
    seconds: dict[str, float] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    passes: int = 0
    width: float = 0.0


def race(blocks: Blocks, methods: dict[str, Method], repeats: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each run and σ₁ of each method, A B C A B C …; a method is out at its first failure."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    sigma: dict[str, float] = {}
    running = dict(methods)
    for _ in range(repeats):
        for name, method in list(running.items()):
            settle()
            start = time.perf_counter()
            try:
                value = method(blocks)
            except PEER_ERRORS as error:
                if name == ENGINE:
                    raise
                print(f"{name} failed: {error}", file=sys.stderr)
                del running[name]
                continue
            seconds[name].append(time.perf_counter() - start)
            sigma[name] = value
    return {name: seconds[name] for name in running}, {name: sigma[name] for name in running}


def run(shape: Shape, profile: str, options: argparse.Namespace, methods: dict[str, Method]) -> Result:
    """Time, accuracy and memory of every method on one matrix."""
    print(f"{profile} {shape.roles} {shape.rows}×{shape.cols} …", file=sys.stderr)
    dtype = getattr(torch, options.dtype)
    blocks, planted = make(shape, profile, dtype, options.seed)
    truth = true_sigma(blocks) if planted is None else planted
    seconds, sigma = race(blocks, methods, options.repeats)
    spectrum = measure(blocks, tol=options.tol, delta=options.delta)
    result = Result(shape, passes=spectrum.passes)
    result.width = (spectrum.spectral_norm_upper / spectrum.spectral_norm) ** 2 - 1.0
    result.seconds = {name: statistics.median(runs) for name, runs in seconds.items()}
    result.error = {name: abs(value / truth - 1.0) for name, value in sigma.items()}
    if options.memory:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "blocks.pt"
            torch.save(list(blocks), file)
            del blocks
            result.memory = {name: extra_memory(name, file, options.threads) for name in result.seconds}
    return result


def _ratio(own: float, seconds: float) -> str:
    return times(seconds / own)


def tables(results: list[Result], peers: list[str]) -> str:
    """The three tables of one layer and profile."""
    names = [ENGINE, *peers]
    speed, error, memory = [], [], []
    for result in results:
        label = [result.shape.roles, f"{result.shape.rows}×{result.shape.cols}"]
        own = result.seconds[ENGINE]
        ratios = [_cell(result.seconds.get(peer), partial(_ratio, own)) for peer in peers]
        speed.append([*label, f"{own * 1e3:.1f} ms", str(result.passes), f"{result.width:.1e}", *ratios])
        error.append([*label, *(_cell(result.error.get(name), lambda e: f"{e:.0e}") for name in names)])
        memory.append([*label, *(_cell(result.memory.get(name), lambda b: f"{b / 1e6:.0f} MB") for name in names)])
    speed.append(_total(results, peers))
    head = ["roles", "shape"]
    parts = [
        "Time: the engine's median, and each peer's as a multiple of it. The total counts Q, K, V and O each.\n",
        markdown([*head, ENGINE, "passes", "width of λ₁", *peers], speed),
        "\nRelative error of σ₁. The engine's is the distance of the certified lower end.\n",
        markdown([*head, *names], error),
    ]
    if any(result.memory for result in results):
        parts += ["\nPeak memory beyond the matrix itself.\n", markdown([*head, *names], memory)]
    return "\n".join(parts)


def _total(results: list[Result], peers: list[str]) -> list[str]:
    """The sum over the rows, each matrix as often as the layer has it; no total for a peer that failed on one."""

    def total(name: str) -> float | None:
        if any(name not in result.seconds for result in results):
            return None
        return sum(result.shape.count * result.seconds[name] for result in results)

    own = sum(result.shape.count * result.seconds[ENGINE] for result in results)
    ratios = [_cell(total(peer), lambda s: f"**{times(s / own)}**") for peer in peers]
    return ["**total**", "", f"{own * 1e3:.1f} ms", "", "", *ratios]


def _cell(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)


def main() -> None:
    parser = argparse.ArgumentParser(description="σ₁ of a layer's matrices: the engine against its peers.")
    parser.add_argument("--layer", choices=sorted(LAYERS), action="append", help="default: gpt2-xl and gpt-j")
    parser.add_argument("--profile", choices=PROFILES, action="append", help="default: both")
    parser.add_argument("--roles", action="append", help='only these rows, e.g. "M1" (default: all)')
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="as stored")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip", choices=sorted(PEERS), action="append", default=[], help="leave a peer out")
    parser.add_argument("--only", choices=sorted(PEERS), action="append", help="no other peers than these")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tol", type=float, default=DEFAULTS.tol)
    parser.add_argument("--delta", type=float, default=DEFAULTS.delta)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="measure no peak memory")
    options = parser.parse_args()

    pin(options.threads)
    warnings.filterwarnings("ignore", message="Exited", category=UserWarning)  # lobpcg, on its accuracy
    peers = [name for name in options.only or PEERS if name not in options.skip]
    methods: dict[str, Method] = {name: METHODS[name] for name in peers}
    methods = {ENGINE: partial(engine, tol=options.tol, delta=options.delta), **methods}
    # First calls compile and load; that is no part of any of these numbers.
    race(make(WARM_UP, "heavy-tailed", getattr(torch, options.dtype), 0)[0], methods, 1)
    print(f"{options.threads} threads, {options.dtype}, tol {options.tol:g}, delta {options.delta:g}, ", end="")
    print(f"medians of {options.repeats} interleaved runs, torch {torch.__version__}.")
    for layer in options.layer or ["gpt2-xl", "gpt-j"]:
        for profile in options.profile or PROFILES:
            shapes = [shape for shape in LAYERS[layer] if not options.roles or shape.roles in options.roles]
            if not shapes:
                parser.error(f"--roles takes {', '.join(repr(shape.roles) for shape in LAYERS[layer])}")
            print(f"\n## {layer}, {profile}\n", flush=True)
            print(tables([run(shape, profile, options, methods) for shape in shapes], peers), flush=True)


if __name__ == "__main__":
    main()
