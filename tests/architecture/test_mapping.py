"""What map_model refuses, and what it leaves with a reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.saved import info, infos, read_saved, statuses, stored_by
from tests.support.models import FF, HIDDEN, LAYERS, POSITIONS, VOCAB
from tests.support.tiny import tiny
from weightaudit.architecture import map_model
from weightaudit.architecture.mapping import FEW_STACKED, TOO_MANY
from weightaudit.architecture.mismatches import MAX_DISCREPANCIES_PER_KIND
from weightaudit.errors import ConfigError, MappingError
from weightaudit.records import Discrepancy, TensorInfo

CONFIG: dict[str, Any] = {
    "model_type": "gpt2", "n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 3, "n_inner": FF,
    "vocab_size": VOCAB, "n_positions": POSITIONS,
}  # fmt: skip


@pytest.fixture(scope="module")
def gpt2() -> dict[str, TensorInfo]:
    return stored_by("gpt2", "GPT2Model")[1]


def with_tensor(tensors: dict[str, TensorInfo], *added: TensorInfo) -> dict[str, TensorInfo]:
    return tensors | {tensor.name: tensor for tensor in added}


def test_a_config_without_model_type_says_what_to_do(gpt2: dict[str, TensorInfo]) -> None:
    for value in ({}, {"model_type": None}, {"model_type": ""}):
        with pytest.raises(ConfigError) as caught:
            map_model(value, gpt2)
        assert "no model_type" in caught.value.cause
        assert "model_type" in caught.value.hint
        assert "weightaudit archs" in caught.value.hint


@pytest.mark.parametrize("value", [3, ["gpt2"], {"a": 1}, True, 0])
def test_a_model_type_that_is_no_text(value: object, gpt2: dict[str, TensorInfo]) -> None:
    with pytest.raises(ConfigError, match="model_type must be a text"):
        map_model({"model_type": value}, gpt2)


SHAPES = [
    ("h.0.attn.c_attn.weight", (3 * HIDDEN, HIDDEN), (HIDDEN, 3 * HIDDEN), "n_embd = 24"),
    ("h.1.attn.c_attn.weight", (HIDDEN, 2 * HIDDEN), (HIDDEN, 3 * HIDDEN), "n_embd = 24"),
    ("h.0.mlp.c_fc.weight", (HIDDEN, FF + 1), (HIDDEN, FF), "n_inner = 40, n_embd = 24"),
    ("h.0.mlp.c_fc.weight", (FF, HIDDEN), (HIDDEN, FF), "n_inner = 40, n_embd = 24"),
    ("wte.weight", (VOCAB, HIDDEN + 8), (VOCAB, HIDDEN), "vocab_size = 56, n_embd = 24"),
    ("wpe.weight", (POSITIONS * 2, HIDDEN), (POSITIONS, HIDDEN), "n_positions = 32, n_embd = 24"),
]


PLACES: dict[str, tuple[tuple[int, ...], str]] = {
    "h.0.attn.c_attn.weight": ((0,), "Q K V"),
    "h.1.attn.c_attn.weight": ((1,), "Q K V"),
    "h.0.mlp.c_fc.weight": ((0,), "M1"),
    "wte.weight": ((), "EMBED"),
    "wpe.weight": ((), "POSITION"),
}


@pytest.mark.parametrize(("name", "stored", "expected", "keys"), SHAPES)
def test_a_shape_that_contradicts_the_config(
    name: str, stored: tuple[int, ...], expected: tuple[int, ...], keys: str, gpt2: dict[str, TensorInfo]
) -> None:
    model_map = map_model(CONFIG, with_tensor(gpt2, info(name, stored)))
    why = f"its shape is {stored}, the config makes it {expected} ({keys})"
    layers, role = PLACES[name]
    assert model_map.discrepancies == (
        Discrepancy("misshapen", f"{name}: {why}.", layers=layers, role=role, tensors=(name,)),
    )
    assert statuses(model_map, "unmapped") == {name: why}
    assert name not in {tensor for matrix in model_map.matrices for tensor in matrix.tensors}
    # What fits is mapped as if nothing were wrong.
    whole = map_model(CONFIG, gpt2)
    assert model_map.matrices == tuple(matrix for matrix in whole.matrices if name not in matrix.tensors)


@pytest.mark.parametrize("layer", [LAYERS, 99_999_999_999])
@pytest.mark.parametrize("rest", ["attn.c_proj.weight", "ln_1.weight"])
def test_a_layer_beyond_the_config(layer: int, rest: str, gpt2: dict[str, TensorInfo]) -> None:
    name = f"h.{layer}.{rest}"
    model_map = map_model(CONFIG, with_tensor(gpt2, info(name, (HIDDEN, HIDDEN))))
    why = f"layer {layer} is beyond the layers of the config (n_layer = 2, counted from 0)"
    says = f"L{why[1:]}; the checkpoint has one tensor ({name}) of it."
    assert model_map.discrepancies == (Discrepancy("extra", says, layers=(layer,), tensors=(name,)),)
    assert statuses(model_map, "unmapped") == {name: why}
    assert model_map.matrices == map_model(CONFIG, gpt2).matrices


def test_a_whole_layer_beyond_the_config_is_told_once(gpt2: dict[str, TensorInfo]) -> None:
    again = {name.replace("h.1.", "h.2."): info(name.replace("h.1.", "h.2."), gpt2[name].shape) for name in gpt2}
    (told,) = map_model(CONFIG, again | gpt2).discrepancies
    assert told.tensors == tuple(sorted(name for name in again if name.startswith("h.2.")))
    assert told.says.endswith(f"the checkpoint has {len(told.tensors)} tensors of it.")


def test_an_expert_beyond_the_config(tmp_path: Path) -> None:
    model = tiny("mixtral")
    model.save_pretrained(tmp_path)
    experts = model.config.num_local_experts
    tensors = infos(read_saved(model, tmp_path).tensors)
    first = next(name for name in tensors if "layers.1." in name and ".experts.0." in name)
    names = [first.replace("experts.0.", f"experts.{expert}.") for expert in (experts, experts + 3)]
    added = with_tensor(tensors, *(info(name, tensors[first].shape) for name in names))
    told = map_model(model.config.to_dict(), added).discrepancies
    assert [(one.kind, one.layers, one.expert, one.tensors) for one in told] == [
        ("extra", (1,), experts, (names[0],)),
        ("extra", (1,), experts + 3, (names[1],)),
    ]
    assert told[0].says.startswith(f"Layer 1: expert {experts} is beyond the experts of the config (")


def test_a_decoder_s_layer_beyond_the_config_is_the_decoder_s() -> None:
    model = tiny("bart")
    layers = model.config.decoder_layers
    name = f"model.decoder.layers.{layers}.fc1.weight"
    tensors = with_tensor(infos(model.state_dict()), info(name, (3, 3)))
    (told,) = map_model(model.config.to_dict(), tensors).discrepancies
    assert (told.kind, told.stack, told.layers, told.tensors) == ("extra", "decoder", (layers,), (name,))
    assert told.says.startswith(f"Decoder: layer {layers} is beyond ")


ANOTHER = [
    ({"n_embd": 2 * HIDDEN}, "its shape is (24, 72), the config makes it (48, 144) (n_embd = 48)"),
    ({"n_layer": 0}, "layer 0 is beyond the layers of the config (n_layer = 0, counted from 0)"),
]


@pytest.mark.parametrize(("values", "why"), ANOTHER)
def test_a_config_that_not_one_matrix_of_a_layer_fits_is_another_model_s(
    values: dict[str, Any], why: str, gpt2: dict[str, TensorInfo]
) -> None:
    weights = {name: tensor for name, tensor in gpt2.items() if len(tensor.shape) > 1}
    with pytest.raises(MappingError) as caught:
        map_model(CONFIG | values, weights)
    assert caught.value.thing == "tensor h.0.attn.c_attn.weight"
    assert caught.value.cause == why
    assert "belong together" in caught.value.hint
    # One that fits, and the model is audited.
    fitting = info("h.0.attn.c_proj.weight", (2 * HIDDEN, 2 * HIDDEN))
    if "n_embd" in values:
        told = map_model(CONFIG | values, with_tensor(weights, fitting)).discrepancies
        assert sum(len(one.tensors) for one in told if one.kind == "misshapen") == len(weights) - 1


def test_a_file_of_embeddings_needs_no_layer_that_fits(gpt2: dict[str, TensorInfo]) -> None:
    tensors = with_tensor({"wpe.weight": gpt2["wpe.weight"]}, info("wte.weight", (VOCAB + 1, HIDDEN)))
    assert [one.kind for one in map_model(CONFIG, tensors).discrepancies] == ["misshapen", "missing"]
    del tensors["wpe.weight"]
    with pytest.raises(MappingError, match=r"wte\.weight: its shape is \(57, 24\), the config makes it \(56, 24\)"):
        map_model(CONFIG, tensors)


def _stacked(experts: int, side: int) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """A mixture of one layer whose experts are stacked in two tensors."""
    config = {
        "model_type": "gpt_oss", "num_hidden_layers": 1, "hidden_size": side, "intermediate_size": side,
        "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": side, "vocab_size": 1,
        "num_local_experts": experts, "tie_word_embeddings": False,
    }  # fmt: skip
    layer = "model.layers.0."
    stored = [info(f"{layer}self_attn.{x}_proj.weight", (side, side)) for x in "qkvo"]
    stored += [
        info(f"{layer}mlp.experts.gate_up_proj", (experts, side, 2 * side)),
        info(f"{layer}mlp.experts.down_proj", (experts, side, side)),
    ]
    return config, {tensor.name: tensor for tensor in stored}


@pytest.mark.parametrize(("experts", "side"), [(FEW_STACKED // 3, 1), (FEW_STACKED // 3 + 1, 16), (4, 1)])
def test_experts_of_a_believable_number_or_size_are_all_mapped(experts: int, side: int) -> None:
    found = map_model(*_stacked(experts, side))
    assert Counter(matrix.role for matrix in found.matrices if matrix.expert is not None) == dict.fromkeys(
        ("GATE", "M1", "M2"), experts
    )


@pytest.mark.parametrize("experts", [FEW_STACKED + 1, 64_000])
def test_experts_without_end_are_left_with_the_reason(experts: int) -> None:
    """A file of 100 kB could stack so many, each with the cost of a matrix and its lines in every report."""
    found = map_model(*_stacked(experts, 1))
    assert Counter(matrix.role for matrix in found.matrices) == dict.fromkeys(("Q", "K", "V", "O", "QKV"), 1)
    left = {entry.tensor: entry.detail for entry in found.coverage if entry.status == "unmapped"}
    assert [name.rpartition(".")[2] for name in left] == ["down_proj", "gate_up_proj"]
    assert set(left.values()) == {TOO_MANY}


@pytest.mark.parametrize(("last", "more_layers"), [(300, 200), pytest.param(3000, 2000, marks=pytest.mark.slow)])
def test_a_million_contradictions_are_told_in_a_few_words(
    last: int, more_layers: int, gpt2: dict[str, TensorInfo]
) -> None:
    config = CONFIG | {"n_layer": 10**6}
    wrong = [info(f"h.{layer}.attn.c_attn.weight", (3, layer)) for layer in range(LAYERS, last)]
    beyond = [info(f"h.{layer}.mlp.c_fc.weight", (3, 3)) for layer in range(10**6, 10**6 + more_layers)]
    told = map_model(config, with_tensor(gpt2, *wrong, *beyond)).discrepancies
    counts = Counter(one.kind for one in told)
    assert (counts["extra"], counts["misshapen"]) == (MAX_DISCREPANCIES_PER_KIND + 1, MAX_DISCREPANCIES_PER_KIND + 1)
    assert f"{more_layers - MAX_DISCREPANCIES_PER_KIND} more layers or experts are beyond those of the config." in [
        one.says for one in told
    ]
    more = f"{last - LAYERS - MAX_DISCREPANCIES_PER_KIND} more tensors have other shapes than the config makes them."
    assert more in [one.says for one in told]
    assert sum(len(one.says) for one in told) < 50_000


def test_what_is_wrong_in_one_way_in_many_layers_is_told_once(gpt2: dict[str, TensorInfo]) -> None:
    wrong = [info(f"h.{layer}.attn.c_attn.weight", (3, 3)) for layer in range(LAYERS)]
    (told,) = map_model(CONFIG, with_tensor(gpt2, *wrong)).discrepancies
    assert (told.kind, told.layers, told.role) == ("misshapen", tuple(range(LAYERS)), "Q K V")
    assert told.says.startswith(f"{LAYERS} tensors h.*.attn.c_attn.weight: its shape is (3, 3), the config makes it ")
    assert told.tensors == tuple(one.name for one in wrong)


def test_two_tensors_of_one_role(gpt2: dict[str, TensorInfo]) -> None:
    twice = with_tensor(gpt2, info("transformer.h.1.attn.c_proj.weight", (HIDDEN, HIDDEN)))
    with pytest.raises(MappingError) as caught:
        map_model(CONFIG, twice)
    assert "transformer.h.1.attn.c_proj.weight" in caught.value.thing
    assert "h.1.attn.c_proj.weight is O of layer 1 already" in caught.value.cause


def test_names_in_messages_cannot_steer_a_terminal() -> None:
    with pytest.raises(MappingError) as caught:
        map_model(CONFIG, {"\x1b[2Jx": info("\x1b[2Jx", (2, 2))})
    assert "\x1b" not in str(caught.value)


def test_a_part_of_a_checkpoint_maps_what_it_holds(gpt2: dict[str, TensorInfo]) -> None:
    names = ["h.1.attn.c_attn.weight", "h.1.mlp.c_fc.weight", "wpe.weight"]
    model_map = map_model(CONFIG, {name: gpt2[name] for name in names})
    roles = [(matrix.layer, matrix.role) for matrix in model_map.matrices]
    assert roles == [(None, "POSITION"), *((1, role) for role in ("Q", "K", "V", "QKV", "M1"))]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint16"])
def test_a_matrix_of_whole_numbers_is_no_weight(dtype: str, gpt2: dict[str, TensorInfo]) -> None:
    """Of quantised ones each is a byte, or several share one and the shape is another."""
    name = "h.0.attn.c_proj.weight"
    found = map_model(CONFIG, {**gpt2, name: replace(gpt2[name], dtype=dtype)})
    (one,) = found.discrepancies
    assert (one.kind, one.tensors) == ("misshapen", (name,))
    assert f"a weight has floating-point numbers, it is stored as {dtype}" in one.says
    of_bytes = map_model(CONFIG, {**gpt2, name: replace(gpt2[name], dtype="int8")})
    assert of_bytes.discrepancies == ()


LEFT = [
    (info("h.0.attn.c_proj.weight", (HIDDEN, HIDDEN), "int8"), "quantised: stored as int8"),
    (info("h.0.attn.c_proj.weight", (HIDDEN // 2, HIDDEN), "uint8"), "quantised: stored as uint8"),
    (info("h.0.attn.c_proj.weight", (HIDDEN, HIDDEN), "float8_e4m3fn"), "quantised: stored as float8_e4m3fn"),
    (info("h.0.attn.c_proj.weight", (HIDDEN, HIDDEN), "complex64"), "complex numbers: stored as complex64"),
    (info("h.0.attn.c_proj.weight", (HIDDEN, HIDDEN, 1)), "not 2-D: shape (24, 24, 1)"),
    (info("score.weight", (0, HIDDEN)), "empty"),
    (info("h.0.attn.qkv.weight", (HIDDEN, HIDDEN)), "no pattern of family gpt2 fits"),
    (info("h.0.attn.c_proj.qweight", (3, HIDDEN), "int32"), "no pattern of family gpt2 fits"),
    (info("h." + "9" * 1000 + ".ln_1.weight", (HIDDEN,)), "no pattern of family gpt2 fits"),
    (info("h." + "9" * 5000 + ".ln_1.weight", (HIDDEN,)), "a name of more than 1024 characters"),
]


@pytest.mark.parametrize(("tensor", "why"), LEFT, ids=[why for _, why in LEFT])
def test_what_cannot_be_mapped_says_why(tensor: TensorInfo, why: str, gpt2: dict[str, TensorInfo]) -> None:
    model_map = map_model(CONFIG, with_tensor(gpt2, tensor))
    assert statuses(model_map, "unmapped") == {tensor.name: why}
    assert len(model_map.coverage) == len(gpt2 | {tensor.name: tensor})
    assert tensor.name not in {name for matrix in model_map.matrices for name in matrix.tensors}


def test_a_layer_whose_key_is_quantised_has_no_stack() -> None:
    config, tensors = stored_by("bert", "BertModel")
    key = "encoder.layer.0.attention.self.key.weight"
    tensors[key] = info(key, (HIDDEN, HIDDEN), "int8")
    roles = [matrix.role for matrix in map_model(config, tensors).matrices if matrix.layer == 0]
    assert roles == ["Q", "V", "O", "M1", "M2"]


def test_q_k_v_of_different_types_are_not_stacked() -> None:
    config, tensors = stored_by("bert", "BertModel")
    key = "encoder.layer.0.attention.self.key.weight"
    tensors[key] = info(key, (HIDDEN, HIDDEN), "bfloat16")
    found = [m.role for m in map_model(config, tensors).matrices if m.layer == 0]
    assert found == ["Q", "K", "V", "O", "M1", "M2"]


def test_nothing_mapped_gives_the_commonest_reason(gpt2: dict[str, TensorInfo]) -> None:
    quantised = {name: info(name, tensor.shape, "int8") for name, tensor in gpt2.items()}
    with pytest.raises(MappingError, match=r"not one of .* quantised: stored as int8"):
        map_model(CONFIG, quantised)
    with pytest.raises(MappingError, match="not one of 0"):
        map_model(CONFIG, {})


def test_equal_input_gives_an_equal_map_whatever_the_order(gpt2: dict[str, TensorInfo]) -> None:
    assert map_model(CONFIG, dict(reversed(gpt2.items()))) == map_model(CONFIG, gpt2)


def test_tensors_of_a_trillion_elements_cost_nothing() -> None:
    size = 2**40
    config = CONFIG | {"vocab_size": size, "n_embd": size, "n_layer": size}
    model_map = map_model(config, {"wte.weight": info("wte.weight", (size, size))})
    assert model_map.matrices[0].parameters == size**2


@pytest.mark.parametrize("ahead", [0, 1])
def test_layers_that_predict_further_tokens_are_no_layers_of_the_model(ahead: int, tmp_path: Path) -> None:
    """GLM-4.5 and DeepSeek V3 store one after the last, which config.json counts apart."""
    model = tiny("glm4_moe")
    model.save_pretrained(tmp_path)
    tensors = infos(read_saved(model, tmp_path).tensors)
    layers = model.config.num_hidden_layers
    last = f"model.layers.{layers - 1}."
    copies = {name.replace(last, f"model.layers.{layers}."): tensors[name] for name in tensors if last in name}
    copies[f"model.layers.{layers}.eh_proj.weight"] = info("x", (HIDDEN, 2 * HIDDEN))
    more = {name: info(name, tensor.shape) for name, tensor in copies.items() if len(tensor.shape) > 1}
    config = model.config.to_dict() | {"num_nextn_predict_layers": ahead}
    model_map = map_model(config, tensors | more)
    assert model_map.matrices == map_model(config, tensors).matrices
    if ahead:
        assert model_map.discrepancies == ()
        assert more.keys() <= statuses(model_map, "ignored").keys()
        assert {statuses(model_map, "ignored")[name] for name in more} == {"layer that predicts further tokens"}
    else:
        (told,) = model_map.discrepancies
        assert (told.kind, told.layers, told.tensors) == ("extra", (layers,), tuple(sorted(more)))
