"""Checkpoints whose code is not transformers': proved against small re-implementations of what that code publishes.

Each model below has the names that lie on disk, and computes with them what the remote code computes: how it cuts its
fused maps is written here once more, from that code and not from the specs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.architecture.proving import Prover, run
from tests.architecture.saved import infos, statuses, value
from tests.support.covering import some_of
from weightaudit.architecture import families, layouts, map_model
from weightaudit.records import Rows

H, HEADS, KV, D, FF, VOCAB, LAYERS = 48, 4, 2, 12, 80, 112, 2
Split = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""What the fused map gives, (1, 1, rows) → queries, keys, values, each (1, 1, heads of it, D)."""


@dataclass(frozen=True)
class Code:
    """A model's names, in which N is the layer, and how its code reads what its maps give.

    ``mlp`` is (names of the maps in, the map out, what comes between); sizes are (out, in) by name.
    """

    model_type: str
    config: dict[str, Any]
    embed: str
    head: str
    attention: tuple[str, ...]
    split: Split
    out: str
    mlp: tuple[tuple[str, ...], str, Callable[..., Tensor]]
    sizes: dict[str, tuple[int, int]]


class Remote(nn.Module):
    """The decoder that a `Code` describes, without positions and norms: on one token at position 0 rotation is none."""

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code
        self.config = SimpleNamespace(is_encoder_decoder=False)
        self._put(code.embed, nn.Embedding(VOCAB, H))
        self._put(code.head, nn.Linear(H, VOCAB, bias=False))
        for layer in range(LAYERS):
            for name, (rows, cols) in code.sizes.items():
                self._put(name.replace("N", str(layer)), nn.Linear(cols, rows, bias=False))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)

    def _put(self, path: str, module: nn.Module) -> None:
        *above, last = path.split(".")
        parent: nn.Module = self
        for name in above:
            if name not in dict(parent.named_children()):
                parent.add_module(name, nn.Module())
            parent = parent.get_submodule(name)
        parent.add_module(last, module)

    def forward(self, input_ids: Tensor, use_cache: bool) -> Tensor:
        x = self.get_submodule(self.code.embed)(input_ids)
        for layer in range(LAYERS):
            x = x + self._attention(x, layer)
            into, out, between = self.code.mlp
            x = x + self._map(out, layer, between(*(self._map(name, layer, x) for name in into)))
        logits: Tensor = self.get_submodule(self.code.head)(x)
        return logits

    def _map(self, name: str, layer: int, x: Tensor) -> Tensor:
        mapped: Tensor = self.get_submodule(name.replace("N", str(layer)))(x)
        return mapped

    def _attention(self, x: Tensor, layer: int) -> Tensor:
        q, k, v = self.code.split(torch.cat([self._map(name, layer, x) for name in self.code.attention], -1))
        k, v = (part.repeat_interleave(HEADS // part.shape[2], 2) for part in (k, v))
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        weights = torch.softmax(q @ k.transpose(2, 3) / D**0.5, -1)
        return self._map(self.code.out, layer, (weights @ v).transpose(1, 2).reshape(1, 1, H))


def heads(x: Tensor) -> Tensor:
    return x.view(1, 1, -1, D)


def wqkv(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """InternLM2: (key heads, queries of each + 2, head size); the last two are the key and the value."""
    grouped = x.view(1, 1, KV, HEADS // KV + 2, D)
    return grouped[..., :-2, :].reshape(1, 1, HEADS, D), grouped[..., -2, :], grouped[..., -1, :]


def w_pack(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Baichuan: three vectors of the hidden size."""
    q, k, v = x.unflatten(-1, (3, H)).unbind(-2)
    return heads(q), heads(k), heads(v)


def three(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Qwen: split by the hidden size."""
    q, k, v = x.split(H, dim=2)
    return heads(q), heads(k), heads(v)


def groups(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ChatGLM2: all queries, then the groups' keys, then their values; separate maps in one row too."""
    q, k, v = x.split([HEADS * D, KV * D, KV * D], dim=-1)
    return heads(q), heads(k), heads(v)


def head_by_head(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ChatGLM-6B: each head's query, key and value, 3 D in a row."""
    q, k, v = x.view(1, 1, HEADS, 3 * D).chunk(3, dim=-1)
    return q, k, v


def swiglu_of_halves(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return functional.silu(first) * second


def gated(gate: Tensor, up: Tensor) -> Tensor:
    return functional.silu(gate) * up


NEW = {
    "hidden_size": H, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": FF,
    "vocab_size": VOCAB, "tie_word_embeddings": False,
}  # fmt: skip
GLM = {
    "hidden_size": H, "num_layers": LAYERS, "num_attention_heads": HEADS, "kv_channels": D, "ffn_hidden_size": FF,
    "padded_vocab_size": VOCAB, "multi_query_group_num": KV,
}  # fmt: skip
L, Q, G, P = "model.layers.N", "transformer.h.N", "transformer.encoder.layers.N", "transformer.layers.N"


def _llama_mlp(stem: str, gate: str, up: str, down: str) -> tuple[tuple[str, ...], str, Callable[..., Tensor]]:
    return (f"{stem}.{gate}", f"{stem}.{up}"), f"{stem}.{down}", gated


def _llama(model_type: str, attention: tuple[str, ...], split: Split, rows: dict[str, int], config: Any) -> Code:
    sizes = {f"{L}.self_attn.{name}": (count, H) for name, count in rows.items()}
    sizes |= {f"{L}.self_attn.o_proj": (H, H), f"{L}.mlp.down_proj": (H, FF)}
    sizes |= {f"{L}.mlp.gate_proj": (FF, H), f"{L}.mlp.up_proj": (FF, H)}
    taken = tuple(f"{L}.self_attn.{name}" for name in attention)
    return Code(
        model_type, config, "model.embed_tokens", "lm_head", taken, split,
        f"{L}.self_attn.o_proj", _llama_mlp(f"{L}.mlp", "gate_proj", "up_proj", "down_proj"), sizes,
    )  # fmt: skip


def _qkv(kv: int) -> dict[str, int]:
    return {"q_proj": HEADS * D, "k_proj": kv * D, "v_proj": kv * D}


def _glm(config: Any, split: Split, rows: int) -> Code:
    sizes = {f"{G}.self_attention.query_key_value": (rows, H), f"{G}.self_attention.dense": (H, H)}
    sizes |= {f"{G}.mlp.dense_h_to_4h": (2 * FF, H), f"{G}.mlp.dense_4h_to_h": (H, FF)}
    return Code(
        "chatglm", config, "transformer.embedding.word_embeddings", "transformer.output_layer",
        (f"{G}.self_attention.query_key_value",), split, f"{G}.self_attention.dense",
        ((f"{G}.mlp.dense_h_to_4h",), f"{G}.mlp.dense_4h_to_h", swiglu_of_halves), sizes,
    )  # fmt: skip


CODES: dict[str, Code] = {
    "internlm": _llama("internlm", ("q_proj", "k_proj", "v_proj"), w_pack, _qkv(HEADS), NEW),
    "aquila": _llama("aquila", ("q_proj", "k_proj", "v_proj"), w_pack, _qkv(HEADS), NEW),
    "baichuan": _llama("baichuan", ("W_pack",), w_pack, {"W_pack": 3 * H}, NEW),
    "internlm2": Code(
        "internlm2", {**NEW, "num_key_value_heads": KV}, "model.tok_embeddings", "output",
        (f"{L}.attention.wqkv",), wqkv, f"{L}.attention.wo", _llama_mlp(f"{L}.feed_forward", "w1", "w3", "w2"),
        {f"{L}.attention.wqkv": ((HEADS + 2 * KV) * D, H), f"{L}.attention.wo": (H, H), f"{L}.feed_forward.w1": (FF, H),
         f"{L}.feed_forward.w3": (FF, H), f"{L}.feed_forward.w2": (H, FF)},
    ),
    "qwen": Code(
        "qwen", {**NEW, "intermediate_size": 2 * FF, "kv_channels": D}, "transformer.wte", "lm_head",
        (f"{Q}.attn.c_attn",), three, f"{Q}.attn.c_proj",
        ((f"{Q}.mlp.w1", f"{Q}.mlp.w2"), f"{Q}.mlp.c_proj", lambda a1, a2: a1 * functional.silu(a2)),
        {f"{Q}.attn.c_attn": (3 * H, H), f"{Q}.attn.c_proj": (H, H), f"{Q}.mlp.w1": (FF, H), f"{Q}.mlp.w2": (FF, H),
         f"{Q}.mlp.c_proj": (H, FF)},
    ),
    "chatglm": _glm({**GLM, "multi_query_attention": True}, groups, (HEADS + 2 * KV) * D),
    "chatglm, head by head": _glm({**GLM, "multi_query_attention": False}, head_by_head, 3 * H),
    "chatglm-6b": Code(
        "chatglm", {"hidden_size": H, "num_layers": LAYERS, "num_attention_heads": HEADS, "inner_hidden_size": FF,
                    "vocab_size": VOCAB},
        "transformer.word_embeddings", "lm_head",
        (f"{P}.attention.query_key_value",), head_by_head, f"{P}.attention.dense",
        ((f"{P}.mlp.dense_h_to_4h",), f"{P}.mlp.dense_4h_to_h", lambda x: functional.gelu(x, approximate="tanh")),
        {f"{P}.attention.query_key_value": (3 * H, H), f"{P}.attention.dense": (H, H),
         f"{P}.mlp.dense_h_to_4h": (FF, H), f"{P}.mlp.dense_4h_to_h": (H, FF)},
    ),
}  # fmt: skip


def prove(code: Code) -> tuple[set[str], set[str]]:
    """Roles shown in every layer, and those not; every tensor is analysed and the config has no other."""
    model = Remote(code).eval()
    tensors = model.state_dict()
    model_map = map_model({"model_type": code.model_type, **code.config}, infos(tensors))
    assert (statuses(model_map, "unmapped"), model_map.discrepancies) == ({}, ())
    assert {entry.status for entry in model_map.coverage} == {"analysed"}
    matrices = {(m.stack, m.layer, m.expert, m.role): value(m, tensors) for m in model_map.matrices}
    assert {key[1] for key in matrices} == {None, *range(LAYERS)}
    proof = Prover(matrices, run(model), model).prove()
    missing = {key[3] for key in proof.missing}
    return {key[3] for key in proof.shown} - missing, missing


@pytest.mark.parametrize("name", CODES)
def test_each_role_is_what_the_code_computes_with_it(name: str) -> None:
    gate = set() if name == "chatglm-6b" else {"GATE"}
    assert prove(CODES[name]) == ({"EMBED", "Q", "K", "V", "O", "M1", "M2", "HEAD"} | gate, set())


def test_every_remote_model_type_is_proved_here_or_by_its_twin() -> None:
    remote = {name for family in families() for name in family.remote}
    assert remote - {code.model_type for code in CODES.values()} == {"phi-msft"}  # test_families: equals today's Phi


FUSED = ["baichuan", "internlm2", "qwen", "chatglm", "chatglm, head by head", "chatglm-6b"]


@pytest.mark.parametrize("name", some_of(FUSED, "baichuan", "internlm2", "chatglm, head by head"))
def test_two_slices_swapped_are_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for packing, right in layouts.PACKINGS.items():

        def swapped(roles: Any, rows: Any, dimensions: Any, right: Any = right) -> dict[str, tuple[Rows, ...]]:
            layout = right(roles, rows, dimensions)
            first, second = roles[-2:]
            return {**layout, first: layout[second], second: layout[first]}

        monkeypatch.setitem(layouts.PACKINGS, packing, swapped)
    assert {"K", "V"} <= prove(CODES[name])[1]


def test_the_first_qwen_s_gate_is_w2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were w1 the gate, the proof would fail: the activation is no linear map."""
    code = CODES["qwen"]
    turned = Code(**{**code.__dict__, "mlp": (code.mlp[0], code.mlp[1], lambda a1, a2: functional.silu(a1) * a2)})
    assert prove(turned)[1] == {"GATE", "M1", "M2"}
