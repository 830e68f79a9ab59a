"""The engine on a GPU, within six minutes: twins of the CPU's numbers, layers beside a copy and `svdvals`, a scan.

    python -m benchmarks.cuda [--minutes 6] [--device cuda] [--layers 2]

Prints Markdown, the card first. A part that no time is left for is named and left out; exit code 1 where an interval of
the GPU and that of the CPU do not meet.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

import weightaudit as wa
from benchmarks.checkpoints import generate
from benchmarks.matrices import gaussian, heavy_tailed
from benchmarks.shapes import LAYERS, Shape, make
from benchmarks.tables import markdown, times
from weightaudit import measure
from weightaudit.records import Spectrum
from weightaudit.spectral import Difference, LowRank, digest
from weightaudit.spectral.uploads import Ahead, uploads_to

SIDES = ((1, 1), (7, 300), (300, 7), (150, 90), (640, 640), (512, 3000), (3000, 512))
"""(rows, cols) of the twins."""
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
SEVEN_B = (Shape("Q K V O", 4096, 4096, count=4), Shape("GATE M1", 11008, 4096, count=2), Shape("M2", 4096, 11008))
"""A layer of a model of seven billion parameters with a gated MLP."""


class Clock:
    """Seconds left of the time there is."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()


def median(run: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Median seconds of ``run`` with all its work on ``device`` done, after one that is not counted."""
    seconds = []
    for turn in range(repeats + 1):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        if turn:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def synchronize(device: torch.device) -> None:
    """Wait for what ``device`` has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def battery() -> Iterator[tuple[str, Any]]:
    """(what it is, matrix or operator), small: stored in all dtypes and layouts, zero, not finite, never formed."""
    for rows, cols in SIDES:
        W = torch.as_tensor(heavy_tailed(rows, cols, seed=rows, name="twin").matrix)
        yield f"{rows}×{cols} float32", W
        yield f"{rows}×{cols} transposed", W.t()
    W = torch.as_tensor(gaussian(300, 200, seed=0, name="twin").matrix)
    for dtype in DTYPES:
        yield f"300×200 {str(dtype).removeprefix('torch.')}", W.to(dtype)
    yield "three blocks", [W[:100], W[100:160], W[160:]]
    yield "zero", torch.zeros(30, 20)
    yield "huge", W.double() * 1e200
    spoilt = W.clone()
    spoilt[3, 5], spoilt[7, 1] = float("nan"), float("inf")
    yield "not finite", spoilt
    yield "difference", Difference(W, W.to(torch.bfloat16))
    yield "low rank", LowRank(W[:, :8], W[:8], scale=0.5)


def twins(device: str) -> tuple[str, bool]:
    """A sentence on how the numbers of ``device`` and the CPU's agree, and whether all intervals meet."""
    apart, lower, upper, count = [], 0.0, 0.0, 0
    for name, matrix in battery():
        for method in ("exact", "krylov"):
            cpu, gpu = (measure(matrix, method=method, device=one) for one in ("cpu", device))
            count += 1
            if not agree(cpu, gpu):
                apart.append(f"{name} ({method}): {cpu.spectral_norm!r}, {gpu.spectral_norm!r}")
            elif cpu.spectral_norm > 0.0:
                lower = max(lower, abs(gpu.spectral_norm / cpu.spectral_norm - 1.0))
                upper = max(upper, abs(gpu.spectral_norm_upper / cpu.spectral_norm_upper - 1.0))
    told = f"{count} twins: {len(apart)} apart; lower ends differ by at most {lower:.0e}, upper ends by {upper:.0e}."
    return "\n".join([told, *(f"- {one}" for one in apart)]), not apart


def agree(one: Spectrum, other: Spectrum) -> bool:
    """Whether their intervals meet, and what is counted is the same."""
    same = (one.zeros, one.nonfinite, one.entries) == (other.zeros, other.nonfinite, other.entries)
    if one.nonfinite:
        return same
    return same and one.spectral_norm <= other.spectral_norm_upper and other.spectral_norm <= one.spectral_norm_upper


def copy_rate(device: torch.device, nbytes: int = 1 << 30) -> float:
    """Bytes read and written in a second by a copy on ``device``."""
    source = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * nbytes / median(lambda: target.copy_(source), device)


def layer_table(name: str, shapes: tuple[Shape, ...], dtype: torch.dtype, device: torch.device, clock: Clock) -> str:
    """Times of a layer's matrices: resident on the device, brought to it, on the CPU, and all singular values there."""
    rows = []
    for shape in shapes:
        if clock.left < 60.0:
            rows.append([shape.roles, "left out: no time", *[""] * 6])
            continue
        blocks, _ = make(shape, "heavy-tailed", dtype, seed=0)
        resident = [block.to(device) for block in blocks]
        run = str(device)
        passes = measure(resident, device=run).passes
        own = median(partial(measure, resident, device=run), device)
        brought = median(partial(measure, blocks, device=run), device)
        cpu = median(partial(measure, blocks), device, repeats=1)
        dense = torch.cat(resident).float()
        svd = median(partial(torch.linalg.svdvals, dense), device, repeats=1)
        nbytes = sum(block.nbytes for block in blocks)
        rate = f"{passes * nbytes / own / 1e9:.0f} GB/s"
        shown = [f"{own * 1e3:.1f} ms", str(passes), rate, *(times(other / own) for other in (brought, cpu, svd))]
        rows.append([shape.roles, f"{shape.rows}×{shape.cols}", *shown])
    head = ["roles", "shape", "on the device", "passes", "weights read", "from the host", "CPU engine", "svdvals there"]
    return f"### {name}, {str(dtype).removeprefix('torch.')}\n\n{markdown(head, rows)}\n"


def overlap(device: torch.device, count: int = 8, side: int = 4096) -> str:
    """Matrices measured one after the other: on the device already, brought there each in its turn, and sent ahead."""
    weights = [gaussian(side, side, seed=i, name="ahead").matrix for i in range(count)]
    digests = [digest([W]) for W in weights]
    resident = [W.to(device) for W in weights]
    lying, brought, ahead = (
        median(partial(in_turn, matrices, digests, device, ahead=sent), device)
        for matrices, sent in ((resident, False), (weights, False), (weights, True))
    )
    share = (brought - ahead) / max(brought - lying, 1e-9)
    told = f"on the device {lying * 1e3:.0f} ms, brought there {brought * 1e3:.0f} ms, sent ahead {ahead * 1e3:.0f} ms"
    return f"{count} matrices {side}×{side}, float32: {told}: {share:.0%} of the transfers hidden.\n"


def in_turn(matrices: list[torch.Tensor], digests: list[str], device: torch.device, *, ahead: bool) -> None:
    """Measure them as a scan does: one at a time in a thread, while this one sends the next where that is asked for."""
    with uploads_to(str(device)) as uploads, ThreadPoolExecutor(1) as worker:
        under_way: Future[Spectrum] | None = None
        for W, known in zip(matrices, digests, strict=True):
            sent = uploads.begin(W) if ahead and uploads is not None else None
            if under_way is not None:
                under_way.result()
            under_way = worker.submit(_measured, W, sent, known, str(device))
        if under_way is not None:
            under_way.result()


def _measured(W: torch.Tensor, sent: Ahead | None, known: str, device: str) -> Spectrum:
    return measure(W if sent is None else sent.take(), digest=known, device=device)


def scan_table(device: str, layers: int, clock: Clock) -> str:
    """A scan of a slice of GPT-J, on the device and on the CPU, in this process."""
    if clock.left < 60.0:
        return "The scan was left out: no time.\n"
    with tempfile.TemporaryDirectory() as folder:
        generate("gpt-j-6b", Path(folder) / "slice", layers=layers, heavy=True)
        seconds: dict[str, float] = {}
        for one in ("cpu", device):
            wa.scan(Path(folder) / "slice", device=one, layers="0")
            with timed(seconds, one):
                wa.scan(Path(folder) / "slice", device=one)
    ratio = times(seconds["cpu"] / seconds[device])
    return f"A scan of {layers} layers of GPT-J, float16: {seconds[device]:.1f} s, the CPU takes {ratio} as long.\n"


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long the block takes."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine on a GPU, within some minutes.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--layers", type=int, default=2, help="layers of GPT-J in the scan")
    options = parser.parse_args()
    clock, device = Clock(60.0 * options.minutes), torch.device(options.device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "torch on the CPU"
    print(f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda}, {wa.__version__}\n")
    told, well = twins(options.device)
    print(f"{told}\n\nA copy on the device: {copy_rate(device) / 1e9:.0f} GB/s, read and written.\n", flush=True)
    for name, shapes in (("gpt-j", LAYERS["gpt-j"]), ("7B", SEVEN_B)):
        for dtype in (torch.float32, torch.bfloat16):
            print(layer_table(name, shapes, dtype, device, clock), flush=True)
    if device.type == "cuda" and clock.left > 60.0:
        print(overlap(device), flush=True)
    print(scan_table(options.device, options.layers, clock), flush=True)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
