"""The same weights in another order: neurons, heads, hidden units, words, experts, layers."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.derivatives.bases import (
    Model,
    Tensors,
    in_layer,
    layer_of,
    read,
    write,
)
from benchmarks.derivatives.editing import beside, edited, shuffled, writes_hidden
from benchmarks.derivatives.expected import VECTOR, Expect, Made, one
from benchmarks.derivatives.makers import ALL, maker


@maker(ALL)
def permuted_neurons(model: Model, into: Path) -> Made:
    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name in model.of("M2"):
            order = shuffled(model.oriented(name, tensors[name]).shape[1], model, "neurons", name)
            tensors[name] = model.oriented(name, model.oriented(name, tensors[name])[:, order])
            expected[name] = one("columns permuted", block=1)
            for role in ("GATE", "M1"):
                if role not in model.about.roles:
                    continue
                other = beside(model, name, role)
                tensors[other] = model.oriented(other, model.oriented(other, tensors[other])[order])
                expected[other] = one("rows permuted", block=1)
                bias = f"{other[:-6]}bias"
                if bias in tensors:
                    tensors[bias] = tensors[bias][order]
                    expected[bias] = VECTOR
        return expected

    return edited(model, into, edit)


@maker("bert llama gpt2 mixtral")
def permuted_heads(model: Model, into: Path) -> Made:
    """Groups of heads that share keys and values move together."""
    about = model.about

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        for name in model.of("O"):
            W = model.oriented(name, tensors[name])
            size = W.shape[1] // about.heads
            groups = shuffled(about.kv_heads, model, "heads", name)
            kv = (groups[:, None] * size + torch.arange(size)).flatten()
            span = size * about.heads // about.kv_heads
            q = (groups[:, None] * span + torch.arange(span)).flatten()
            tensors[name] = model.oriented(name, W[:, q])
            expected[name] = one("columns permuted", block=span)
            if "QKV" in about.roles:
                other = beside(model, name, "QKV")
                order = torch.cat([q + i * W.shape[1] for i in range(3)])
                tensors[other] = tensors[other][:, order]
                expected[other] = one("rows permuted", block=size)
                _permute_bias(tensors, expected, other, order)
                continue
            for role, order in (("Q", q), ("K", kv), ("V", kv)):
                other = beside(model, name, role)
                tensors[other] = tensors[other][order]
                expected[other] = one("rows permuted", block=span if role == "Q" else size)
                _permute_bias(tensors, expected, other, order)
        return expected

    return edited(model, into, edit)


def _permute_bias(tensors: Tensors, expected: dict[str, Expect], name: str, order: torch.Tensor) -> None:
    bias = f"{name[:-6]}bias"
    if bias in tensors:
        tensors[bias] = tensors[bias][order]
        expected[bias] = VECTOR


@maker("llama bert mixtral")
def permuted_hidden(model: Model, into: Path) -> Made:
    """The units of the residual stream in another order."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        hidden = tensors[model.tables[0]].shape[1]
        order = shuffled(hidden, model, "hidden")
        expected = {}
        for name, W in tensors.items():
            if not W.is_floating_point():
                continue
            if W.ndim == 1:
                if len(W) == hidden and not name.endswith(
                    ("query.bias", "key.bias", "value.bias", "pooler.dense.bias")
                ):
                    tensors[name], expected[name] = W[order], VECTOR
            elif writes_hidden(model, name):
                tensors[name], expected[name] = W[order], one("rows permuted", block=1)
            else:
                tensors[name], expected[name] = W[:, order], one("columns permuted", block=1)
        return expected

    return edited(model, into, edit)


@maker("llama mixtral")
def permuted_hidden_and_neurons(model: Model, into: Path) -> Made:
    """Rows and columns of every matrix of an MLP."""
    first = permuted_neurons(model, into).expected
    tensors = read(into)
    order = shuffled(tensors[model.tables[0]].shape[1], model, "hidden")
    expected: dict[str, Expect] = {}
    for name, W in tensors.items():
        if W.ndim == 1:
            tensors[name], expected[name] = W[order], VECTOR
        else:
            rows = writes_hidden(model, name)
            tensors[name] = W[order] if rows else W[:, order]
            both = name in first
            expected[name] = one(
                "rows and columns permuted" if both else "rows permuted" if rows else "columns permuted"
            )
    write(into, tensors, model.config)
    return Made(expected)


@maker("llama gpt2 bert")
def vocabulary_reordered(model: Model, into: Path) -> Made:
    def edit(tensors: Tensors) -> dict[str, Expect]:
        order = shuffled(len(tensors[model.tables[0]]), model, "words")
        for name in model.tables:
            tensors[name] = tensors[name][order]
        return {name: one("rows permuted", block=1) for name in model.tables}

    return edited(model, into, edit)


@maker("mixtral")
def experts_reordered(model: Model, into: Path) -> Made:
    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected = {}
        old = dict(tensors)
        count = model.config["num_local_experts"]
        for name in old:
            if "experts." in name:
                stem, rest = name.split("experts.")
                number, suffix = rest.split(".", 1)
                source = f"{stem}experts.{(int(number) + 1) % count}.{suffix}"
                tensors[name] = old[source]
                expected[name] = one("moved", origin=source)
            elif name.endswith("gate.weight"):
                tensors[name] = old[name].roll(-1, 0)
                expected[name] = one("rows permuted")
        return expected

    return edited(model, into, edit)


@maker(ALL)
def layer_duplicated(model: Model, into: Path) -> Made:
    """Layer 1 has the weights of layer 0."""

    def edit(tensors: Tensors) -> dict[str, Expect]:
        expected: dict[str, Expect] = {}
        for name in tensors:
            if layer_of(name) == 1 and (source := in_layer(name, 0)) in tensors:
                tensors[name] = tensors[source]
                expected[name] = one("moved", origin=source) if model.role(name) in model.about.roles else VECTOR
                if tensors[name].ndim == 2 and not model.role(name):
                    expected[name] = one("moved", origin=source)
        return expected

    return edited(model, into, edit)


@maker("bert llama gpt2")
def layers_reversed(model: Model, into: Path) -> Made:
    def edit(tensors: Tensors) -> dict[str, Expect]:
        old, expected = dict(tensors), {}
        last = max(layer_of(name) or 0 for name in old)
        for name in old:
            layer = layer_of(name)
            if layer is None or layer == last - layer:
                continue
            source = in_layer(name, last - layer)
            tensors[name] = old[source]
            expected[name] = one("moved", origin=source) if old[name].ndim == 2 else VECTOR
        return expected

    return edited(model, into, edit)
