"""A scan streamed over a slow network against the same scan of a local directory.

    python -m benchmarks.hub [DIR] [--latency 0.08] [--rate 30] [--repeats 3] [--threads N]

A stand-in Hub (`tests.support.hub`) serves DIR, a checkpoint of benchmarks.checkpoints (default: a whole ``gpt2``,
written to a temporary directory), from a process of its own: with LATENCY seconds before each answer and RATE MB/s over
all connections together. Prints Markdown: wall time of both scans as processes, interleaved; what came over the
network; and streamed / max(transfer, local), where transfer is the time that the asked-for bytes alone take at that
rate.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Usage, usage
from benchmarks.tables import markdown

MB = 1e6
GOAL = 1.25
MODEL = "org/model"
TORCH, LOCAL, STREAMED = "import torch", "local scan", "streamed scan"
SCAN = "import sys; from weightaudit.cli import main; sys.exit(main())"


@dataclass
class Server:
    """A stand-in Hub in a process of its own; ``seen`` is its log's summary, once it has ended."""

    url: str
    seen: dict[str, dict[str, int]]


@contextmanager
def serving(directory: Path, latency: float, rate: float) -> Iterator[Server]:
    """The stand-in Hub with ``directory`` as `MODEL`; ``rate`` in bytes per second."""
    command = [sys.executable, "-m", "tests.support.hub", f"{MODEL}={directory}", "--latency", str(latency)]
    with subprocess.Popen(
        [*command, "--rate", str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        server = Server(json.loads(process.stdout.readline())["endpoint"], {})
        try:
            yield server
        finally:
            process.stdin.close()
            server.seen = json.loads(process.stdout.readline() or "{}")


def at(url: str, home: Path) -> dict[str, str]:
    """What makes a process's Hub client talk to ``url`` only, whatever the environment says besides."""
    quiet = dict.fromkeys(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), "")
    return {
        **quiet,
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "NO_PROXY": "127.0.0.1",
    }


def numbers(csv_file: Path) -> list[dict[str, str]]:
    """Rows of a scan without what differs by where the model lies."""
    with csv_file.open(newline="", encoding="utf-8") as file:
        return [{key: row[key] for key in row if key not in ("model", "revision")} for row in csv.DictReader(file)]


def weights(csv_file: Path) -> int:
    """Bytes of the matrices of a scan, each tensor once; QKV is made of tensors that have rows of their own."""
    sizes = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
    rows = [row for row in numbers(csv_file) if row["role"] != "QKV"]
    return sum(int(row["parameters"]) * sizes[row["dtype"]] for row in rows)


def race(directory: Path, *, latency: float, rate: float, repeats: int, threads: int) -> str:
    """Both scans in turn, and what is to be said of them."""
    runs: dict[str, list[Usage]] = {TORCH: [], LOCAL: [], STREAMED: []}
    seen: list[dict[str, dict[str, int]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        here, there = home / "local.csv", home / "streamed.csv"
        options = ["--quiet", "--threads", str(threads)]
        pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        local = [sys.executable, "-c", SCAN, "scan", str(directory), "--csv", str(here), *options]
        streamed = [sys.executable, "-c", SCAN, "scan", MODEL, "--csv", str(there), *options]
        usage(local, pinned)  # warms the page cache and compiles
        for turn in range(repeats):
            print(f"{turn + 1}/{repeats} …", file=sys.stderr)
            runs[TORCH].append(usage([sys.executable, "-c", "import torch"], pinned))
            runs[LOCAL].append(usage(local, pinned))
            with serving(directory, latency, rate) as server:
                runs[STREAMED].append(usage(streamed, {**pinned, **at(server.url, home / "hf")}))
            seen.append(server.seen)
        same = numbers(here) == numbers(there)
        asked = weights(here)
    return report(runs, seen, asked, same, rate)


def report(
    runs: dict[str, list[Usage]], seen: list[dict[str, dict[str, int]]], asked: int, same: bool, rate: float
) -> str:
    """Medians, the ratio, and what the server counted."""
    wall = {name: statistics.median(run.wall for run in runs[name]) for name in runs}
    transfer = asked / rate
    bound = max(transfer, wall[LOCAL])
    rows = [
        [
            name,
            f"{wall[name]:.2f} s",
            f"{statistics.median(run.cpu for run in runs[name]):.2f} s",
            f"{max(run.peak for run in runs[name]) / MB:.0f} MB",
        ]
        for name in runs
    ]
    rows.append([f"{asked / MB:,.0f} MB at {rate / MB:,.0f} MB/s", f"{transfer:.2f} s", "", ""])
    ratio = wall[STREAMED] / bound
    each = ", ".join(f"{one.wall / bound:.2f}×" for one in runs[STREAMED])
    sent = max(counts["hub"]["bytes"] + counts["cdn"]["bytes"] for counts in seen)
    requests = max(counts["hub"]["requests"] + counts["cdn"]["requests"] for counts in seen)
    connections = max(counts["hub"]["connections"] + counts["cdn"]["connections"] for counts in seen)
    return "\n".join(
        [
            markdown(["", "wall", "CPU", "peak memory"], rows),
            "",
            f"- Streamed / max(transfer, local): {ratio:.2f}× (each run: {each}); the goal of {GOAL}× "
            f"{'holds' if ratio <= GOAL else 'is missed'}.",
            f"- Beyond `import torch` the streamed scan took {wall[STREAMED] - wall[TORCH]:.2f} s, "
            f"{(wall[STREAMED] - wall[TORCH]) / transfer:.2f}× the transfer.",
            f"- {requests} requests over {connections} connections; {sent / MB:,.1f} MB came, {sent / asked:.4f} × the "
            "bytes of the matrices.",
            f"- The numbers are {'the same' if same else 'NOT the same'} as the local scan's.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A streamed scan against a local one.")
    parser.add_argument("directory", type=Path, nargs="?", help="a checkpoint (default: a whole gpt2, made for it)")
    parser.add_argument("--latency", type=float, default=0.08, help="seconds before each answer (default: 0.08)")
    parser.add_argument("--rate", type=float, nargs="+", default=[30.0], help="MB/s, one table for each (default: 30)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        directory = options.directory
        if directory is None:
            directory = Path(scratch) / "gpt2"
            usage([sys.executable, "-m", "benchmarks.checkpoints", "gpt2", str(directory)])
        for rate in options.rate:
            print(f"{directory.name}, {options.latency * 1000:.0f} ms before each answer, {options.threads} threads.\n")
            found = race(
                directory,
                latency=options.latency,
                rate=rate * MB,
                repeats=options.repeats,
                threads=options.threads,
            )
            print(found, end="\n\n", flush=True)


if __name__ == "__main__":
    main()
