"""Weights that were turned or rescaled, so that the model computes what it did, or shrunk."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.derivatives.bases import (
    Model,
    Tensors,
)
from benchmarks.derivatives.editing import beside, edited, writes_hidden
from benchmarks.derivatives.expected import VECTOR, Expect, Made, one
from benchmarks.derivatives.makers import ALL, maker, uniform


def _orthogonal(size: int, generator: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


@maker("bert llama")
def rotated_heads(model: Model, into: Path) -> Made:
    """The values of each head turned, and turned back by O."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        about = model.about
        for name in model.of("O"):
            W = tensors[name].to(torch.float64)
            size, shared = W.shape[1] // about.heads, about.heads // about.kv_heads
            turns = [_orthogonal(size, model.generator("turn", name, str(i))) for i in range(about.kv_heads)]
            V = beside(model, name, "V")
            tensors[V] = (torch.block_diag(*turns) @ tensors[V].to(torch.float64)).to(torch.float32)
            back = torch.block_diag(*[turn for turn in turns for _ in range(shared)]).T
            tensors[name] = (W @ back).to(torch.float32)
            bias = f"{V[:-6]}bias"
            if bias in tensors:
                tensors[bias] = (torch.block_diag(*turns) @ tensors[bias].to(torch.float64)).to(torch.float32)
                expected[bias] = VECTOR
            expected |= {name: one("rotated"), V: one("rotated")}
        return expected

    return edited(model, into, edit)


def _fold(model: Model, tensors: Tensors) -> dict[str, Expect]:
    """Weights of the norms go into the matrices that read what they make."""
    expected: dict[str, Expect] = {}

    def into(norm: str, *readers: str) -> None:
        gain = tensors[norm].clone()
        for name in readers:
            W = model.oriented(name, tensors[name])
            tensors[name] = model.oriented(name, W * gain)
            expected[name] = one("columns scaled")
        tensors[norm] = torch.ones_like(gain)
        expected[norm] = VECTOR
        bias = f"{norm[:-6]}bias"
        if bias in tensors:
            tensors[bias] = tensors[bias] / gain
            expected[bias] = VECTOR

    if model.family == "gpt2":
        for name in model.of("QKV"):
            stem = name.split("attn.c_attn")[0]
            into(f"{stem}ln_1.weight", name)
            into(f"{stem}ln_2.weight", f"{stem}mlp.c_fc.weight")
        return expected
    for name in model.of("Q"):
        stem = name.split("self_attn")[0]
        into(f"{stem}input_layernorm.weight", *(f"{stem}self_attn.{which}_proj.weight" for which in "qkv"))
        readers = [one_ for one_ in tensors if one_.startswith(stem) and one_.endswith(_READERS)]
        into(f"{stem}post_attention_layernorm.weight", *readers)
    into("model.norm.weight", "lm_head.weight")
    return expected


_READERS = ("gate_proj.weight", "up_proj.weight", "w1.weight", "w3.weight", "gate.weight")


@maker("llama gpt2 mixtral")
def norms_folded(model: Model, into: Path) -> Made:
    return edited(model, into, lambda tensors: _fold(model, tensors))


@maker("llama mixtral")
def rotated_hidden(model: Model, into: Path) -> Made:
    """The residual stream turned after the norms were folded, as QuaRot does it; without the fold: weights are 1."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        turn = _orthogonal(tensors[model.tables[0]].shape[1], model.generator("turn"))
        for name, W in tensors.items():
            if W.ndim == 2:
                wide = W.to(torch.float64)
                turned = turn.T @ wide if writes_hidden(model, name) else wide @ turn
                tensors[name], expected[name] = turned.to(torch.float32), one("rotated")
        return expected

    return edited(model, into, edit)


@maker(ALL)
def scaled(model: Model, into: Path) -> Made:
    """V by one number, O by its inverse."""
    factor = uniform(model, "scaled", 1.2, 2.5)

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name in model.of("V", "M1"):
            bias = f"{name[:-6]}bias"
            tensors[name] = tensors[name] * factor
            expected[name] = one("scaled")
            if bias in tensors:
                tensors[bias], expected[bias] = tensors[bias] * factor, VECTOR
        for name in model.of("O", "M2"):
            tensors[name], expected[name] = tensors[name] / factor, one("scaled")
        return expected

    return edited(model, into, edit)


@maker("llama gpt2")
def shrunk_in_bfloat16(model: Model, into: Path) -> Made:
    """Everything by 1 − c, as weight decay alone does it."""
    c = uniform(model, "shrunk", 0.02, 0.08)

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name, W in tensors.items():
            tensors[name] = (W.to(torch.float32) * (1 - c)).to(torch.bfloat16)
            expected[name] = one("scaled") if W.ndim == 2 else VECTOR
        return expected

    return edited(model, into, edit, base="base-bfloat16")


@maker("llama mixtral t5 bert")
def channels_scaled(model: Model, into: Path) -> Made:
    """Rows of V and columns of O, as smoothing before quantisation does it."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected: dict[str, Expect] = {}
        about = model.about
        for name in model.of("O"):
            size = tensors[name].shape[1] // about.heads
            factors = (0.5 * torch.randn(size * about.kv_heads, generator=model.generator("channels", name))).exp()
            V = beside(model, name, "V")
            tensors[V] = factors[:, None] * tensors[V]
            spread = factors.reshape(about.kv_heads, 1, size).expand(-1, about.heads // about.kv_heads, -1).flatten()
            tensors[name] = tensors[name] / spread
            expected |= {V: one("rows scaled"), name: one("columns scaled")}
            bias = f"{V[:-6]}bias"
            if bias in tensors:
                tensors[bias], expected[bias] = tensors[bias] * factors, VECTOR
        return expected

    return edited(model, into, edit)


@maker("llama bert")
def negated(model: Model, into: Path) -> Made:
    """V and O with the other sign."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        for name in model.of("V", "O"):
            tensors[name] = -tensors[name]
        biases = [f"{name[:-6]}bias" for name in model.of("V") if f"{name[:-6]}bias" in tensors]
        for bias in biases:
            tensors[bias] = -tensors[bias]
        return dict.fromkeys(model.of("V", "O"), one("scaled")) | dict.fromkeys(biases, VECTOR)

    return edited(model, into, edit)
