"""Whole spectra beside what WeightWatcher and powerlaw say of the same matrices: where definitions agree, numbers do.

    python -m benchmarks.whole_spectra MODEL --peer-python PATH [--layers 0,5]

MODEL's matrices and some made ones, float32. Prints Markdown: a line a matrix, then the largest difference of each
number that has one definition here and there; exit code 1 where one is larger than its tolerance. Why the others differ
is in docs/spectral.md, under "Beside WeightWatcher and powerlaw".
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import weightaudit as wa
from benchmarks.tables import markdown
from weightaudit.records import Spectrum
from weightaudit.spectral.full.power_law import SMALLEST_TAIL
from weightaudit.spectral.full.tail import SMALLEST_COUNT

TOLERANCES = {
    "singular values, relative to σ₁": 1e-7,
    "stable rank": 1e-6,
    "squared Frobenius norm": 1e-6,
    "λ_max": 1e-6,
    "x_min": 1e-6,
    "α": 1e-6,
    "D": 1e-6,
    "powerlaw's x_min": 1e-6,
    "powerlaw's α": 1e-6,
    "powerlaw's ratio to the exponential": 1e-3,
}
"""Relative. WeightWatcher's decomposition is of float64, ours of a Gram matrix, both of the same float32 entries;
powerlaw finds the exponential by iteration."""
HEADS = (
    *("matrix", "shape", "α", "WW", "powerlaw", "tail", "WW", "D", "WW", "powerlaw", "p"),
    *("R log-normal", "powerlaw", "spikes", "WW"),
)


def made(seed: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """Matrices of spectra that are known: noise, noise with spikes, and λ drawn from a few distributions."""
    rng = np.random.default_rng(seed)
    yield "noise", _float(rng.standard_normal((600, 200)))
    spiked = rng.standard_normal((500, 300))
    for strength in (60.0, 70.0, 90.0):
        left, right = (_unit(rng.standard_normal((size,))) for size in spiked.shape)
        spiked += strength * np.outer(left, right)
    yield "spiked", _float(spiked)
    yield "entries-t2", _float(rng.standard_t(2, (400, 300)))
    for name, values in (
        ("pareto-5-halves", rng.pareto(1.5, 400) + 1),
        ("pareto-4", rng.pareto(3.0, 400) + 1),
        ("lognormal", rng.lognormal(0, 1, 400)),
        ("exponential", rng.exponential(1, 400)),
    ):
        left = np.linalg.qr(rng.standard_normal((500, 400)))[0]
        right = np.linalg.qr(rng.standard_normal((400, 400)))[0]
        yield name, _float(left * np.sqrt(values) @ right.T)


def of_model(model: str, layers: str | None) -> Iterator[tuple[str, torch.Tensor]]:
    """Its matrices that have enough singular values for a fit; those that only repeat others are left out."""
    wanted = {int(layer) for layer in layers.split(",")} if layers else None
    for matrix in wa.matrices(model):
        if wanted is not None and matrix.layer not in wanted:
            continue
        if min(matrix.shape) >= SMALLEST_COUNT and matrix.role != "QKV":
            yield matrix.place.words("-").replace(" ", "-"), torch.as_tensor(matrix.load()).float().contiguous()


def compared(ours: Spectrum, theirs: dict[str, Any]) -> dict[str, float]:
    """Relative differences of what has one definition here and there."""
    full = ours.full
    assert full
    assert full.tail
    told = np.array(theirs["eigenvalues"])
    exact = np.sqrt(told)
    found = {
        "singular values, relative to σ₁": float(np.abs(np.array(full.singular_values) - exact).max() / exact[0]),
        "stable rank": _off(ours.stable_rank, theirs["stable_rank"]),
        "squared Frobenius norm": _off(ours.frobenius_norm**2, theirs["norm"]),
        "λ_max": _off(ours.spectral_norm**2, theirs["spectral_norm"]),
    }
    tail = full.tail
    if theirs["num_pl_spikes"] >= SMALLEST_TAIL:
        found |= {
            "x_min": _off(tail.x_min, theirs["xmin"]),
            "α": _off(tail.alpha, theirs["alpha"]),
            "D": _off(tail.distance, theirs["D"]),
        }
    if math.isclose(tail.x_min, theirs["powerlaw_xmin"], rel_tol=1e-3):
        found |= {
            "powerlaw's x_min": _off(tail.x_min, theirs["powerlaw_xmin"]),
            "powerlaw's α": _off(tail.alpha, theirs["powerlaw_alpha"]),
            "powerlaw's ratio to the exponential": _off(tail.exponential.ratio, theirs["powerlaw_exponential"][0]),
        }
    return found


def line(name: str, shape: tuple[int, ...], ours: Spectrum, theirs: dict[str, Any]) -> list[str]:
    """A matrix in the table."""
    full = ours.full
    assert full
    tail, bulk = full.tail, full.bulk
    assert tail
    return [
        name,
        "×".join(map(str, shape)),
        *(f"{alpha:.4f}" for alpha in (tail.alpha, theirs["alpha"], theirs["powerlaw_alpha"])),
        *(str(int(count)) for count in (tail.count, theirs["num_pl_spikes"])),
        *(f"{distance:.4f}" for distance in (tail.distance, theirs["D"], theirs["powerlaw_D"])),
        f"{tail.p_value:.2f}{'' if tail.fits else ' no'}",
        *(f"{ratio:.3f}" for ratio in (tail.lognormal.ratio, theirs["powerlaw_lognormal"][0])),
        *(str(count) for count in (bulk.spikes if bulk else "–", theirs["num_spikes"])),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--peer-python", required=True, help="an interpreter that has weightwatcher and powerlaw")
    parser.add_argument("--layers", help="of the model: 0,5; all where none is given")
    asked = parser.parse_args()
    matrices = dict([*made(), *of_model(asked.model, asked.layers)])
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "matrices.safetensors"), Path(folder, "told.json")
        save_file(matrices, file)
        peer = Path(__file__).with_name("weightwatcher_spectra.py")
        subprocess.run([asked.peer_python, str(peer), str(file), str(out)], check=True, stdout=sys.stderr)
        told = json.loads(out.read_text("utf-8"))
    measured = {name: wa.measure(W, method="exact", spectrum="full", name=name) for name, W in matrices.items()}
    rows = [line(name, tuple(W.shape), measured[name], told[name]) for name, W in matrices.items()]
    print(markdown(HEADS, rows))
    differences = [compared(measured[name], told[name]) for name in matrices]
    worst = {number: [found[number] for found in differences if number in found] for number in TOLERANCES}
    print()
    print(
        markdown(
            ("number", "matrices", "largest difference", "tolerance"),
            [
                [number, str(len(all_)), f"{max(all_):.1e}" if all_ else "–", f"{TOLERANCES[number]:.0e}"]
                for number, all_ in worst.items()
            ],
        )
    )
    return int(any(all_ and max(all_) > TOLERANCES[number] for number, all_ in worst.items()))


def _off(ours: float, theirs: float) -> float:
    return abs(ours - theirs) / max(abs(theirs), 1e-12)


def _float(W: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(W)).float()


def _unit(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return x / np.linalg.norm(x)


if __name__ == "__main__":
    sys.exit(main())
