"""Roles proved by running the model: what its attention and its MLP really compute on one token.

One token at position 0: the rotary turn is the identity there, and attention over one token returns that token's
value. Biases are zero, so q = W_Q x exactly, the attention's output is W_O W_V x, and the MLP's is W_M2 act(W_M1 x).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.architecture.saved import infos, older_phi, read_saved, values
from tests.support.covering import covering
from tests.support.models import LAYERS, RECIPES, build
from weightaudit.architecture import layouts, map_model
from weightaudit.records import Rows

LAYER_LIST = {
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "gpt2": "transformer.h",
    "phi": "model.layers",
    "gptj": "transformer.h",
}
# Modules of a layer: whose input the attention sees, whose output it gives; the same of the MLP; its activation.
MODULES = {
    "bert": (
        "attention.self", "attention.output.dense", "intermediate", "output.dense",
        "intermediate.intermediate_act_fn",
    ),
    "roberta": (
        "attention.self", "attention.output.dense", "intermediate", "output.dense",
        "intermediate.intermediate_act_fn",
    ),
    "gpt2": ("attn", "attn", "mlp", "mlp", "mlp.act"),
    "phi": ("self_attn", "self_attn", "mlp", "mlp", "mlp.activation_fn"),
    "gptj": ("attn", "attn", "mlp", "mlp", "mlp.act"),
}  # fmt: skip


@dataclass
class Observed:
    """Vectors of one layer: the attention's input, q, k, v as it receives them, its output; the same of the MLP."""

    x: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    attended: torch.Tensor
    mlp_in: torch.Tensor
    mlp_out: torch.Tensor
    activation: Callable[[torch.Tensor], torch.Tensor]


def capture_attention(family: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, ...]]:
    """Let the family's attention function write down the query, key and value it is called with."""
    seen: list[tuple[torch.Tensor, ...]] = []
    module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    # GPT-J's attention was a method before transformers 5.24.
    older = family == "gptj" and hasattr(module.GPTJAttention, "_attn")
    owner, name = (module.GPTJAttention, "_attn") if older else (module, "eager_attention_forward")
    real = getattr(owner, name)

    def attention(self: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append((query, key, value))
        return real(self, query, key, value, *args, **kwargs)

    monkeypatch.setattr(owner, name, attention)
    return seen


def observe(model: Any, family: str, monkeypatch: pytest.MonkeyPatch) -> list[Observed]:
    """Run the model on one token and write down what passes through each layer."""
    model.config._attn_implementation = "eager"
    seen = capture_attention(family, monkeypatch)
    inputs: dict[tuple[int, str], torch.Tensor] = {}
    outputs: dict[tuple[int, str], torch.Tensor] = {}

    def watch(layer: int, name: str, module: torch.nn.Module) -> None:
        def hook(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            inputs[layer, name] = args[0] if args else kwargs["hidden_states"]
            outputs[layer, name] = output[0] if isinstance(output, tuple) else output

        module.register_forward_hook(hook, with_kwargs=True)

    layers = [model.get_submodule(f"{LAYER_LIST[family]}.{n}") for n in range(LAYERS)]
    for n, layer in enumerate(layers):
        for name in MODULES[family][:4]:
            watch(n, name, layer.get_submodule(name))
    with torch.no_grad():
        model(input_ids=torch.tensor([[7]]))
    assert len(seen) == LAYERS
    attention, attended, mlp_in, mlp_out, act = MODULES[family]
    # Of (batch, heads, tokens, head_dim).
    query, key, value = ([of[i][0, :, 0, :].flatten() for of in seen] for i in range(3))
    return [
        Observed(
            inputs[n, attention].flatten(),
            query[n], key[n], value[n],
            outputs[n, attended].flatten(),
            inputs[n, mlp_in].flatten(),
            outputs[n, mlp_out].flatten(),
            layers[n].get_submodule(act) if act != "intermediate.intermediate_act_fn"
            else layers[n].intermediate.intermediate_act_fn,
        )
        for n in range(LAYERS)
    ]  # fmt: skip


def errors(found: Mapping[tuple[int | None, str], torch.Tensor], n: int, seen: Observed) -> dict[str, float]:
    """Role → largest absolute difference between what its matrix computes and what the model computed."""
    W = {role: matrix for (layer, role), matrix in found.items() if layer == n}
    differences = {
        "Q": W["Q"] @ seen.x - seen.q,
        "K": W["K"] @ seen.x - seen.k,
        "V": W["V"] @ seen.x - seen.v,
        "O": W["O"] @ seen.v - seen.attended,
        "QKV": W["QKV"] @ seen.x - torch.cat([seen.q, seen.k, seen.v]),
        "M2": W["M2"] @ seen.activation(W["M1"] @ seen.mlp_in) - seen.mlp_out,
    }
    return {role: float(difference.abs().max()) for role, difference in differences.items()}


@pytest.fixture
def unbiased(tmp_path: Path) -> Callable[[str], Any]:
    """A saved model whose linear maps in the layers have no bias but zero, and are large enough to matter."""

    def get(family: str) -> Any:
        model = build(family)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(".bias") and "norm" not in name.lower() and ".ln_" not in name:
                    parameter.zero_()
                elif parameter.ndim > 1:
                    parameter.mul_(3)
        model.save_pretrained(tmp_path)
        return read_saved(model, tmp_path)

    return get


CLOSE, FAR = 1e-5, 1e-2


@pytest.mark.parametrize("family", RECIPES)
def test_roles_compute_what_the_model_computes(
    family: str, unbiased: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = unbiased(family)
    found = values(checkpoint.map(), checkpoint.tensors)
    for n, seen in enumerate(observe(checkpoint.model, family, monkeypatch)):
        assert min(float(v.abs().max()) for v in (seen.q, seen.k, seen.v, seen.attended, seen.mlp_out)) > FAR
        assert {role: e for role, e in errors(found, n, seen).items() if e > CLOSE} == {}


SWAPS = {"K and V": (0, 2, 1), "Q and K": (1, 0, 2), "Q and V": (2, 1, 0), "rotated": (1, 2, 0)}


@pytest.mark.parametrize(("family", "swap"), covering(["gpt2", "phi"], list(SWAPS), together=1))
def test_a_packing_with_swapped_slices_is_caught(
    family: str, swap: str, unbiased: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = unbiased(family)
    tensors = older_phi(checkpoint.tensors) if family == "phi" else checkpoint.tensors
    seen = observe(checkpoint.model, family, monkeypatch)[0]
    right = errors(values(map_model(checkpoint.config, infos(tensors)), tensors), 0, seen)
    assert max(right.values()) < CLOSE

    def swapped(roles: Any, rows: Any, dimensions: Any) -> dict[str, tuple[Rows, ...]]:
        layout = layouts.contiguous(roles, rows, dimensions)
        return {role: layout[roles[SWAPS[swap][i]]] for i, role in enumerate(roles)}

    monkeypatch.setitem(layouts.PACKINGS, "contiguous", swapped)
    wrong = errors(values(map_model(checkpoint.config, infos(tensors)), tensors), 0, seen)
    moved = {role for i, role in enumerate("QKV") if SWAPS[swap][i] != i} | {"QKV"}
    assert {role for role, error in wrong.items() if error > FAR} == moved
