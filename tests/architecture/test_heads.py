"""Heads proved by execution: the maps that are measured are those that the model applies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.heads import Seen, gains_of, maps_of, plans_of, rough, stored_of, watched
from tests.support.tiny import tiny
from weightaudit.architecture.attention import stretched
from weightaudit.architecture.attention_plan import AttentionPlan
from weightaudit.architecture.heads import plan_heads
from weightaudit.architecture.mapping import map_model
from weightaudit.records import ModelMap, TensorInfo

LINEAR: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "gpt2": {},
    "gpt_bigcode": {"multi_query": True},
    "gpt_neox": {},
    "gemma": {},
    "gemma2": {},
    "granite": {"attention_multiplier": 0.3},
    "phi3": {},
    "deepseek_v3": {},
    "deepseek_v2": {"q_lora_rank": None},
}
"""Types in which queries and keys are linear in what the norm before gives, and config values."""
SOME = [pytest.param(one, marks=pytest.mark.slow) if one in ("qwen2", "gemma2") else one for one in LINEAR]
"""By default those of which no other reads the norm, its heads and the scale in the same way."""
NORMED: dict[str, dict[str, Any]] = {"qwen3": {}, "gemma3_text": {}, "olmo2": {}, "cohere": {"use_qk_norm": True}}
"""Types that normalise queries and keys."""


def _without_biases(model: Any) -> Any:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return model


def _first(model: Any) -> AttentionPlan:
    return next(plan for plan in plans_of(model) if plan.attention.stack in ("", "decoder"))


def _tokens(model: Any, count: int) -> torch.Tensor:
    return torch.arange(5, 5 + count)[None]


def _run_alone(model: Any, modules: dict[str, str], token: int) -> Seen:
    """The first attention on one token, which is at position 0."""
    with watched(model, modules) as seen, torch.no_grad():
        model(input_ids=torch.tensor([[token]]), use_cache=False)
    return seen[0]


def _output_module(plan: AttentionPlan) -> str:
    return plan.matrices["O"].tensors[0].removesuffix(".weight")


@pytest.mark.parametrize("model_type", SOME)
def test_a_logit_and_an_output_of_the_model_are_those_of_the_maps_of_its_heads(model_type: str) -> None:
    """x̂ᵀ·(s·D·W_Qᵀ·W_K·D)·ŷ for each head, and Σ_h W_O·W_V·D·x̂, where x̂ is the norm's output without its gains."""
    model = _without_biases(rough(model_type, **LINEAR[model_type]))
    plan, stored = _first(model), stored_of(model)
    attention = plan.attention
    assert plan.q_in is not None
    assert plan.kv_in is not None
    norms = {"q": plan.q_in, "kv": plan.kv_in}
    modules = {name: norm.tensor.removesuffix(".weight") for name, norm in norms.items()} | {"o": _output_module(plan)}
    one, other = _run_alone(model, modules, 7), _run_alone(model, modules, 9)
    assert one.scale == pytest.approx(attention.scale)
    x = one.inputs["q"][0] / gains_of(plan.q_in, stored, one.inputs["q"].shape[1])
    y = other.inputs["kv"][0] / gains_of(plan.kv_in, stored, other.inputs["kv"].shape[1])
    total = 0.0
    for head in range(attention.heads):
        logit, ov = maps_of(plan, stored, head)
        kv = head // (attention.heads // attention.kv_heads)
        nope = attention.head_dim - plan.rotary
        expected = one.scale * one.query[head, 0, :nope] @ other.key[kv, 0, :nope]
        np.testing.assert_allclose(x @ logit @ y, expected, rtol=1e-4, atol=1e-5)
        total = total + ov @ y
    np.testing.assert_allclose(total, other.inputs["o"][0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model_type", NORMED)
def test_a_norm_of_queries_and_keys_is_found_and_said(model_type: str) -> None:
    plan = _first(tiny(model_type, **NORMED[model_type]))
    assert plan.q_norm is not None
    assert plan.k_norm is not None
    assert plan.bounded
    assert plan.attention.head_norm == plan.q_norm.tensor.removesuffix(".weight")
    assert any("the norm of queries and keys" in words for words in plan.attention.left_out)


def test_shared_keys_and_values_are_those_that_the_model_repeats() -> None:
    plan = _first(tiny("gpt_bigcode", multi_query=True))
    assert (plan.attention.heads, plan.attention.kv_heads) == (4, 1)
    plan = _first(tiny("llama"))
    assert (plan.attention.heads, plan.attention.kv_heads) == (4, 2)


@pytest.mark.parametrize(
    ("model_type", "scale", "source"),
    [
        ("t5", 1.0, "1"),
        ("gpt_neo", 1.0, "1"),
        ("gemma2", 1 / 16, "1/√query_pre_attn_scalar"),
        ("granite", 1.0, "attention_multiplier"),
        ("llama", 0.25, "1/√head_dim"),
    ],
)
def test_the_scale_is_the_families_own(model_type: str, scale: float, source: str) -> None:
    attention = _first(tiny(model_type)).attention
    assert attention.scale == pytest.approx(scale)
    assert attention.scale_source == source


def test_mpt_may_say_its_scale() -> None:
    assert _first(tiny("mpt", attn_config={"softmax_scale": 0.3})).attention.scale == 0.3
    assert _first(tiny("mpt")).attention.scale_source == "1/√head_dim"


def test_gpt2_may_divide_by_the_number_of_the_layer() -> None:
    first, second = (plan.attention for plan in plans_of(tiny("gpt2", scale_attn_by_inverse_layer_idx=True)))
    assert second.scale == pytest.approx(first.scale / 2)


@pytest.mark.parametrize(
    "said",
    [
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
        {"rope_parameters": {"sliding_attention": {"rope_type": "default"}, "full_attention": {"rope_type": "yarn"}}},
        {"rope_scaling": {"type": "su"}},
        {"rope": {"scaling": {"type": "yarn"}}},
    ],
)
def test_nothing_is_bounded_where_rotary_tables_multiply(said: dict[str, Any]) -> None:
    """In all layers, in those of one type (OLMo 3, Laguna), in Phi-3's older word, and in a GGUF header."""
    assert stretched(said)
    assert not stretched({"rope_parameters": {"full_attention": {"rope_type": "linear"}}})


def test_a_layer_type_with_yarn_leaves_the_logits_unbounded() -> None:
    usual = {"rope_type": "default", "rope_theta": 10000.0}
    yarn = {**usual, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    rope = {"sliding_attention": usual, "full_attention": yarn}
    assert _first(tiny("olmo3")).bounded
    assert not _first(tiny("olmo3", rope_parameters=rope)).bounded


def test_post_norm_models_have_no_gains_folded_in() -> None:
    attention = _first(tiny("bert")).attention
    assert attention.norm == ""
    assert any("none is known" in words for words in attention.left_out)


def _mapped(config: dict[str, Any], q: int, k: int, v: int, o: int) -> tuple[ModelMap, list[str]]:
    shapes = {"q": (q, 24), "k": (k, 24), "v": (v, 24), "o": (24, o)}
    tensors = {
        f"model.layers.0.self_attn.{part}_proj.weight": TensorInfo(
            f"model.layers.0.self_attn.{part}_proj.weight", "float32", shape, "model.safetensors", 0, 0
        )
        for part, shape in shapes.items()
    }
    return map_model(config, tensors), list(tensors)


def _skipped(config: dict[str, Any], q: int = 24, k: int = 12, v: int = 12, o: int = 24) -> str:
    model_map, names = _mapped(config, q, k, v, o)
    plans, skipped = plan_heads(config, model_map, names)
    assert len(plans) + len(skipped) == 1
    return skipped[0].why if skipped else ""


@pytest.mark.parametrize(
    ("heads", "why"),
    [
        (5, "24 rows of Q are not 5 heads"),
        (0, "its config says no number of heads"),
        (-3, "its config says no number of heads"),
        (2**60, "its config says no number of heads"),
        ("3", "its config says no number of heads"),
        (None, "its config says no number of heads"),
        (48, "24 rows of Q are not 48 heads"),
    ],
)
def test_a_number_of_heads_that_the_shapes_contradict_is_not_believed(heads: object, why: str) -> None:
    assert why in _skipped({"model_type": "never-heard-of", "num_attention_heads": heads})


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"k": 10, "v": 10}, "10 rows of K are no heads of 8 rows"),
        ({"k": 16, "v": 16}, "that 3 heads of queries could share"),
        ({"k": 8, "v": 8, "o": 22}, "22 columns of O are not shares of 3 heads"),
        ({"k": 8, "v": 16}, "a head has 16 rows of V and 8 columns of O"),
    ],
)
def test_shapes_that_do_not_fit_each_other_are_no_heads(sizes: dict[str, int], why: str) -> None:
    assert why in _skipped({"model_type": "never-heard-of", "num_attention_heads": 3}, **sizes)


def test_an_unknown_type_has_heads_by_its_config_and_says_what_is_assumed() -> None:
    config = {"model_type": "never-heard-of", "num_attention_heads": 3}
    model_map, names = _mapped(config, 24, 8, 8, 24)
    ((plan,), skipped) = plan_heads(config, model_map, names)
    assert skipped == []
    assert (plan.attention.heads, plan.attention.kv_heads, plan.attention.head_dim) == (3, 1, 8)
    assert "assumed" in plan.attention.scale_source
    assert plan.q_in is None
    assert not plan.bounded


def test_very_many_heads_are_left_out() -> None:
    config = {"model_type": "never-heard-of", "num_attention_heads": 2048}
    assert "more than 1,024" in _skipped(config, q=2048, k=2048, v=2048, o=2048)


def test_types_whose_heads_are_no_heads_say_why() -> None:
    with_pairs = tiny("diffllama")
    assert plans_of(with_pairs) == []
    assert plans_of(tiny("falcon_h1")) == []  # attention_in_multiplier, key_multiplier
    assert plans_of(tiny("dots3_note_text")) == []  # √(hidden_size / q_lora_rank) stands after the norm
