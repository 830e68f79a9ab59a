"""Merges of two fine-tuned models, as mergekit's methods define them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.derivatives.bases import Model, Tensors, read, write
from benchmarks.derivatives.expected import UNCHANGED, VECTOR, Expect, Made, expect_update, one
from benchmarks.derivatives.makers import ALL, maker, uniform

PARENTS = ("finetune-full", "finetune-other")
Merge = Callable[[str, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Name, W of the base and both changes in float64 → the change of the merge."""


def _merged(
    model: Model,
    into: Path,
    merge: Merge,
    recipe: tuple[float, ...] = (),
    exact: bool | None = None,
    dtype: torch.dtype = torch.float32,
) -> Made:
    parents = [read(model.folder.with_name(name)) for name in PARENTS]
    tensors: Tensors = {}
    expected: dict[str, Expect] = {}
    for name, W in model.copy().items():
        changes = [parent[name].to(torch.float64) - W.to(torch.float64) for parent in parents if name in parent]
        if len(changes) < 2 or not any(bool((change != 0).any()) for change in changes):
            tensors[name] = W.to(dtype) if W.is_floating_point() else W
            continue
        made = merge(name, W.to(torch.float64), *changes)
        tensors[name] = (W.to(torch.float64) + made).to(dtype)
        if model.role(name) == "QKV":
            parts = zip("QKV", W.chunk(3, 1), tensors[name].chunk(3, 1), strict=True)
            expected |= {f"{name}#{role}": _expected(model, name, own, now) for role, own, now in parts}
        expected[name] = _expected(model, name, W, tensors[name])
    write(into, tensors, model.config)
    return Made(expected, cast=dtype != torch.float32, parents=PARENTS, recipe=recipe, recipe_exact=exact)


def _expected(model: Model, name: str, W: torch.Tensor, merged: torch.Tensor) -> Expect:
    if W.ndim == 1:
        return VECTOR
    rows = model.oriented(name, W.to(torch.float64) != merged.to(torch.float64)).any(1)
    if not bool(rows.any()):
        return UNCHANGED
    if int(rows.sum()) <= len(rows) / 2:
        return one("few rows")
    if min(W.shape) <= 8:
        return Expect(("dense", "noise", "sparse", "low rank"), why="tiny")
    changed = float((W.to(torch.float64) != merged.to(torch.float64)).to(torch.float64).mean())
    if changed < 0.45:
        return one("sparse")
    return one("dense") if changed > 0.55 else one("dense", "sparse", why=f"{changed:.0%} changed")


@maker(ALL)
def merge_linear(model: Model, into: Path) -> Made:
    a = round(uniform(model, "linear", 0.2, 0.8), 3)
    return _merged(model, into, lambda name, W, A, B: a * A + (1 - a) * B, (a, 1 - a), True)


@maker("bert llama")
def merge_linear_unnormalised(model: Model, into: Path) -> Made:
    """Task arithmetic: the sum of both."""
    return _merged(model, into, lambda name, W, A, B: A + B, (1.0, 1.0), True)


@maker("bert gpt2")
def merge_negated(model: Model, into: Path) -> Made:
    """Task arithmetic: one is unlearned."""
    return _merged(model, into, lambda name, W, A, B: -0.7 * A, (-0.7, 0.0), True)


@maker("bert llama t5")
def merge_slerp(model: Model, into: Path) -> Made:
    t = round(uniform(model, "slerp", 0.2, 0.8), 3)

    def merge(name: str, W: torch.Tensor, A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        P, Q = W + A, W + B
        cosine = float((P * Q).sum() / (P.norm() * Q.norm()))
        if cosine > 0.9995:  # mergekit's DOT_THRESHOLD
            return (1 - t) * A + t * B
        angle = torch.tensor(cosine, dtype=torch.float64).acos()
        return (torch.sin((1 - t) * angle) * P + torch.sin(t * angle) * Q) / torch.sin(angle) - W

    return _merged(model, into, merge, (1 - t, t), None)


def _largest(W: torch.Tensor, density: float) -> torch.Tensor:
    kept = max(1, int(density * W.numel()))
    least = W.abs().flatten().kthvalue(W.numel() - kept + 1).values
    return torch.where(W.abs() >= least, W, 0)


@maker(ALL)
def merge_ties(model: Model, into: Path) -> Made:
    density = uniform(model, "ties", 0.1, 0.2)

    def merge(name: str, W: torch.Tensor, A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        kept = torch.stack([_largest(A, density), _largest(B, density)])
        agree = (kept.sign() == kept.sum(0).sign()) & (kept != 0)
        return (kept * agree).sum(0) / agree.sum(0).clamp(min=1)

    return _merged(model, into, merge, exact=False)


def _dropped(model: Model, name: str, share: float, *changes: torch.Tensor) -> list[torch.Tensor]:
    generator = model.generator("dare", name)
    kept = [torch.rand(change.shape, generator=generator) >= share for change in changes]
    return [torch.where(mask, change / (1 - share), 0) for mask, change in zip(kept, changes, strict=True)]


@maker(ALL)
def dare(model: Model, into: Path) -> Made:
    """One fine-tune of which most changes are dropped and the rest made larger."""
    share = uniform(model, "dare", 0.7, 0.95)
    return _merged(model, into, lambda name, W, A, B: _dropped(model, name, share, A)[0], exact=False)


@maker("bert llama gpt2")
def merge_dare_linear(model: Model, into: Path) -> Made:
    def merge(name: str, W: torch.Tensor, A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        first, second = _dropped(model, name, 0.9, A, B)
        return 0.5 * first + 0.5 * second

    return _merged(model, into, merge, exact=False)


def _of_all_sizes(model: Model, into: Path, base: str, dtype: torch.dtype) -> Made:
    """A fine-tune's changes, each matrix's made as large as chance has it, from a thousandth of W to 3 %."""
    before, stored = read(model.folder.with_name(base)), read(model.folder)
    tuned = read(model.folder.with_name(PARENTS[0]))
    tensors: Tensors = {}
    expected: dict[str, Expect] = {}
    for name, W in before.items():
        tensors[name] = W.to(dtype) if W.is_floating_point() else W
        if not model.role(name):
            continue
        change = tuned[name].to(torch.float64) - stored[name].to(torch.float64)
        size = 0.001 * 30 ** uniform(model, f"{base} {dtype} {name}", 0.0, 1.0)
        change *= size * W.to(torch.float64).norm() / change.norm()
        tensors[name] = (W.to(torch.float64) + change).to(dtype)
        if model.role(name) == "QKV":
            for role, own, part in zip("QKV", W.chunk(3, 1), change.chunk(3, 1), strict=True):
                expected[f"{name}#{role}"] = expect_update(own.T, part.T, dtype)
        expected[name] = expect_update(model.oriented(name, W), model.oriented(name, change), dtype)
    write(into, tensors, model.config)
    return Made(expected, base=base, cast=base == "base")


@maker(ALL)
def dense_to_bfloat16(model: Model, into: Path) -> Made:
    return _of_all_sizes(model, into, "base", torch.bfloat16)


@maker(ALL)
def dense_in_bfloat16(model: Model, into: Path) -> Made:
    return _of_all_sizes(model, into, "base-bfloat16", torch.bfloat16)


@maker(ALL)
def dense_in_float16(model: Model, into: Path) -> Made:
    return _of_all_sizes(model, into, "base-float16", torch.float16)
