"""Make derivatives of one base, with what is true of them beside each.

    python -m benchmarks.derivatives llama /tmp/derivatives/0/llama --seed 0
    python -m benchmarks.derivatives bert /tmp/derivatives/0/bert --base /models/minilm --only 'cast-*' 'lora-*'

PEFT, bitsandbytes and torch are optional each: what a missing one makes is named and left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import importlib
import json
import shutil
import time
import warnings
from pathlib import Path

import torch

from benchmarks.derivatives.bases import DTYPES, FAMILIES, Model, make_tiny, read, write
from benchmarks.derivatives.expected import CAST, UNCHANGED, Expect, Made
from benchmarks.derivatives.makers import MAKERS, Maker

MODULES = (
    *("copies", "permuted", "rescaled", "replaced", "grids"),
    *("library", "pruning", "training", "adapters", "merges"),
)
"""Merges come last: they need what they merge."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path, help="folder of a real model; a tiny one is made without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=["*"], help="names of makers")
    chosen = parser.parse_args()
    for module in MODULES:
        importlib.import_module(f"benchmarks.derivatives.{module}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    model = _bases(chosen.family, chosen.out, chosen.base, chosen.seed)
    for one in MAKERS:
        if chosen.family in one.families and any(fnmatch.fnmatch(one.name, pattern) for pattern in chosen.only):
            _make(one, model, chosen.out)


def _bases(family: str, out: Path, base: Path | None, seed: int) -> Model:
    """The base in float32, bfloat16 and float16."""
    folder = out / "base"
    if not folder.exists():
        if base:
            tensors = read(base)
            write(folder, tensors, json.loads((base / "config.json").read_text()))
        else:
            make_tiny(family, folder, seed)
    model = Model(family, folder, seed)
    for dtype in ("bfloat16", "float16"):
        if not (out / f"base-{dtype}").exists():
            rounded = {name: W.to(DTYPES[dtype]) if W.is_floating_point() else W for name, W in model.stored.items()}
            write(out / f"base-{dtype}", rounded, model.config)
    return model


def _make(maker: Maker, model: Model, out: Path) -> None:
    into = out / maker.name
    shutil.rmtree(into, ignore_errors=True)
    started = time.perf_counter()
    try:
        made = maker.make(model, into)
    except ImportError as error:
        print(f"{maker.name}: left out: {error}")
        shutil.rmtree(into, ignore_errors=True)
        return
    truth = _truth(maker, model, into, made)
    facts = dataclasses.asdict(made) | {"by": maker.by, "what": (maker.make.__doc__ or "").strip()}
    del facts["expected"]
    facts["tensors"] = {name: dataclasses.asdict(one) for name, one in truth.items()}
    (out / f"{maker.name}.json").write_text(json.dumps(facts, indent=1))
    kinds = sorted({" or ".join(one.kinds[:3]) for one in truth.values()})
    print(f"{maker.name}: {time.perf_counter() - started:.1f} s: {'; '.join(kinds)}", flush=True)


def _truth(maker: Maker, model: Model, into: Path, made: Made) -> dict[str, Expect]:
    """What is true of every tensor, checked against the files: what should differ does, and nothing else."""
    tensors: dict[str, Expect] = dict(made.expected)
    if not made.facts.get("adapter") and not made.renamed:
        base, derived = read(model.folder.with_name(made.base)), read(into)
        derived = derived or base  # A pickle is the base's copy.
        for name in base:
            if name in derived and base[name].shape == derived[name].shape and derived[name].is_floating_point():
                equal = torch.equal(base[name].to(torch.float64), derived[name].to(torch.float64))
                if name in tensors:
                    if equal and "unchanged" not in tensors[name].kinds:
                        raise SystemExit(f"{maker.name}: {name} should differ from the base and does not.")
                elif equal or made.cast:
                    tensors[name] = UNCHANGED if equal else CAST
                else:
                    raise SystemExit(f"{maker.name}: {name} differs from the base and should not.")
            elif name in derived and name not in tensors and len(base[name]) != len(derived[name]):
                tensors[name] = UNCHANGED  # The rows that both have.
    return tensors


if __name__ == "__main__":
    main()
