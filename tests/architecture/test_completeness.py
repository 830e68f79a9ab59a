"""What a checkpoint lacks of its class, or has in another shape, is told; exports that are whole are clean."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from tests.architecture.deletions import account, saved_by, says
from tests.architecture.exceptions import NO_INVENTORY, UNMISSED, UNSHAPED
from tests.architecture.inventories import body_of, built_types, classes_of, shipped
from tests.architecture.saved import info, infos, value
from tests.support.covering import covering, in_turn, some_of
from tests.support.tiny import tiny
from weightaudit.architecture import map_model
from weightaudit.errors import MappingError
from weightaudit.records import TensorInfo

Tensors = dict[str, TensorInfo]

SAMPLE = ["gpt2", "t5", "mixtral", "jamba", "gpt_oss"]
"""Tied heads and fused weights, two stacks, experts apart and stacked, layers of several kinds."""


def judged(kind: dict[str, dict[str, str]], model_type: str, names: tuple[str, ...]) -> list[str]:
    """The names that no exception covers."""
    return [name for name in names if not any(re.search(pattern, name) for pattern in kind.get(model_type, {}))]


def stale(kind: dict[str, dict[str, str]], model_type: str, names: tuple[str, ...]) -> list[str]:
    """The exceptions that cover none of the names."""
    return [one for one in kind.get(model_type, {}) if not any(re.search(one, name) for name in names)]


@pytest.mark.parametrize("model_type", some_of(SAMPLE, "gpt2", "t5", "gpt_oss"))
def test_each_kind_of_tensor_taken_away_or_misshapen_is_told(model_type: str) -> None:
    one = account(model_type, classes_of(model_type)[0], one_of_each=True)
    assert one.tensors > 10
    assert one.false == ()
    assert judged(UNMISSED, model_type, one.unmissed) == []
    assert judged(UNSHAPED, model_type, one.unshaped) == []


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(shipped()))
def test_each_tensor_taken_away_or_misshapen_is_told(model_type: str) -> None:
    one = account(model_type, classes_of(model_type)[0])
    assert one.false == ()
    assert judged(UNMISSED, model_type, one.unmissed) == []
    assert judged(UNSHAPED, model_type, one.unshaped) == []
    assert stale(UNMISSED, model_type, one.unmissed) + stale(UNSHAPED, model_type, one.unshaped) == []


def test_every_model_type_has_an_inventory_or_a_reason() -> None:
    assert set(built_types()) - shipped().keys() == NO_INVENTORY.keys()


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["biogpt", "codegen", "gptj"])
def test_the_inventory_is_what_is_learned_now(model_type: str) -> None:
    # Another version of transformers may hold other tensors; the tests above say whether ours are still right.
    body, stem = body_of(model_type)
    assert (body, stem) == shipped()[model_type] or transformers.__version__ != "5.24.0"


def kept(model_type: str, keep: Callable[[str], bool], cls: str = "", **values: Any) -> list[str]:
    """What is told of a checkpoint with the tensors that ``keep`` takes; ``values`` are of its config."""
    classes = {one.__name__: one for one in classes_of(model_type)}
    config, tensors = saved_by(model_type, classes[cls] if cls else classes_of(model_type)[0], **values)
    return says(config, {name: one for name, one in tensors.items() if keep(name)}, "missing", "misshapen")


ONE_CAUSE = [
    ("mixtral", r"layers\.1\..*experts\.2\.", "Layer 1 lacks GATE, M1, M2 of expert 2."),
    ("mixtral", r"experts\.2\.w3", "Layers 0-1 lack M1 of expert 2."),
    ("mixtral", r"layers\.1\.block_sparse_moe\.gate", "Layer 1 lacks ROUTER."),
    ("qwen2_moe", r"shared_expert\.", "Layers 0-1 lack SHARED_GATE, SHARED_M1, SHARED_M2."),
    ("deepseek_v3", r"kv_a_layernorm", "Layers 0-1 lack self_attn.kv_a_layernorm.weight."),
    ("bart", r"model\.encoder\.layers", "Encoder: config.json has 2 layers; the checkpoint holds no matrix of any."),
    ("bart", r"model\.decoder\.layers\.1", "Decoder: config.json has 2 layers; the checkpoint holds only layer 0."),
    ("t5", r"EncDecAttention", "Decoder: Layers 0-1 lack XQ, XK, XV, XO."),
    ("jamba", r"self_attn", "Layer 1 lacks mamba or self_attn."),
    ("jamba", r"mamba", "Layer 0 lacks mamba or self_attn."),
    ("idefics", r"gated_cross_attn_layers\.1\.mlp\.gate", "Layer 1 lacks X_GATE."),
    ("nemotron_h", r"layers\.0\.mixer\.A_log", "Layer 0 lacks mixer.A_log."),
    ("llava", "vision_tower", "The checkpoint has no vision_tower: LlavaForConditionalGeneration has one, and a loader "
     "would start it at random."),
    ("llava", "multi_modal_projector", "The checkpoint has no multi_modal_projector: LlavaForConditionalGeneration has "
     "one, and a loader would start it at random."),
    ("llava", r"projector\.linear_2", "The checkpoint has no multi_modal_projector.linear_2.bias, "
     "multi_modal_projector.linear_2.weight."),
    ("llama", "norm", "The checkpoint lacks norms. Layers 0-1 lack input_layernorm.weight, "
     "post_attention_layernorm.weight. The checkpoint has no norm.weight."),
    ("qwen2", "bias", "Layers 0-1 lack self_attn.k_proj.bias, self_attn.q_proj.bias, self_attn.v_proj.bias."),
    ("llama", r"layers\.1|layers\.0\.mlp|norm|lm_head", "config.json has 2 layers; the checkpoint holds only layer 0. "
     "Layer 0 lacks GATE, M1, M2, input_layernorm.weight, post_attention_layernorm.weight. The checkpoint has no "
     "norm.weight. The checkpoint has no HEAD (lm_head): LlamaForCausalLM has one, and a loader would start it at "
     "random."),
]  # fmt: skip


@pytest.mark.parametrize(("model_type", "lost", "told"), ONE_CAUSE)
def test_one_cause_is_told_once(model_type: str, lost: str, told: str) -> None:
    assert kept(model_type, lambda name: not re.search(lost, name)) == [told]


@pytest.mark.parametrize(("model_type", "dense"), covering(["mistral4", "deepseek_v3"], [0, 1, 2], together=1))
def test_an_mlp_without_experts_is_no_stack_of_experts(model_type: str, dense: int) -> None:
    assert kept(model_type, lambda _: True, first_k_dense_replace=dense) == []


@pytest.mark.parametrize(
    ("model_type", "cls", "lost"),
    [
        ("bert", "BertForSequenceClassification", "classifier"),
        ("bert", "BertForQuestionAnswering", "qa_outputs"),
        ("gpt2", "GPT2ForTokenClassification", "classifier"),
        ("llama", "LlamaForSequenceClassification", "score"),
        ("whisper", "WhisperForAudioClassification", "projector"),
    ],
)
def test_the_head_of_a_task_is_missed(model_type: str, cls: str, lost: str) -> None:
    (told,) = kept(model_type, lambda name: lost not in name, cls)
    assert lost in told
    assert kept(model_type, lambda _: True, cls) == []


WHOLE = [
    ("bert", "BertModel", "pooler"),  # sentence encoders are saved without
    ("t5", "T5EncoderModel", "nothing"),
    ("gpt2", "GPT2LMHeadModel", "nothing"),  # its head is the embedding
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("roberta", "RobertaModel", "pooler"),
            ("mt5", "MT5EncoderModel", "nothing"),
            ("blip", "BlipForQuestionAnswering", "nothing"),
            ("blip", "BlipForImageTextRetrieval", "nothing"),
        )
    ),
    ("blip-2", "Blip2ForImageTextRetrieval", "nothing"),  # has no language model
]


@pytest.mark.parametrize(("model_type", "cls", "without"), WHOLE)
def test_an_export_that_is_whole_in_itself_is_clean(model_type: str, cls: str, without: str) -> None:
    assert kept(model_type, lambda name: without not in name, cls) == []


def test_a_pooler_in_part_is_missed() -> None:
    assert kept("bert", lambda name: name != "pooler.dense.bias", "BertModel") == [
        "The checkpoint has no pooler.dense.bias."
    ]


def test_an_encoder_alone_is_no_whole_model_of_its_class() -> None:
    told = kept("t5", lambda name: not name.startswith("decoder."))
    assert told == [
        "The checkpoint has no decoder: T5ForConditionalGeneration has one, and a loader would start it at random."
    ]


@pytest.mark.parametrize("value", [None, [], ["MyOwnClass"], ["LlamaForNothing"], [7], "LlamaForCausalLM"])
def test_of_a_class_that_is_not_known_what_all_classes_have_is_missed(value: object) -> None:
    config, tensors = saved_by("llama", classes_of("llama")[0])
    config["architectures"] = value
    assert says(config, {name: one for name, one in tensors.items() if "lm_head" not in name}, "missing") == []
    assert says(config, {name: one for name, one in tensors.items() if name != "model.norm.weight"}, "missing")


@pytest.mark.parametrize(
    ("flag", "name"), [("attention_bias", "self_attn.o_proj.bias"), ("mlp_bias", "mlp.gate_proj.bias")]
)
def test_a_bias_is_missed_where_the_config_has_it(flag: str, name: str) -> None:
    lost = f"model.layers.1.{name}"
    turned: dict[str, Any] = {flag: True}
    assert kept("llama", lambda one: one != lost, **turned) == [f"Layer 1 lacks {name}."]


def test_norms_of_older_names_are_there() -> None:
    config, tensors = saved_by("bert", classes_of("bert")[0])
    older = {re.sub(r"LayerNorm\.weight", "LayerNorm.gamma", name): one for name, one in tensors.items()}
    older = {re.sub(r"LayerNorm\.bias", "LayerNorm.beta", name): one for name, one in older.items()}
    assert older.keys() != tensors.keys()
    assert says(config, {name: info(name, one.shape) for name, one in older.items()}, "missing") == []


def test_what_is_tied_may_lie_under_either_name() -> None:
    config, tensors = saved_by("gpt2", classes_of("gpt2")[0])
    head = tensors.pop("transformer.wte.weight")
    assert says(config, tensors, "missing")
    assert says(config, {**tensors, "lm_head.weight": info("lm_head.weight", head.shape)}, "missing") == []


FUSED = [
    *("mixtral", "qwen2_moe", "nemotron_h"),  # w1, w2 and w3; names of their own; without gates
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("qwen3_moe", "jamba", "deepseek_v3", "olmoe", "phimoe")),
]


@pytest.mark.parametrize("model_type", FUSED)
def test_experts_fused_as_in_memory_are_those_that_are_saved_apart(model_type: str) -> None:
    model = tiny(model_type)
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    fused = {name: one for name, one in model.state_dict().items() if name not in model.all_tied_weights_keys}
    apart = transformers.core_model_loading.revert_weight_conversion(model, dict(fused))
    assert any(re.search(r"experts\.(gate_up_proj|up_proj|down_proj)$", name) for name in fused)
    assert not any(re.search(r"experts\.(gate_up_proj|up_proj|down_proj)$", name) for name in apart)
    both = [map_model(config, infos(tensors)) for tensors in (fused, apart)]
    assert [one.discrepancies for one in both] == [(), ()]
    assert [entry.tensor for one in both for entry in one.coverage if entry.status == "unmapped"] == []
    mapped = [
        {matrix.key: value(matrix, tensors) for matrix in one.matrices}
        for one, tensors in zip(both, (fused, apart), strict=True)
    ]
    assert mapped[0].keys() == mapped[1].keys()
    assert all(torch.equal(mapped[0][key], mapped[1][key]) for key in mapped[0])


SHAPES = [
    *((0,), (0, 48), (48 * 48,), (), (64, 48, 1, 1), (64, 49), (48, 64)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["model.layers.1.self_attn.q_proj.weight", "model.layers.1.input_layernorm.weight"])
def test_another_shape_or_rank_is_misshapen(name: str, shape: tuple[int, ...]) -> None:
    config, tensors = saved_by("llama", classes_of("llama")[0])
    (told,) = says(config, {**tensors, name: info(name, shape)}, "missing", "misshapen", "placeholder")
    assert told.startswith(f"{name}: ")


@pytest.mark.parametrize(
    "model_type",
    [
        *("qwen2", "qwen3_moe", "phi3", "bamba"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("glm4_moe", "granite", "olmo2", "cohere", "starcoder2", "smollm3", "dots1", "jamba", "falcon_h1"),
                *("lfm2", "ernie4_5_moe", "exaone4", "apertus", "nanochat", "bitnet", "phimoe"),
            )
        ),
    ],
)
def test_heads_need_not_make_up_the_hidden_size(model_type: str) -> None:
    """As in Qwen3-30B-A3B and GLM-4.5, whose configs have a head_dim that their classes do not tell by default."""
    cls = classes_of(model_type)[0]
    config, tensors = saved_by(model_type, cls, head_dim=10)
    assert tensors != saved_by(model_type, cls)[1]
    assert says(config, tensors, "missing", "misshapen", "extra") == []
    query = next(name for name in tensors if "q_proj.weight" in name or "qkv_proj.weight" in name)
    odd = info(query, (tensors[query].shape[0] + 2, tensors[query].shape[1]))
    assert len(says(config, {**tensors, query: odd}, "misshapen")) == 1


@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_another_kind_of_numbers_is_misshapen(dtype: str) -> None:
    config, tensors = saved_by("llama", classes_of("llama")[0])
    name = "model.layers.1.self_attn.q_proj.weight"
    (told,) = says(config, {**tensors, name: info(name, tensors[name].shape, dtype)}, "misshapen")
    assert told.endswith(f"stored as {dtype}.")


@pytest.mark.parametrize(
    ("vector", "dtype"),
    in_turn(
        [
            ("llama", "model.layers.1.input_layernorm.weight", "norm"),
            ("llama", "model.norm.weight", "norm"),
            ("bert", "bert.encoder.layer.0.attention.output.LayerNorm.bias", "norm"),
            ("bert", "bert.encoder.layer.1.attention.self.query.bias", "bias"),
            ("gpt2", "transformer.h.0.attn.c_attn.bias", "bias"),
        ],
        ["bool", "int8", "uint8", "int32", "complex64"],
    ),
)
def test_norms_and_biases_have_floating_point_numbers(vector: tuple[str, str, str], dtype: str) -> None:
    model_type, name, kind = vector
    config, tensors = saved_by(model_type, classes_of(model_type)[0])
    name = next(one for one in tensors if one.endswith(name.partition(".")[2]))
    (told,) = says(config, {**tensors, name: info(name, tensors[name].shape, dtype)}, "missing", "misshapen")
    assert told == f"{name}: a {kind} has floating-point numbers, it is stored as {dtype}."
    every = {one: info(one, tensors[one].shape, dtype) for one in tensors if one.endswith(name.rpartition(".")[2])}
    vectors = {one: told for one, told in every.items() if len(told.shape) == 1}
    found = says(config, {**tensors, **vectors}, "misshapen")
    assert 0 < len(found) < len(vectors)  # by what they are, not one by one


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "float8_e4m3fn"])
def test_any_floating_point_numbers_are_a_norm(dtype: str) -> None:
    config, tensors = saved_by("llama", classes_of("llama")[0])
    name = "model.norm.weight"
    assert says(config, {**tensors, name: info(name, tensors[name].shape, dtype)}, "missing", "misshapen") == []


def test_masks_and_numbers_of_positions_are_integers_or_truth_values() -> None:
    config, tensors = saved_by("gpt2", classes_of("gpt2")[0])
    mask = {"transformer.h.0.attn.bias": info("transformer.h.0.attn.bias", (1, 1, 64, 64), "bool")}
    assert says(config, tensors | mask, "missing", "misshapen") == []


def test_placeholders_of_sharded_training_are_told_once() -> None:
    config, tensors = saved_by("llama", classes_of("llama")[0])
    empty = {name: info(name, (0,)) for name in tensors if "mlp" in name or "norm" in name}
    (told,) = says(config, {**tensors, **empty}, "missing", "misshapen", "placeholder")
    assert told.startswith(f"{len(empty)} tensors are empty, of shape (0,): model.layers.0.")
    with pytest.raises(MappingError) as caught:
        map_model(config, {name: info(name, (0,)) for name in tensors})
    assert "zero_to_fp32.py" in caught.value.hint


HOSTILE = {"num_hidden_layers": 2**53 - 1, "num_local_experts": 2**53 - 1, "id2label": {"0": 2**60}}


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_config_is_told_in_a_few_words(key: str) -> None:
    config, tensors = saved_by("mixtral", classes_of("mixtral")[0])
    told = map_model({**config, key: HOSTILE[key]}, tensors).discrepancies
    assert sum(len(one.says) + len(one.layers) for one in told) < 10_000


@pytest.mark.parametrize("within", ["text_decoder.bert.encoder.layer.1.", "attention.self.query.", "text_decoder."])
def test_what_a_class_that_is_not_named_lacks_is_told_by_its_stacks(within: str) -> None:
    """Classes of BLIP have text under unlike names, so that no tensor of it is in all of them."""
    (found,) = (one for one in classes_of("blip") if one.__name__ == "BlipForConditionalGeneration")
    config, tensors = saved_by("blip", found)
    config = {key: value for key, value in config.items() if key != "architectures"}
    assert map_model(config, tensors).discrepancies == ()
    left = {name: info for name, info in tensors.items() if not (name.startswith("text_decoder") and within in name)}
    assert len(left) < len(tensors)
    assert "missing" in {one.kind for one in map_model(config, left).discrepancies}
