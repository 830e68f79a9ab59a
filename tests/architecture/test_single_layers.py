"""What a config says otherwise of single layers (``per_layer_config``) holds in these."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.architecture.deletions import saved_by, says
from tests.architecture.inventories import classes_of
from tests.architecture.saved import info
from weightaudit.architecture import map_model
from weightaudit.architecture.dimensions import resolve
from weightaudit.architecture.registry import for_model_type
from weightaudit.errors import ConfigError
from weightaudit.records import TensorInfo

SIZES = {"intermediate_size": 100, "num_key_value_heads": 1}
"""Of layer 1 alone."""
UP = "model.layers.1.mlp.up_proj.weight"
BIAS = "model.layers.1.self_attn.k_proj.bias"


@pytest.fixture(scope="module")
def uneven() -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """(config, tensors) of a Qwen2 whose second layer has sizes of its own."""
    config, tensors = saved_by("qwen2", classes_of("qwen2")[0])
    ff, keys = config["intermediate_size"], tensors[BIAS].shape[0]
    smaller = {ff: SIZES["intermediate_size"], keys: keys // config["num_key_value_heads"]}
    for name in tensors:
        if re.search(r"layers\.1\..*(mlp|[kv]_proj)", name):
            tensors[name] = info(name, tuple(smaller.get(size, size) for size in tensors[name].shape))
    return {**config, "per_layer_config": {"01": SIZES}}, tensors


def test_a_layer_of_other_sizes_is_whole(uneven: Any) -> None:
    config, tensors = uneven
    assert tensors[UP].shape[0] == SIZES["intermediate_size"] != config["intermediate_size"]
    found = map_model(config, tensors)
    assert found.discrepancies == ()
    rows = {(one.layer, one.role): one.shape[0] for one in found.matrices}
    assert rows[1, "M1"] == SIZES["intermediate_size"]
    assert rows[1, "K"] * config["num_key_value_heads"] == rows[0, "K"]


def test_a_layer_of_the_sizes_of_the_others_is_misshapen(uneven: Any) -> None:
    config, tensors = uneven
    others = tensors[UP.replace("1", "0")].shape
    (told,) = says(config, {**tensors, UP: info(UP, others)}, "misshapen")
    assert f"{UP}: its shape is {others}, the config makes it (100, " in told
    assert "intermediate_size = 100" in told


def test_what_has_no_role_is_of_its_layer_s_size_too(uneven: Any) -> None:
    config, tensors = uneven
    (told,) = says(config, {**tensors, BIAS: info(BIAS, tensors[BIAS.replace("1", "0")].shape)}, "misshapen")
    assert told.startswith(f"{BIAS}: ")


def test_a_layer_may_lack_what_its_config_skips(uneven: Any) -> None:
    config, tensors = uneven
    rest = {name: one for name, one in tensors.items() if "layers.1.self_attn" not in name}
    assert says(config, rest, "missing")
    skipped = {**config, "per_layer_config": {"01": {**SIZES, "skip": ["attention"]}}}
    assert says(skipped, rest, "missing") == []


@pytest.mark.parametrize("said", [None, [], 7, {"one": SIZES}, {"1": 5}, {"-1": SIZES}, {"9" * 30: SIZES}])
def test_what_is_no_table_of_layers_is_left_out(said: object) -> None:
    family = for_model_type("llama", "")
    assert family is not None
    config, _ = saved_by("llama", classes_of("llama")[0])
    assert resolve(family, "llama", {**config, "per_layer_config": said}).layers == {}


def test_a_size_that_is_no_number_is_told_of_a_layer_too() -> None:
    config, tensors = saved_by("llama", classes_of("llama")[0])
    with pytest.raises(ConfigError, match="intermediate_size must be a whole number"):
        map_model({**config, "per_layer_config": {"1": {"intermediate_size": "many"}}}, tensors)
