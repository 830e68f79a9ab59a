"""Sound models of real sizes, and of sizes that stand for another kind of model, are whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.architecture.defaults import accusations
from tests.architecture.deletions import saved_by
from tests.architecture.exceptions import NO_LANGUAGE_MODEL
from tests.architecture.inventories import built_types, classes_of
from weightaudit.architecture import map_model

SAMPLE: list[tuple[str, dict[str, Any]]] = [
    ("lfm2", {}),
]
COSTLY: list[tuple[str, dict[str, Any]]] = [
    ("mamba2", {}),
    ("bamba", {}),
    ("marian", {}),
    ("mistral_large4", {"text_config": {"num_hidden_layers": 8, "n_routed_experts": 4}}),  # two without rotary part
    ("beam", {"num_hidden_layers": 5}),  # of which three have experts
    ("convbert", {}),
    ("dots3_note_text", {"n_routed_experts": 4}),  # sizes of its own in three layers of four
    ("falcon_h1", {}),
    ("flint", {"num_experts": 4}),
    ("xlnet", {}),
]


def accused(model_type: str, **values: Any) -> dict[str, tuple[str, ...]]:
    said = dict(accusations(model_type, **values))
    assert said
    return {name: says for name, says in said.items() if says and name not in NO_LANGUAGE_MODEL}


@pytest.mark.parametrize(
    ("model_type", "values"), [*SAMPLE, *(pytest.param(*case, marks=pytest.mark.slow) for case in COSTLY)]
)
def test_a_model_of_the_class_s_own_sizes_is_whole(model_type: str, values: dict[str, Any]) -> None:
    assert accused(model_type, **values) == {}


@pytest.mark.slow
@pytest.mark.parametrize("model_type", built_types())
def test_every_model_of_its_class_s_own_sizes_is_whole(model_type: str) -> None:
    assert {name: says for name, says in accusations(model_type) if says and name not in NO_LANGUAGE_MODEL} == {}


def _heads(number: int, of_keys: int, size: int) -> dict[str, int]:
    return {"num_attention_heads": number, "num_key_value_heads": of_keys, "head_dim": size}


@pytest.mark.parametrize(
    ("model_type", "cls", "values"),
    [
        # As Qwen3-30B-A3B and GLM-4.5 have them: heads of 128, which are more than the hidden size.
        ("qwen3_moe", "Qwen3MoeForCausalLM", {"hidden_size": 2048, **_heads(32, 4, 128)}),
        ("glm4_moe", "Glm4MoeForCausalLM", {"hidden_size": 5120, **_heads(96, 8, 128)}),
        ("electra", "ElectraForPreTraining", {"embedding_size": 48}),  # then nothing projects it
        ("convbert", "ConvBertForMaskedLM", {"embedding_size": 48}),
        ("deberta-v2", "DebertaV2ForMaskedLM", {"relative_attention": True, "position_buckets": 8}),
        ("deberta-v2", "DebertaV2ForMaskedLM", {"relative_attention": True}),
    ],
)
def test_a_size_that_stands_for_another_kind_of_model(model_type: str, cls: str, values: dict[str, Any]) -> None:
    (found,) = (one for one in classes_of(model_type) if one.__name__ == cls)
    assert map_model(*saved_by(model_type, found, **values)).discrepancies == ()
