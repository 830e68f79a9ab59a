"""Every mapped model type that transformers has: tiny, random, saved, mapped, and each role proved by execution.

Nothing compares names with names: `proving` holds what the mapped matrices compute against what the model computed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.architecture.by_default import BY_DEFAULT, NOT_PROVED
from tests.architecture.features import features
from tests.architecture.proofs import Verdict, judge
from tests.architecture.proving import Prover, run
from tests.architecture.saved import info, infos, value
from tests.support.covering import covering, some_of
from tests.support.tiny import all_model_types, tiny
from tests.support.tiny_sizes import ALONE, CLASSES, LISTED, NOT_BUILT, UNPROVEN
from weightaudit.architecture import families, layouts, map_model
from weightaudit.architecture.registry import for_model_type, model_types, multimodal, not_mapped
from weightaudit.records import Rows

BUILT = [
    *(
        name
        for known in families()
        for name in known.model_types
        if name in all_model_types() and name not in NOT_BUILT
    ),
    *(name for name in multimodal().types if name not in NOT_BUILT),
]


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Verdict]:
    """The verdict on a model type, which is built once."""
    return cache(lambda model_type: judge(model_type, tmp_path_factory.mktemp("proved")))


@pytest.mark.parametrize(
    "model_type",
    [name if name in BY_DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in BUILT],
)
def test_each_role_of_each_model_type_is_proved(model_type: str, proved: Callable[[str], Verdict]) -> None:
    verdict = proved(model_type)
    assert verdict.proven or verdict.excused, str(verdict)
    assert verdict.stale == ()
    # No tensor is dropped: each is analysed, ignored by a rule, or listed with a reason.
    assert verdict.tensors == verdict.accounted
    if model_type in multimodal().types:
        assert verdict.towers  # what is no part of the language model is ignored by a rule that says so
    assert set(verdict.listed) == LISTED.get(model_type, {}).keys()


def test_what_is_proved_by_default_is_read_by_every_feature_of_the_specs(proved: Callable[[str], Verdict]) -> None:
    """A family, a role or a kind of rule that none of them has needs a model type that does among them."""
    assert set(BY_DEFAULT) <= set(BUILT)
    read = set[str]().union(*(proved(model_type).used for model_type in BY_DEFAULT))
    assert sorted(features(BUILT) - read) == sorted(NOT_PROVED)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    ("falcon", {"new_decoder_architecture": False, "multi_query": False, "num_kv_heads": 4}),
    ("falcon", {"new_decoder_architecture": False, "multi_query": True, "parallel_attn": False}),
    ("gpt_bigcode", {"multi_query": False}),
    ("opt", {"word_embed_proj_dim": 20}),
    ("t5", {"feed_forward_proj": "gated-gelu"}),
    ("deepseek_v2", {"q_lora_rank": None}),
    ("electra", {"embedding_size": 48}),
]
COSTLY: list[tuple[str, dict[str, Any]]] = [
    ("mistral_large4", {"text_config": {"no_rope_layers": [1, 0]}}),
    ("mixtral", {"num_local_experts": 2, "num_experts_per_tok": 2, "head_dim": 12}),
    ("switch_transformers", {"num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1, "num_experts": 1}),
]


@pytest.mark.parametrize(
    ("model_type", "values"), [*VARIANTS, *(pytest.param(*case, marks=pytest.mark.slow) for case in COSTLY)]
)
def test_other_configs_of_a_model_type(model_type: str, values: dict[str, Any], tmp_path: Path) -> None:
    assert str(judge(model_type, tmp_path, **values)).endswith("proven")


def test_both_stacks_of_text_that_blip_answers_questions_by_are_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLASSES, "blip", "BlipForQuestionAnswering")
    model = tiny("blip")
    tensors = model.state_dict()
    found = map_model(model.config.to_dict(), infos(tensors))
    assert found.discrepancies == ()
    assert [entry.tensor for entry in found.coverage if entry.status == "unmapped"] == []
    matrices = {(m.stack, m.layer, m.expert, m.role): value(m, tensors) for m in found.matrices}
    inputs = {key: torch.tensor(values) for key, values in ALONE["blip"][1].items()}
    for stack, module in (("encoder", model.text_encoder), ("", model.text_decoder)):
        own = {key: matrix for key, matrix in matrices.items() if key[0] == stack}
        proof = Prover(own, run(module, **inputs), model).prove()
        assert (proof.missing, proof.left, proof.in_order) == ({}, 0, True)
        assert {role for *_, role in proof.shown} >= {"Q", "K", "V", "O", "XQ", "XK", "XV", "XO", "M1", "M2", "EMBED"}


# packing → a model type that uses it, with the config values that make it so
PACKED: dict[str, tuple[str, dict[str, Any]]] = {
    "contiguous": ("phi3", {}),
    "per_head": ("bloom", {}),
    "grouped": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "multi_query": ("gpt_bigcode", {}),
    "mp_num": ("codegen", {}),
    "alternating": ("gpt_oss", {}),
}


def test_every_packing_has_a_model_type_that_proves_it() -> None:
    assert PACKED.keys() == layouts.PACKINGS.keys()


@pytest.mark.parametrize("packing", PACKED)
def test_a_packing_with_two_slices_swapped_is_caught(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = layouts.PACKINGS[packing]

    def swapped(roles: Any, rows: Any, dimensions: Any) -> dict[str, tuple[Rows, ...]]:
        layout = right(roles, rows, dimensions)
        first, second = roles[-2:]
        return {**layout, first: layout[second], second: layout[first]}

    monkeypatch.setitem(layouts.PACKINGS, packing, swapped)
    model_type, values = PACKED[packing]
    assert judge(model_type, tmp_path, **values).missing.keys() & {"K", "V", "GATE", "M1"}


def test_every_model_type_is_mapped_or_listed_with_a_reason() -> None:
    assert set(all_model_types()) - set(model_types()) == set(not_mapped())
    proven = [model_type for model_type in all_model_types() if model_type in model_types()]
    assert len(proven) - len(UNPROVEN) - len(NOT_BUILT) >= 290


@pytest.mark.parametrize("model_type", some_of(["bamba", "llama"], "llama"))
def test_layers_that_the_map_forgets_or_swaps_are_caught(model_type: str) -> None:
    model = tiny(model_type)
    tensors = model.state_dict()
    found = map_model(model.config.to_dict(), infos(tensors)).matrices
    matrices = {(m.stack, m.layer, m.expert, m.role): value(m, tensors) for m in found}
    with_attention = sorted({key[1] for key in matrices if key[3] == "Q"}, key=str)
    whole = Prover(matrices, run(model), model).prove()
    assert (whole.left, whole.in_order) == (0, True)
    forgotten = {key: m for key, m in matrices.items() if key[1] != with_attention[-1]}
    assert Prover(forgotten, run(model), model).prove().left == 1
    turned = {(key[0], None if key[1] is None else 1 - key[1], *key[2:]): m for key, m in matrices.items()}
    swapped = Prover(turned, run(model), model).prove()
    assert swapped.in_order == (len(with_attention) == 1)  # one attention is in any order


WRAPPERS = {
    "compiled": lambda name: f"_orig_mod.{name}",
    "data parallel": lambda name: f"module.{name}",
    "adapted": lambda name: f"base_model.model.{name}",
    "compiled within": lambda name: name.replace("layers.1.", "layers.1._orig_mod."),
    "all of them": lambda name: f"module._orig_mod.base_model.model.{name}",
}


@pytest.mark.parametrize(
    ("case", "model_type"), covering(list(WRAPPERS), ["llama", "bloom", "t5", "modernbert"], together=1)
)
def test_a_wrapped_checkpoint_equals_its_plain_twin(case: str, model_type: str) -> None:
    model = tiny(model_type)
    tensors = infos(model.state_dict())
    wrapped = {WRAPPERS[case](name): info(WRAPPERS[case](name), tensor.shape) for name, tensor in tensors.items()}
    config = model.config.to_dict()
    plain, found = map_model(config, tensors), map_model(config, wrapped)
    assert [(m.key, m.shape, len(m.parts)) for m in found.matrices] == [
        (m.key, m.shape, len(m.parts)) for m in plain.matrices
    ]
    assert [(e.status, e.roles) for e in plain.coverage] == [
        (by_plain.status, by_plain.roles)
        for entry in plain.coverage
        for by_plain in found.coverage
        if by_plain.tensor == WRAPPERS[case](entry.tensor)
    ]


def test_a_model_type_is_one_of_transformers() -> None:
    remote = {name for family in families() for name in family.remote}
    known = {model_type for family in families() for model_type in family.model_types}
    others = {"gguf"}  # of llama.cpp: tests/quantised/test_gguf_models.py
    assert known - set(transformers.CONFIG_MAPPING) == remote | others


def test_a_multimodal_model_is_read_by_the_language_model_that_its_config_names() -> None:
    names = {
        "language_model.model.layers.0.self_attn.q_proj.weight": (8, 8),
        "language_model.lm_head.weight": (11, 8),
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight": (8, 8),
        "multi_modal_projector.linear_1.weight": (8, 8),
        "another_tower.layers.0.self_attn.q_proj.weight": (8, 8),
    }
    tensors = {name: info(name, shape) for name, shape in names.items()}
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 11}
    for kind, family in (("llama", "llama"), ("qwen3_moe", "moe")):
        experts = {"num_experts": 2} if family == "moe" else {}
        model_map = map_model({"model_type": "llava", "text_config": {"model_type": kind, **sizes, **experts}}, tensors)
        assert (model_map.family, model_map.model_type, model_map.guessed) == (family, "llava", False)
        assert [matrix.role for matrix in model_map.matrices] == ["Q", "HEAD"]
        assert {e.tensor.split(".")[0]: (e.status, e.detail) for e in model_map.coverage if not e.roles} == {
            "vision_tower": ("ignored", "vision tower"),
            "multi_modal_projector": ("ignored", "projector from a tower to the language model"),
            "another_tower": ("unmapped", f"no pattern of family {family} fits"),
        }
    # The config of Qwen2-VL as it lies on the Hub has no text_config; a language model nobody knows is guessed.
    flat = {"model_type": "qwen2_vl", **sizes, "vision_config": {}}
    assert map_model(flat, tensors).family == "llama"
    assert map_model({"model_type": "llava", "text_config": {"model_type": "unheard-of"}}, tensors).guessed


def test_layers_that_a_multimodal_model_calls_otherwise_are_found() -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 11}
    config = {"model_type": "qianfan_ocr", "text_config": {"model_type": "qwen3", "head_dim": 4, **sizes}}
    for layers in ("layers", "encoder.layers"):  # on the Hub, and as transformers saves them
        name = f"language_model.model.{layers}.0.self_attn.q_proj.weight"
        model_map = map_model(config, {name: info(name, (8, 8))})
        assert [(matrix.layer, matrix.role) for matrix in model_map.matrices] == [(0, "Q")]


def test_what_one_model_type_calls_its_tower_is_no_tower_of_another() -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 11}
    names = ["language_model.model.blocks.0.unheard_of.weight", "blocks.0.unheard_of.weight"]
    tensors = {name: info(name, (8, 8)) for name in [*names, "language_model.model.embed_tokens.weight"]}
    tensors["language_model.model.embed_tokens.weight"] = info("language_model.model.embed_tokens.weight", (11, 8))
    for kind, text, status in (("kimi_k25", "deepseek_v3", "unmapped"), ("llava", "llama", "unmapped"),
                               ("cosmos3_omni", "qwen3_vl_text", "ignored")):  # fmt: skip
        config = {"model_type": kind, "text_config": {"model_type": text, **sizes}}
        found = {entry.tensor: entry.status for entry in map_model(config, tensors).coverage}
        assert found["blocks.0.unheard_of.weight"] == status
        assert found["language_model.model.blocks.0.unheard_of.weight"] == status


def test_no_multimodal_model_is_of_a_family_too() -> None:
    own = {model_type for family in families() for model_type in family.model_types}
    assert own & set(multimodal().types) == set()
    assert all(for_model_type(model_type) is not None for model_type in multimodal().types)


TWENTY = [
    *("llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "mixtral", "gemma", "gemma2", "gemma3", "gemma3_text", "phi"),
    *("phi3", "gpt2", "gpt_neox", "opt", "bloom", "falcon", "t5", "bart", "bert", "roberta", "distilbert", "deberta"),
    *("deberta-v2", "xlm-roberta", "mpnet", "nomic_bert", "modernbert", "deepseek_v2", "deepseek_v3", "gpt_oss", "glm"),
    *("glm4", "glm4_moe", "gptj", "gpt_neo", "electra", "albert", "qwen2_vl", "qwen2_5_vl", "llava"),
]


def test_the_families_that_people_download_are_known() -> None:
    assert [model_type for model_type in TWENTY if for_model_type(model_type) is None] == []
    assert set(TWENTY) & set(not_mapped()) == set()
