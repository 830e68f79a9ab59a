"""The structural guess: marked as one, anchored, and never splitting what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from tests.architecture.saved import Saved, info, infos, statuses, values
from tests.support.covering import in_turn
from tests.support.models import FF, HIDDEN, RECIPES, VOCAB
from weightaudit.architecture import map_model
from weightaudit.errors import MappingError
from weightaudit.records import ModelMap, TensorInfo

Get = Callable[[str], Saved]


def roles(model_map: ModelMap) -> dict[str, tuple[str, ...]]:
    return {entry.tensor: entry.roles for entry in model_map.coverage if entry.status == "analysed"}


def guess(*tensors: TensorInfo, config: dict[str, Any] | None = None) -> ModelMap:
    return map_model(config, {tensor.name: tensor for tensor in tensors})


def square(*names: str) -> list[TensorInfo]:
    return [info(name, (HIDDEN, HIDDEN)) for name in names]


@pytest.mark.parametrize(("family", "model_type"), in_turn([*RECIPES], ["somethingnew", None]))
def test_a_known_layout_under_an_unknown_type(family: str, model_type: str | None, saved: Get) -> None:
    checkpoint = saved(family)
    config = None if model_type is None else {"model_type": model_type}
    model_map = map_model(config, infos(checkpoint.tensors))
    assert (model_map.guessed, model_map.model_type) == (True, model_type or "")
    assert model_map.nearest[0] == family
    found, known = values(model_map, checkpoint.tensors), values(checkpoint.map(), checkpoint.tensors)
    layered = {place for place in known if place[0] is not None}
    if family == "gpt2":  # a fused tensor is not split by guess
        layered -= {(n, role) for n in range(2) for role in "QKV"}
    assert {place for place in found if place[0] is not None} == layered
    assert all(torch.equal(found[place], known[place]) for place in found)
    assert len(model_map.coverage) == len(checkpoint.tensors)


def test_a_similar_model_type_is_near_even_where_names_do_not_fit() -> None:
    tensors = square("blocks.0.attn.to_q.weight")
    assert guess(*tensors, config={"model_type": "robert"}).nearest[0] in ("bert", "roberta")
    assert guess(*tensors, config={"model_type": "zzz"}).nearest == ()


GUESSES = {
    "model.layers.0.self_attn.q_proj.weight": "Q",
    "model.layers.0.self_attn.k_proj.weight": "K",
    "model.layers.0.self_attn.v_proj.weight": "V",
    "model.layers.0.self_attn.o_proj.weight": "O",
    "model.layers.0.self_attn.out_proj.weight": "O",
    "transformer.layer.0.attention.q_lin.weight": "Q",
    "transformer.layer.0.attention.out_lin.weight": "O",
    "transformer.layer.0.ffn.lin1.weight": "M1",
    "transformer.layer.0.ffn.lin2.weight": "M2",
    "encoder.layer.0.attention.self.query.weight": "Q",
    "encoder.layer.0.attention.attention.key.weight": "K",
    "encoder.layer.0.attention.self.value.weight": "V",
    "encoder.layer.0.attention.output.dense.weight": "O",
    "encoder.layer.0.intermediate.dense.weight": "M1",
    "encoder.layer.0.output.dense.weight": "M2",
    "gpt_neox.layers.0.attention.query_key_value.weight": "QKV",
    "gpt_neox.layers.0.attention.dense.weight": "O",
    "gpt_neox.layers.0.mlp.dense_h_to_4h.weight": "M1",
    "gpt_neox.layers.0.mlp.dense_4h_to_h.weight": "M2",
    "model.layers.0.self_attn.qkv_proj.weight": "QKV",
    "transformer.blocks.0.attn.Wqkv.weight": "QKV",
    "transformer.blocks.0.attn.out_proj.weight": "O",
    "h.0.attn.c_attn.weight": "QKV",
    "h.0.attn.c_proj.weight": "O",
    "h.0.mlp.c_fc.weight": "M1",
    "h.0.mlp.c_proj.weight": "M2",
    "layers.0.fc1.weight": "M1",
    "layers.0.fc2.weight": "M2",
    "layers.0.mlp.gate_proj.weight": "GATE",
    "layers.0.mlp.up_proj.weight": "M1",
    "layers.0.mlp.down_proj.weight": "M2",
    "decoder.block.0.layer.0.SelfAttention.q.weight": "Q",
    "decoder.block.0.layer.0.SelfAttention.o.weight": "O",
    "decoder.block.0.layer.1.EncDecAttention.k.weight": "XK",
    "decoder.block.0.layer.1.EncDecAttention.o.weight": "XO",
    "decoder.block.0.layer.2.DenseReluDense.wi.weight": "M1",
    "decoder.block.0.layer.2.DenseReluDense.wo.weight": "M2",
    "decoder.layers.0.encoder_attn.v_proj.weight": "XV",
    "transformer.h.0.attn.c_q.weight": "Q",
    "blocks.0.attn.c_k.weight": "K",
    "blocks.0.attn.c_v.weight": "V",
    "encoder.layers.0.self_attn.linear_q.weight": "Q",
    "encoder.layers.0.self_attn.linear_out.weight": "O",
    "layers.0.attention.Wk.weight": "K",
    "layers.0.attn.v_linear.weight": "V",
    "layers.0.attention.Wo.weight": "O",
    "model.embed_tokens.weight": "EMBED",
    "wte.weight": "EMBED",
    "tok_embeddings.weight": "EMBED",
    "embeddings.word_embeddings.weight": "EMBED",
    "wpe.weight": "POSITION",
    "embeddings.token_type_embeddings.weight": "TOKEN_TYPE",
    "lm_head.weight": "HEAD",
    "embed_out.weight": "HEAD",
    "output.weight": "HEAD",
}


@pytest.mark.parametrize("name", GUESSES)
def test_common_names(name: str) -> None:
    assert roles(guess(*square(name))) == {name: (GUESSES[name],)}


NOT_GUESSED = [
    "model.layers.0.self_attn.q_proj.weights",
    "model.layers.0.self_attn.my_q_proj.weight",
    "model.layers.0.self_attn.q_proj.weight.extra",
    "model.layers.0.self_attn.q_proj.lora_A.weight",
    "model.layers.0.mlp.router.weight",
    "model.layers.x.self_attn.q.weight",
    "layers.0.time_mix.key.weight",
    "my_lm_head.weight",
    "model.layers.99999999999999999999.self_attn.query.weight",
]


@pytest.mark.parametrize("name", NOT_GUESSED)
def test_names_that_merely_resemble_are_left(name: str) -> None:
    anchor = "model.embed_tokens.weight"
    assert statuses(guess(*square(anchor, name)), "unmapped") == {name: "no common name fits"}


@pytest.mark.parametrize("family", ["bert", "gpt2", "gptj", "phi", "roberta"])
def test_the_nearest_family_is_that_of_the_names_whatever_else_fits_them(family: str, saved: Get) -> None:
    tensors = infos(saved(family).tensors)
    for model_type in ("", f"my_{family}", "somethingnew"):
        assert map_model({"model_type": model_type or "unknown"}, tensors).nearest[0] == family


def test_plain_llama_names_are_llama_s_and_then_like_the_type() -> None:
    inside = [*(f"self_attn.{x}_proj" for x in "qkvo"), *(f"mlp.{x}_proj" for x in ("gate", "up", "down"))]
    tensors = square(*(f"model.layers.0.{name}.weight" for name in inside), "lm_head.weight")
    assert guess(*tensors).nearest[0] == "llama"
    assert guess(*tensors, config={"model_type": "my_llama"}).nearest[0] == "llama"
    assert guess(*tensors, config={"model_type": "bertish"}).nearest[:2] == ("llama", "bert")


def test_llamas_original_names() -> None:
    stem = "layers.3."
    names = [*(f"attention.w{x}" for x in "qkvo"), *(f"feed_forward.w{n}" for n in "123")]
    found = roles(guess(*square(*(f"{stem}{name}.weight" for name in names))))
    assert [found[f"{stem}{name}.weight"][0] for name in names] == ["Q", "K", "V", "O", "GATE", "M2", "M1"]


def test_w1_is_the_first_map_where_there_is_no_gate() -> None:
    found = roles(guess(*square("layers.0.ffn.w1.weight", "layers.0.ffn.w2.weight")))
    assert found == {"layers.0.ffn.w1.weight": ("M1",), "layers.0.ffn.w2.weight": ("M2",)}


@pytest.mark.parametrize("name", ["qkv_proj", "query_key_value", "c_attn", "Wqkv", "W_pack"])
def test_a_fused_tensor_stays_whole(name: str) -> None:
    tensor = info(f"layers.0.attn.{name}.weight", (5 * HIDDEN, HIDDEN))
    (matrix,) = guess(tensor).matrices
    assert (matrix.role, matrix.shape, matrix.parts[0].rows) == ("QKV", tensor.shape, None)


@pytest.mark.parametrize("name", ["mlp.gate_up_proj.weight", "mlp.Wi.weight", "mlp.up_gate_proj.weight"])
def test_fused_gate_and_up_are_left_with_a_reason(name: str) -> None:
    tensors = square(f"layers.0.{name}", "layers.0.mlp.down_proj.weight")
    assert statuses(guess(*tensors), "unmapped") == {f"layers.0.{name}": "gate and up fused in an unknown layout"}


def test_fused_cross_attention_is_left_with_a_reason() -> None:
    tensors = square("h.0.crossattention.c_attn.weight", "h.0.attn.c_proj.weight")
    assert statuses(guess(*tensors), "unmapped") == {
        "h.0.crossattention.c_attn.weight": "fused cross-attention in an unknown layout"
    }


IGNORED = [
    (info("layers.0.norm.weight", (HIDDEN,)), "vector (not a matrix)", False),
    (info("layers.0.attn.bias", (HIDDEN,)), "vector (not a matrix)", False),
    (info("logit_scale", ()), "scalar (not a matrix)", False),
    (info("h.0.attn.bias", (1, 1, 8, 8), "bool"), "buffer: causal mask", True),
    (info("h.0.attn.masked_bias", ()), "buffer: causal mask", True),
    (info("layers.0.self_attn.rotary_emb.inv_freq", (4,)), "buffer: rotary frequencies", True),
    (info("embeddings.position_ids", (1, 8), "int64"), "buffer: position and token-type numbers", True),
    (
        info("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 3)),
        "relative position bias",
        False,
    ),
]


@pytest.mark.parametrize(("tensor", "rule", "buffer"), IGNORED, ids=[tensor.name for tensor, _, _ in IGNORED])
def test_what_is_no_matrix_is_ignored_by_rule(tensor: TensorInfo, rule: str, buffer: bool) -> None:
    coverage = {e.tensor: e for e in guess(tensor, *square("wte.weight")).coverage}
    entry = coverage[tensor.name]
    assert (entry.status, entry.detail, entry.buffer) == ("ignored", rule, buffer)


def test_quantised_and_three_dimensional_projections_say_so() -> None:
    model_map = guess(
        info("layers.0.self_attn.q_proj.weight", (HIDDEN, HIDDEN // 2), "uint8"),
        info("layers.0.mlp.down_proj.weight", (4, FF, HIDDEN)),
        info("layers.0.self_attn.qzeros", (4, FF), "int32"),
        *square("layers.0.self_attn.v_proj.weight"),
    )
    assert statuses(model_map, "unmapped") == {
        "layers.0.mlp.down_proj.weight": f"not 2-D: shape (4, {FF}, {HIDDEN})",
        "layers.0.self_attn.q_proj.weight": "quantised: stored as uint8",
        "layers.0.self_attn.qzeros": "no common name fits",
    }


def test_nothing_that_looks_like_a_matrix_of_a_model() -> None:
    with pytest.raises(MappingError, match=r"not one of 1 .* conv\.weight: no common name fits"):
        guess(*square("conv.weight"), config={"model_type": "resnet"})


def test_an_encoder_and_a_decoder_are_two_stacks() -> None:
    config = transformers.T5Config(d_model=HIDDEN, d_kv=8, d_ff=FF, num_layers=2, num_heads=3, vocab_size=VOCAB)
    assert config.tie_word_embeddings
    model = transformers.T5ForConditionalGeneration(config)
    tensors = {name: model.state_dict()[name] for name in model.state_dict() if "embed_tokens" not in name}
    model_map = map_model({**config.to_dict(), "model_type": "t6"}, infos(tensors))
    assert model_map.guessed
    assert statuses(model_map, "unmapped") == {}
    inside = [(m.stack, m.layer, m.role) for m in model_map.matrices if m.layer is not None]
    own, cross = ["Q", "K", "V", "O", "QKV"], ["XQ", "XK", "XV", "XO"]
    assert inside == [
        *(("encoder", n, role) for n in range(2) for role in [*own, "M1", "M2"]),
        *(("decoder", n, role) for n in range(2) for role in [*own, *cross, "M1", "M2"]),
    ]
    block = model.get_submodule("decoder.block.1.layer.1.EncDecAttention")
    (found,) = [m for m in model_map.matrices if (m.stack, m.layer, m.role) == ("decoder", 1, "XV")]
    assert torch.equal(tensors[found.tensors[0]], block.get_parameter("v.weight"))
    assert model_map.ties == (("lm_head.weight", "shared.weight"),)


def test_experts_are_numbered() -> None:
    stem = "model.layers.0.block_sparse_moe.experts."
    names = [f"{stem}{e}.w{n}.weight" for e in (0, 1, 10) for n in (1, 2, 3)]
    found = [(m.expert, m.role) for m in guess(*square(*names)).matrices]
    assert found == [(e, role) for e in (0, 1, 10) for role in ("GATE", "M1", "M2")]


def test_a_second_tower_is_left_whole() -> None:
    text = [f"language_model.layers.{n}.self_attn.{x}_proj.weight" for n in range(3) for x in "qkv"]
    vision = [f"vision_tower.layers.{n}.self_attn.{x}_proj.weight" for n in range(2) for x in "qk"]
    vision.append("vision_tower.layers.7.self_attn.q_proj.weight")
    model_map = guess(*square(*text, *vision))
    assert {name for m in model_map.matrices for name in m.tensors} == set(text)
    left = statuses(model_map, "unmapped")
    assert left.keys() == set(vision)
    assert set(left.values()) == {"a second stack of layers (vision_tower.layers) beside a larger one"}


def test_two_tensors_of_one_role_in_one_stack() -> None:
    first, second = "layers.0.a.q_proj.weight", "layers.0.b.q_proj.weight"
    model_map = guess(*square(first, second))
    assert statuses(model_map, "unmapped") == {second: f"{first} was taken for Q already"}


def test_attention_and_mlp_in_separate_lists_belong_together() -> None:
    names = ["attentions.0.q_lin.weight", "ffns.0.lin1.weight", "ffns.0.lin2.weight"]
    assert [(m.layer, m.role) for m in guess(*square(*names)).matrices] == [(0, "Q"), (0, "M1"), (0, "M2")]


@pytest.mark.parametrize(("stored", "transposed"), [((HIDDEN, FF), True), ((FF, HIDDEN), False)])
def test_c_names_are_turned_where_the_hidden_size_shows_it(stored: tuple[int, int], transposed: bool) -> None:
    model_map = guess(
        info("wte.weight", (VOCAB, HIDDEN)),
        info("h.0.mlp.c_fc.weight", stored),
        info("h.0.mlp.c_proj.weight", (stored[1], stored[0])),
        info("h.0.attn.c_proj.weight", (HIDDEN, HIDDEN)),
    )
    shapes = {m.role: m.shape for m in model_map.matrices if m.layer == 0}
    assert shapes == {"M1": (FF, HIDDEN), "M2": (HIDDEN, FF), "O": (HIDDEN, HIDDEN)}
    assert all(p.transposed == transposed for m in model_map.matrices if m.layer == 0 for p in m.parts)


@pytest.mark.parametrize("says", [True, False, None])
def test_head_and_embedding_are_compared_unless_the_config_denies_it(says: bool | None) -> None:
    config = {"model_type": "new"} | ({} if says is None else {"tie_word_embeddings": says})
    shape = (VOCAB, HIDDEN)
    tensors = [info("model.embed_tokens.weight", shape), info("lm_head.weight", shape)]
    ties = guess(*tensors, config=config).ties
    assert ties == (() if says is False else (("lm_head.weight", "model.embed_tokens.weight"),))
    assert guess(info("wte.weight", shape), info("lm_head.weight", (VOCAB + 1, HIDDEN)), config=config).ties == ()


def test_dimensions_of_a_guess_are_counted_not_believed() -> None:
    tensors = square("layers.0.fc1.weight", "layers.999999999.fc1.weight")
    assert guess(*tensors).dimensions == {"layers": 2}


def test_a_hostile_name_costs_no_time() -> None:
    name = "layers.0." + "att" * 1_000_000 + ".q.weight"  # quadratic for a pattern that searches an attention
    model_map = guess(*square("wte.weight", name))
    assert statuses(model_map, "unmapped") == {name: "a name of more than 1024 characters"}


def test_a_first_map_of_twice_the_rows_is_a_gate_and_an_up() -> None:
    fused, second = "layers.0.mlp.dense_h_to_4h.weight", "layers.0.mlp.dense_4h_to_h.weight"
    model_map = guess(info(fused, (2 * FF, HIDDEN)), info(second, (HIDDEN, FF)))
    assert roles(model_map) == {second: ("M2",)}
    assert statuses(model_map, "unmapped") == {fused: "gate and up fused in an unknown layout"}


def test_a_first_map_that_does_not_fit_the_second_is_left() -> None:
    gate, first, second = (f"layers.0.mlp.{name}_proj.weight" for name in ("gate", "up", "down"))
    model_map = guess(info(gate, (FF, HIDDEN)), info(first, (2 * FF, HIDDEN)), info(second, (HIDDEN, FF)))
    assert statuses(model_map, "unmapped") == {first: "its rows do not fit M2's columns"}
    model_map = guess(info(gate, (FF + 1, HIDDEN)), info(first, (FF, HIDDEN)), info(second, (HIDDEN, FF)))
    assert statuses(model_map, "unmapped") == {gate: "its rows do not fit M2's columns"}


def test_maps_are_held_against_those_of_their_own_place() -> None:
    names = {"layers.0.fc1": (FF, HIDDEN), "layers.0.fc2": (HIDDEN, FF), "layers.1.fc1": (9, HIDDEN)}
    model_map = guess(*(info(f"{name}.weight", shape) for name, shape in names.items()))
    assert statuses(model_map, "unmapped") == {}


@pytest.mark.parametrize("name", ["down_proj", "gate_up_proj", "down_proj.weight", "w1"])
def test_experts_in_one_tensor_are_left_with_a_reason(name: str) -> None:
    tensor = info(f"model.layers.0.mlp.experts.{name}", (4, FF, HIDDEN))
    model_map = guess(tensor, *square("wte.weight"))
    assert statuses(model_map, "unmapped") == {tensor.name: "experts stacked in one 3-D tensor"}


def test_a_state_space_mixer_is_no_attention() -> None:
    mamba = [f"backbone.layers.0.mixer.{name}.weight" for name in ("in_proj", "out_proj")]
    assert statuses(guess(*square("wte.weight", *mamba)), "unmapped") == dict.fromkeys(mamba, "no common name fits")
    attention = square("h.0.mixer.Wqkv.weight", "h.0.mixer.out_proj.weight")
    assert roles(guess(*attention)) == {attention[0].name: ("QKV",), attention[1].name: ("O",)}


def test_layers_of_an_encoder_and_a_decoder_are_not_added_up() -> None:
    names = [
        f"{stack}.layers.{n}.fc1.weight" for stack, count in (("encoder", 2), ("decoder", 3)) for n in range(count)
    ]
    assert guess(*square(*names)).dimensions == {"layers": 3}


@pytest.mark.parametrize(
    ("config", "dimensions"),
    [
        ({}, {}),
        ({"num_hidden_layers": 12}, {"layers": 12}),
        ({"n_layer": 12}, {"layers": 12}),
        ({"n_layer": True}, {}),
        ({"n_layer": "12"}, {}),
        ({"n_layer": -1}, {}),
    ],
)
def test_where_no_layer_is_numbered_the_config_counts_them(config: dict[str, Any], dimensions: dict[str, int]) -> None:
    model_map = guess(*square("lm_head.weight"), config={"model_type": "new"} | config)
    assert (model_map.dimensions, model_map.notes) == (dimensions, ())
