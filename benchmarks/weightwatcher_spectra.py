"""What WeightWatcher and powerlaw say of the matrices in a safetensors file, written to a JSON file.

    PATH/TO/ITS/python benchmarks/weightwatcher_spectra.py FILE.safetensors OUT.json
        [--only-weightwatcher] [--randomize] [--names A]

Runs under an interpreter that has both, so it imports nothing of this project. Each matrix is the weight of a Linear
layer of its own; WeightWatcher runs at its defaults but for ``mp_fit``, which counts spikes, and for its limit of
50,000 rows. powerlaw gets the very eigenvalues that WeightWatcher found.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
import weightwatcher
from safetensors import safe_open

COLUMNS = (
    *("alpha", "xmin", "xmax", "D", "num_pl_spikes", "num_spikes", "bulk_max", "sigma_mp", "W_scale", "status"),
    *("rand_num_spikes", "rand_bulk_max", "rand_sigma_mp", "rand_sv_max", "rand_distance"),
    *("stable_rank", "norm", "log_norm", "spectral_norm", "log_spectral_norm", "matrix_rank", "entropy", "num_evals"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("out")
    parser.add_argument("--only-weightwatcher", action="store_true", help="as a user runs it, and nothing else")
    parser.add_argument("--randomize", action="store_true", help="decompose the entries in random order, too")
    parser.add_argument("--names", nargs="*", help="tensors of the file, all where none is named")
    asked = parser.parse_args()
    with safe_open(asked.file, "pt") as file:
        weights = {name.replace(".", "/"): file.get_tensor(name) for name in asked.names or file.keys()}
    model = torch.nn.ModuleDict()
    for name, weight in weights.items():
        layer = torch.nn.Linear(1, 1, bias=False)
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        layer.out_features, layer.in_features = weight.shape
        model[name] = layer
    watcher = weightwatcher.WeightWatcher()
    options = {"mp_fit": not asked.only_weightwatcher, "randomize": asked.randomize, "max_N": 10**9}
    details = watcher.analyze(model=model, **options)
    told = {}
    for _, row in details.iterrows():
        name = str(row["longname"]).rpartition(".")[2]
        told[name] = {column: _plain(row[column]) for column in COLUMNS if column in row}
    if not asked.only_weightwatcher:
        for name, weight in weights.items():
            told[name].update(_powerlaw(np.linalg.svd(weight.double().numpy(), compute_uv=False) ** 2))
    with open(asked.out, "w", encoding="utf-8") as file:
        json.dump(told, file)


def _powerlaw(eigenvalues: np.ndarray[Any, Any]) -> dict[str, Any]:
    import powerlaw  # type: ignore[import-not-found, unused-ignore]

    # Version 2 looks for no α beyond 3 unless it is told to, and has tolerances that suit values near 1.
    scale = float(np.median(eigenvalues))
    fit = powerlaw.Fit(eigenvalues / scale, verbose=False, parameter_ranges={"alpha": [0, 1000]})
    return {
        "eigenvalues": eigenvalues.tolist(),
        "powerlaw_alpha": float(fit.power_law.alpha),
        "powerlaw_xmin": float(fit.xmin) * scale,
        "powerlaw_D": float(fit.power_law.D),
        "powerlaw_lognormal": list(
            map(float, fit.distribution_compare("power_law", "lognormal", normalized_ratio=True))
        ),
        "powerlaw_exponential": list(
            map(float, fit.distribution_compare("power_law", "exponential", normalized_ratio=True))
        ),
    }


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    main()
