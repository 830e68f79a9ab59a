"""Sound models of real sizes, and of sizes that stand for another kind of model, are whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from tests.architecture.deletions import saved_by
from tests.architecture.inventories import classes_of, held_by, unset
from tests.architecture.saved import info
from weightaudit.architecture import map_model


@pytest.mark.parametrize("model_type", ["bamba", "beam", "convbert", "falcon_h1", "lfm2", "mamba2", "marian", "xlnet"])
def test_a_model_of_the_class_s_own_sizes_is_whole(model_type: str) -> None:
    for cls in classes_of(model_type):
        config = cls.config_class()
        with torch.device("meta"), unset():
            shapes, _ = held_by(cls(config))
        said = {**json.loads(config.to_json_string(use_diff=False)), "architectures": [cls.__name__]}
        assert map_model(said, {name: info(name, shape) for name, shape in shapes.items()}).discrepancies == ()


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
