"""Where the numbers come from: config.json, then transformers' class, then the spec's rule."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import pytest
import transformers

from tests.architecture import class_defaults, deletions
from tests.architecture.inventories import classes_of
from tests.architecture.saved import info
from tests.support.covering import some_of
from tests.support.tiny import tiny_config
from weightaudit.architecture import Family, attention, families, family, map_model
from weightaudit.architecture import class_defaults as defaults
from weightaudit.architecture.class_defaults import asked_of_class, default_of, tower_type
from weightaudit.architecture.dimensions import MOST_UNLIKE, embeddings_tied, resolve
from weightaudit.architecture.mapping import CONFIG
from weightaudit.architecture.registry import layers_of_towers, model_types, multimodal
from weightaudit.errors import ConfigError


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", "camembert", "gpt2", "phi", "gptj"])
def test_an_empty_config_is_what_transformers_class_says(model_type: str) -> None:
    known = family(model_type)
    config = transformers.CONFIG_MAPPING[model_type]()
    values = resolve(known, model_type, {}).values
    live = {"hidden": config.hidden_size, "layers": config.num_hidden_layers, "heads": config.num_attention_heads}
    inner = getattr(config, "n_inner", None) or getattr(config, "intermediate_size", 4 * config.hidden_size)
    assert live | {"ff": inner, "vocab": config.vocab_size} == {key: values[key] for key in (*live, "ff", "vocab")}


@pytest.mark.parametrize(
    "model_type",
    some_of(["glm4_moe", "glm4_moe_lite", "glm4v_moe", "qwen3_omni_moe_thinker"], "glm4_moe", "glm4v_moe"),
)
def test_the_size_of_heads_that_no_config_says_is_rounded_down_as_the_class_does(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 by 7 heads: their size is 6."""

    def silent(model_type: str, **values: Any) -> Any:
        config = tiny_config(model_type, **values)
        own = config.get_text_config()
        if "head_dim" in own.__dict__:
            del own.head_dim
        return config

    monkeypatch.setattr(deletions, "tiny_config", silent)
    cls = classes_of(model_type)[0]
    heads: dict[str, Any] = {"num_attention_heads": 7, "num_key_value_heads": 7}
    nested = "text_config" in tiny_config(model_type).to_dict()
    config, tensors = deletions.saved_by(model_type, cls, **({"text_config": heads} if nested else heads))
    assert "head_dim" not in config.get("text_config", config)
    found = map_model(config, tensors)
    assert found.discrepancies == ()
    (query,) = [one for one in found.matrices if (one.stack, one.layer, one.role) == ("", 0, "Q")]
    assert query.shape == (7 * 6, 48) or model_type == "glm4_moe_lite"


def test_sizes_that_the_configs_of_these_classes_leave_out_are_told() -> None:
    """By default glm4_moe has 96 heads of 4096 // 96, and qwen3_omni_moe_thinker 28 of 2048 // 28."""
    for model_type, size in (("glm4_moe", 42), ("glm4v_moe", 42), ("sarvam_moe", 64), ("qwen3_omni_moe_thinker", 73)):
        config = json.loads(transformers.CONFIG_MAPPING[model_type]().to_json_string(use_diff=False))
        for silent in (config, {**config, "head_dim": None}):
            assert resolve(family(model_type), model_type, silent).values["head_dim"] == size


@pytest.mark.parametrize(("model_type", "values"), [
    ("gpt2", {"n_embd": 24, "n_inner": None}),
    ("gpt2", {"hidden_size": 24}),
    ("gptj", {"n_embd": 24, "n_inner": None}),
    ("phi-msft", {"n_embd": 24, "n_layer": 2, "n_head": 3, "vocab_size": 56, "n_inner": None}),
    ("phi-msft", {"n_embd": 24, "n_layer": 2, "n_head": 3, "vocab_size": 56}),
])  # fmt: skip
def test_an_inner_size_of_null_is_four_times_hidden(model_type: str, values: dict[str, Any]) -> None:
    dimensions = resolve(family(model_type), model_type, values)
    assert dimensions.values["ff"] == 96
    assert dimensions.explain("ff") == f"{'intermediate_size' if 'phi' in model_type else 'n_inner'} = 4*hidden"


def test_phi_has_as_many_key_heads_as_heads_where_the_config_is_silent() -> None:
    for config in ({"num_attention_heads": 8}, {"num_attention_heads": 8, "num_key_value_heads": None}):
        values = resolve(family("phi"), "phi", config).values
        assert values["kv_heads"] == transformers.PhiConfig(**config).num_key_value_heads == 8


BAD = [
    ({"n_embd": "768"}, "n_embd must be a whole number, it is '768'"),
    ({"n_embd": 768.0}, "n_embd must be a whole number, it is 768.0"),
    ({"n_layer": True}, "n_layer must be a whole number, it is True"),
    ({"n_layer": -1}, "n_layer must be a whole number, it is -1"),
    ({"n_layer": [12]}, "n_layer must be a whole number"),
    ({"n_embd": "\x1b" * 999}, "…"),
    ({"n_embd": None}, "it has no n_embd or hidden_size"),
]


@pytest.mark.parametrize(("values", "cause"), BAD)
def test_a_value_that_is_no_whole_number(values: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(family("gpt2"), "gpt2", values)
    assert cause in caught.value.cause
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


UNLIKE: list[tuple[dict[str, Any], list[int]]] = [
    ({"no_rope_layers": [1, 0, 0, 1, 1, 1, 1, 1]}, [1, 2]),
    ({"no_rope_layers": [0]}, [0]),  # of the others nothing is said
    ({"no_rope_layers": []}, []),
    ({}, [3, 7]),
    ({"no_rope_layers": None, "no_rope_layer_interval": 3}, [2, 5]),
    ({"no_rope_layer_interval": 0}, []),
]


@pytest.mark.parametrize(("said", "layers"), UNLIKE)
def test_layers_that_a_spec_says_to_be_unlike_the_others(said: dict[str, Any], layers: list[int]) -> None:
    config = {"num_hidden_layers": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, **said}
    numbers = resolve(family("mistral_large4_text"), "mistral_large4_text", config)
    found = {layer: numbers.of("", layer) for layer in range(8)}
    assert {layer: (own["nope"], own["rope"]) for layer, own in found.items()} == {
        layer: (10, 0) if layer in layers else (6, 4) for layer in range(8)
    }
    assert numbers.explain("rope", layer=0) == "qk_rope_head_dim = 4" or 0 in layers
    assert all(numbers.explain("rope", layer=n) == "rope = 0 where no_rope_layers has 0" for n in layers)


@pytest.mark.parametrize(
    "said", [{"num_hidden_layers": 2**53 - 1}, {"per_layer_config": {"3": {"qk_rope_head_dim": 5}}}]
)
def test_unlike_layers_of_odd_configs(said: dict[str, Any]) -> None:
    config = {"num_hidden_layers": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, **said}
    numbers = resolve(family("mistral_large4_text"), "mistral_large4_text", config)
    assert len(numbers.layers) <= MOST_UNLIKE
    own = numbers.of("", 3)
    assert (own["nope"], own["rope"]) == (6 + (5 if "per_layer_config" in said else 4), 0)


def test_unlike_layers_of_absurd_sizes_are_refused() -> None:
    config = {"qk_rope_head_dim": 2**53 - 1, "qk_nope_head_dim": 6}
    with pytest.raises(ConfigError, match="nope follows to be absurdly large"):
        resolve(family("mistral_large4_text"), "mistral_large4_text", config)


def test_heads_that_do_not_divide_the_hidden_size() -> None:
    with pytest.raises(ConfigError, match="head_dim does not follow"):
        resolve(family("phi"), "phi", {"hidden_size": 24, "num_attention_heads": 5})


def test_a_model_type_without_a_class_has_no_defaults() -> None:
    assert asked_of_class("phi-msft") == {}
    with pytest.raises(ConfigError, match="it has no hidden_size or n_embd"):
        resolve(family("phi"), "phi-msft", {"n_layer": 2})


def test_tied_must_be_a_boolean() -> None:
    with pytest.raises(ConfigError, match="tie_word_embeddings must be true or false"):
        embeddings_tied(family("bert"), "bert", {"tie_word_embeddings": "yes"})
    assert embeddings_tied(family("bert"), "bert", {"tie_word_embeddings": None}) is True


@pytest.mark.slow
def test_every_key_of_a_spec_is_a_key_of_some_config_class() -> None:
    names = {"n_head_kv", "n_embed", "n_words"}  # of first codes: microsoft/phi-2's, BLOOM's, XLM's
    names |= {"no_rope_layer_interval"}  # which the class of Mistral Large 4 takes and does not keep
    names |= {"padded_vocab_size", "kv_channels", "multi_query_group_num", "inner_hidden_size"}  # Qwen's, ChatGLM's
    asked: dict[Family, set[str]] = {}
    for known in (one for one in families() if one.config_name == CONFIG):  # a GGUF header has keys of llama.cpp's
        keys = {key for dimension in known.dimensions for key in dimension.keys}
        keys |= {known.otherwise.key} if known.otherwise is not None else set()
        asked[known] = {key.lstrip("#").split(".")[0] for key in keys}
    assert len(asked) > 50
    of_own = [(model_type, keys) for known, keys in asked.items() for model_type in known.model_types]
    of_any = [(model_type, set().union(*asked.values())) for model_type in model_types()]
    for model_type, keys in (*of_own, *of_any):  # its own classes have most of a family's
        if not keys <= names:
            names |= asked_of_class(model_type).keys()
            if model_type in transformers.CONFIG_MAPPING:
                names |= transformers.CONFIG_MAPPING[model_type].attribute_map.keys()
    assert {known.name: keys - names for known, keys in asked.items() if not keys <= names} == {}


def test_a_rule_for_a_missing_key_says_what_the_class_would() -> None:
    of_classes = [known for known in families() if known.config_name == CONFIG]
    flagged = [(known, d) for known in of_classes for d in known.dimensions if d.rule_if_missing]
    assert {known.name for known, _ in flagged} == {"gpt2", "gptj", "phi"}
    for known, dimension in flagged:
        for model_type in known.model_types:
            defaults = asked_of_class(model_type)
            assert [defaults[key] for key in dimension.keys if defaults.get(key) is not None] == []


def test_the_configs_on_the_hub_need_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing transformers takes as long as scanning a small model."""

    def asked(model_type: str) -> dict[str, Any]:
        raise AssertionError(f"the class of {model_type} was asked")

    monkeypatch.setattr("weightaudit.architecture.class_defaults.asked_of_class", asked)
    gpt2 = {"n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
    assert resolve(family("gpt2"), "gpt2", gpt2).values["ff"] == 3072
    phi = {"hidden_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 51200}
    values = resolve(family("phi"), "phi", {**phi, "intermediate_size": 10240, "num_key_value_heads": None}).values
    assert (values["kv_heads"], values["head_dim"]) == (32, 80)


def mlp_of(width: int, **sizes: object) -> tuple[list[str], list[str]]:
    """Roles of a Llama's MLP of that width, and the roles that the config is said to contradict."""
    config = {
        "model_type": "llama",
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "vocab_size": 11,
    }
    shapes = {
        "self_attn.q_proj": (8, 8),
        "mlp.gate_proj": (20, 8),
        "mlp.up_proj": (width, 8),
        "mlp.down_proj": (8, width),
    }
    names = {f"model.layers.0.{name}.weight": shape for name, shape in shapes.items()}
    found = map_model(config | sizes, {name: info(name, shape) for name, shape in names.items()})
    return [m.role for m in found.matrices], [told.role for told in found.discrepancies if told.kind == "misshapen"]


@pytest.mark.parametrize("sizes", [{"intermediate_size": 20}, {"intermediate_size": [20]}, {"intermediate_size": []}])
def test_an_mlp_of_the_width_that_the_config_says_fits(sizes: dict[str, object]) -> None:
    assert mlp_of(20, **sizes) == (["Q", "GATE", "M1", "M2"], [])


def test_an_mlp_of_another_width_than_the_config_says_contradicts_it() -> None:
    assert mlp_of(19, intermediate_size=20) == (["Q", "GATE"], ["M2", "M1"])
    # One width for each layer tells none of them; where the config is silent, transformers' class makes it 11008.
    assert mlp_of(19, intermediate_size=[20]) == (["Q", "GATE", "M1", "M2"], [])
    assert mlp_of(20)[1] == ["M2", "GATE", "M1"]


@pytest.mark.parametrize("part", some_of(range(6), 0))
def test_the_defaults_that_are_shipped_are_the_classes(part: int) -> None:
    """Of another version of transformers too: where one changes a default, this says so."""
    shipped = json.loads(class_defaults.FILE.read_text("utf-8"))
    assert shipped["keys"] == class_defaults.keys()
    some = model_types()[part::6]
    assert len(some) > 40
    for model_type in some:
        if model_type in transformers.CONFIG_MAPPING or model_type not in shipped["types"]:
            assert shipped["types"][model_type] == class_defaults.defaults(model_type), model_type
            assert shipped["towers"].get(model_type, {}) == class_defaults.towers(model_type), model_type


@pytest.mark.slow
def test_the_defaults_of_all_model_types_are_the_classes() -> None:
    assert class_defaults.FILE.read_text("utf-8") == class_defaults.page() or transformers.__version__ != "5.24.0"


def test_what_configs_leave_out_needs_no_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    silent = {key: {"model_type": "siglip_vision_model"} for key in ("vision_config", "audio_config")}
    for known in families():
        for model_type in known.model_types:
            with suppress(ConfigError):
                resolve(known, model_type, {})
            embeddings_tied(known, model_type, {})
            rule = attention.attends(model_type) or attention.Attends()
            assert attention.SCALES[rule.scale](attention.Asked({}, model_type, 0, 8, rule.key))[0] > 0
    for model_type in multimodal().types:
        layers_of_towers().of(silent, model_type)
    assert layers_of_towers().of(silent, "gemma3").values["vision_hidden"] == 768
    with pytest.raises(ImportError):
        class_defaults.defaults("llama")


def test_what_is_not_shipped_is_asked_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "_read", lambda: {"types": {"bert": {}}, "towers": {}})
    monkeypatch.setattr(defaults, "_keys", lambda: frozenset(("hidden_size",)))
    found = [default_of(*asked) for asked in (("bert", "hidden_size"), ("bert", "vocab_size"), ("t5", "d_kv"))]
    assert found == [None, 30522, 64]
    assert (default_of("t5", "decoder.d_kv"), default_of("of-no-class", "d_kv")) == (None, None)
    assert [tower_type(name, "vision_config") for name in ("gemma3n", "llava", "bert")] == ["gemma3n_vision", "", ""]
