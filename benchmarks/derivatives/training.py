"""Fine-tunes: real steps of AdamW on random tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks.derivatives.bases import (
    DTYPES,
    HIDDEN,
    Model,
    Tensors,
    layer_of,
    read,
)
from benchmarks.derivatives.expected import VECTOR, Expect, Made, expect_update
from benchmarks.derivatives.makers import ALL, maker

STEPS = 24
BY = "transformers, torch.optim.AdamW"


def _loss(model: Model, live: Any, tokens: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if model.family == "bert":
        pooled = live(input_ids=tokens).last_hidden_state.mean(1)
        return 1 - torch.nn.functional.cosine_similarity(pooled, target).mean()
    loss: torch.Tensor = live(input_ids=tokens, labels=tokens).loss
    return loss


def train(
    model: Model, live: Any, parameters: Iterable[torch.nn.Parameter], name: str, lr: float, decay: float = 0.0
) -> None:
    """``STEPS`` of AdamW on random tokens, of a quarter of the vocabulary and half of the positions at most."""
    generator = model.generator("train", name)
    words = live.get_input_embeddings().weight.shape[0]
    own = torch.randperm(words, generator=generator)[: words // 4]
    optimizer = torch.optim.AdamW([p for p in parameters if p.requires_grad], lr=lr, weight_decay=decay)
    target = torch.randn(8, live.config.hidden_size if model.family == "bert" else HIDDEN, generator=generator)
    torch.manual_seed(model.seed)
    for _ in range(STEPS):
        tokens = own[torch.randint(len(own), (8, 24), generator=generator)]
        _loss(model, live, tokens, target).backward()
        optimizer.step()
        optimizer.zero_grad()


def _updates(model: Model, base: Tensors, live: Any, dtype: torch.dtype) -> dict[str, Expect]:
    """What is to be said of a model trained in float32 from ``base``."""
    tuned = {name: value.detach() for name, value in live.state_dict().items()}
    expected: dict[str, Expect] = {}
    for name, before in base.items():
        if not before.is_floating_point() or name not in tuned:
            continue
        update = tuned[name].to(torch.float64) - before.to(torch.float64)
        if not bool((update != 0).any()):
            continue
        if model.role(name) == "QKV":
            for role, own, change in zip("QKV", before.chunk(3, 1), update.chunk(3, 1), strict=True):
                expected[f"{name}#{role}"] = expect_update(own.T, change.T, dtype)
        if before.ndim == 1:
            expected[name] = VECTOR if dtype == torch.float32 else Expect((*VECTOR.kinds, "unchanged"))
        else:
            expected[name] = expect_update(model.oriented(name, before), model.oriented(name, update), dtype)
    return expected


def _fine_tune(
    model: Model, into: Path, name: str, lr: float, decay: float = 0.0, base: str = "base", frozen: bool = False
) -> Made:
    dtype = DTYPES[{"base": "float32"}.get(base, base.removeprefix("base-"))]
    before = read(model.folder.with_name(base))
    live = model.live(folder=model.folder.with_name(base))
    if frozen:
        for part, parameter in live.named_parameters():
            parameter.requires_grad = (layer_of(part) or 0) >= 1
    own = _names(model, live)
    train(model, live, live.parameters(), name, lr, decay)
    expected = _updates(model, before, own(live), dtype)
    live.to(dtype).save_pretrained(into)
    shrink = 1 - math.prod([1 - lr * decay] * STEPS) if decay else None
    return Made(expected, base=base, decay=shrink)


class _Named:
    """A live model whose state has the names of the files."""

    def __init__(self, state: Tensors) -> None:
        self._state = state

    def state_dict(self) -> Tensors:
        return self._state


def _names(model: Model, live: Any) -> Callable[[Any], _Named]:
    """Names in memory are those of the files but for experts, which are stored one by one."""

    def named(now: Any) -> _Named:
        state: Tensors = {}
        for name, value in now.state_dict().items():
            if name.endswith("experts.gate_up_proj"):
                stem = name.removesuffix("gate_up_proj").replace("mlp.experts", "block_sparse_moe.experts")
                for i, fused in enumerate(value.detach()):
                    gate, up = fused.chunk(2)
                    state |= {f"{stem}{i}.w1.weight": gate.clone(), f"{stem}{i}.w3.weight": up.clone()}
            elif name.endswith("experts.down_proj"):
                stem = name.removesuffix("down_proj").replace("mlp.experts", "block_sparse_moe.experts")
                state |= {f"{stem}{i}.w2.weight": down.clone() for i, down in enumerate(value.detach())}
            else:
                state[name.replace("mlp.gate.weight", "block_sparse_moe.gate.weight")] = value.detach().clone()
        return _Named(state)

    return named


@maker(ALL, by=BY)
def finetune_full(model: Model, into: Path) -> Made:
    return _fine_tune(model, into, "a", 2e-5)


@maker(ALL, by=BY)
def finetune_other(model: Model, into: Path) -> Made:
    return _fine_tune(model, into, "b", 3e-5)


@maker(ALL, by=BY)
def finetune_decay(model: Model, into: Path) -> Made:
    return _fine_tune(model, into, "c", 2e-5, decay=0.1)


@maker(ALL, by=BY)
def finetune_strong_decay(model: Model, into: Path) -> Made:
    """Decay of a run that is many times longer."""
    return _fine_tune(model, into, "g", 2e-5, decay=2.0)


@maker(ALL, by=BY)
def finetune_frozen(model: Model, into: Path) -> Made:
    return _fine_tune(model, into, "d", 2e-5, frozen=True)


@maker("bert llama gpt2", by=BY)
def finetune_bfloat16(model: Model, into: Path) -> Made:
    return _fine_tune(model, into, "e", 3e-4, base="base-bfloat16")


@maker("bert llama", by=BY)
def finetune_bfloat16_small(model: Model, into: Path) -> Made:
    """An update smaller than what bfloat16 resolves."""
    return _fine_tune(model, into, "f", 2e-6, base="base-bfloat16")
