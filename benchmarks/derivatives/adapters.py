"""Adapters that PEFT makes and merges, and merges that went wrong."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.derivatives.bases import (
    DTYPES,
    Model,
    layer_of,
    read,
)
from benchmarks.derivatives.expected import Expect, Made, expect_low_rank, one
from benchmarks.derivatives.makers import ALL, maker, uniform
from benchmarks.derivatives.training import train


def _lora(
    model: Model,
    into: Path,
    rank: int,
    targets: str | list[str],
    size: float,
    base: str = "float32",
    to: str | None = None,
    trained: bool = False,
) -> Made:
    """An adapter of ‖ΔW‖ = ``size``·‖W‖, or one that was ``trained``, merged in ``base`` and cast ``to`` a dtype."""
    import peft

    folder = model.folder if base == "float32" else model.folder.with_name(f"base-{base}")
    torch.manual_seed(model.seed * 1000 + rank)
    live = model.live(base, folder)
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets)
    adapted = peft.get_peft_model(live, config)
    changed = {
        name.removeprefix("base_model.model."): module
        for name, module in adapted.named_modules()
        if hasattr(module, "lora_A")
    }
    generator = model.generator("lora", str(rank), str(targets))
    if trained:
        train(model, adapted, adapted.parameters(), "lora", 2e-3)
    stored = read(folder)
    updates: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for name, module in changed.items():
            if not trained:
                B = module.lora_B["default"].weight
                B.copy_(torch.randn(B.shape, generator=generator))
                own = module.get_delta_weight("default").to(torch.float32)
                B.mul_(size * stored[f"{name}.weight"].to(torch.float32).norm() / own.norm())
            updates[f"{name}.weight"] = module.get_delta_weight("default").to(torch.float32)
    if to == "adapter":
        adapted.save_pretrained(into)
        return Made(
            {name: one("low rank", rank=rank, must=rank < min(update.shape) / 2) for name, update in updates.items()},
            facts={"adapter": True},
        )
    merged = adapted.merge_and_unload()
    if to:
        merged = merged.to(DTYPES[to])
    merged.save_pretrained(into)
    dtype = DTYPES[to or base]
    expected: dict[str, Expect] = {}
    for name, update in updates.items():
        W, delta = stored[name], update
        if model.role(name) == "QKV":
            for role, own, change in zip("QKV", W.chunk(3, 1), delta.chunk(3, 1), strict=True):
                expected[f"{name}#{role}"] = expect_low_rank(own.T, change.T, rank, dtype, role)
        expected[name] = expect_low_rank(
            model.oriented(name, W), model.oriented(name, delta), rank, dtype, model.role(name)
        )
    cast = dtype != DTYPES[base]
    return Made(expected, base="base" if base == "float32" else f"base-{base}", cast=cast)


def _linear(model: Model) -> str | list[str]:
    """All modules that are plain matrices: a mixture's experts are not."""
    return [f"{one}_proj" for one in "qkvo"] if model.family == "mixtral" else "all-linear"


@maker(ALL, by="peft")
def lora_1(model: Model, into: Path) -> Made:
    return _lora(model, into, 1, list(model.about.lora), uniform(model, "lora_1", 0.01, 0.05))


@maker(ALL, by="peft")
def lora_4_bfloat16(model: Model, into: Path) -> Made:
    """Merged in float32 and cast."""
    return _lora(model, into, 4, _linear(model), uniform(model, "lora_4", 0.02, 0.06), to="bfloat16")


@maker(ALL, by="peft")
def lora_8_in_bfloat16(model: Model, into: Path) -> Made:
    """Merged in bfloat16 with a base in bfloat16."""
    return _lora(model, into, 8, _linear(model), uniform(model, "lora_8", 0.03, 0.08), base="bfloat16")


@maker("bert llama gpt2 t5", by="peft")
def lora_16_in_float16(model: Model, into: Path) -> Made:
    return _lora(model, into, 16, list(model.about.lora), uniform(model, "lora_16", 0.005, 0.02), base="float16")


@maker("bert llama gpt2", by="peft")
def lora_64_bfloat16(model: Model, into: Path) -> Made:
    return _lora(model, into, 64, _linear(model), uniform(model, "lora_64", 0.08, 0.15), to="bfloat16")


@maker("bert llama gpt2", by="peft")
def lora_64(model: Model, into: Path) -> Made:
    return _lora(model, into, 64, _linear(model), uniform(model, "lora_64", 0.002, 0.01))


@maker("bert llama gpt2 t5", by="peft")
def lora_8_trained(model: Model, into: Path) -> Made:
    return _lora(model, into, 8, _linear(model), 0.0, trained=True)


@maker("bert llama", by="peft")
def lora_8_trained_bfloat16(model: Model, into: Path) -> Made:
    return _lora(model, into, 8, list(model.about.lora), 0.0, to="bfloat16", trained=True)


@maker("llama", by="peft")
def lora_8_small_bfloat16(model: Model, into: Path) -> Made:
    """Below what bfloat16 resolves."""
    return _lora(model, into, 8, _linear(model), uniform(model, "lora_small", 0.001, 0.003), base="bfloat16")


@maker("bert llama gpt2", by="peft")
def lora_8_adapter(model: Model, into: Path) -> Made:
    """The adapter itself, as PEFT saves it."""
    return _lora(model, into, 8, list(model.about.lora), 0.02, to="adapter")


def _with_adapter(
    model: Model, into: Path, finding: str, scale: float = 1.0, dtype: str = "float32", *, noise: bool = False
) -> Made:
    """The base with ``scale`` times the adapter that `lora_8_adapter` saved, in ``dtype``."""
    import peft

    name = "lora-8-adapter"
    adapted = peft.PeftModel.from_pretrained(model.live(), model.folder.with_name(name))
    modules = {part: one for part, one in adapted.named_modules() if hasattr(one, "lora_A")}
    before, expected = read(model.folder), {}
    for part, module in modules.items():
        stored = f"{part.removeprefix('base_model.model.')}.weight"
        module.scaling["default"] *= scale
        delta = module.get_delta_weight("default").to(torch.float32)
        W, own = model.oriented(stored, before[stored]), model.oriented(stored, delta)
        expected[stored] = expect_low_rank(W, own.detach(), 8, DTYPES[dtype], model.role(stored))
    merged = adapted.merge_and_unload()
    if noise:
        with torch.no_grad():
            stray = next(name for name in model.of("O") if layer_of(name) == 1)
            parameter = merged.get_parameter(stray)
            drawn = torch.randn(parameter.shape, generator=model.generator("stray"))
            parameter.add_(0.01 * parameter.std() * drawn)
        expected[stray] = one("noise")
    merged.to(DTYPES[dtype]).save_pretrained(into)
    return Made(expected, cast=dtype != "float32", adapter=name, findings=(finding,))


@maker("bert llama gpt2", by="peft")
def adapter_merged(model: Model, into: Path) -> Made:
    return _with_adapter(model, into, "diff-merged")


@maker("bert llama gpt2", by="peft")
def adapter_merged_bfloat16(model: Model, into: Path) -> Made:
    return _with_adapter(model, into, "diff-merged", dtype="bfloat16")


@maker("llama gpt2", by="peft")
def adapter_merged_twice(model: Model, into: Path) -> Made:
    return _with_adapter(model, into, "diff-merged-twice", 2.0, "bfloat16")


@maker("llama bert", by="peft")
def adapter_at_other_scale(model: Model, into: Path) -> Made:
    return _with_adapter(model, into, "diff-merge-scale", uniform(model, "other scale", 0.4, 0.8), "bfloat16")


@maker("llama bert", by="peft")
def adapter_and_more(model: Model, into: Path) -> Made:
    return _with_adapter(model, into, "diff-merge-residue", noise=True)


@maker("llama gpt2", by="transformers")
def adapter_not_merged(model: Model, into: Path) -> Made:
    model.live().save_pretrained(into)
    return Made({}, adapter="lora-8-adapter", findings=("diff-not-merged", "diff-identical"))
