"""Each family's spec against the live model of transformers: every role's matrix is that module's weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from tests.architecture.saved import Saved, infos, older_phi, statuses, values
from tests.support.covering import some_of
from tests.support.models import FF, HIDDEN, LAYERS, POSITIONS, RECIPES, VOCAB, build
from weightaudit.architecture import families, map_model
from weightaudit.architecture.dimensions import embeddings_tied

Get = Callable[[str], Saved]

# role → the live module's weight as (out, in); {} stands for the layer.
LINEAR_LAYERS = {
    "bert": ("bert.encoder.layer", {
        "Q": "attention.self.query", "K": "attention.self.key", "V": "attention.self.value",
        "O": "attention.output.dense", "M1": "intermediate.dense", "M2": "output.dense",
    }),
    "roberta": ("roberta.encoder.layer", {
        "Q": "attention.self.query", "K": "attention.self.key", "V": "attention.self.value",
        "O": "attention.output.dense", "M1": "intermediate.dense", "M2": "output.dense",
    }),
    "phi": ("model.layers", {
        "Q": "self_attn.q_proj", "K": "self_attn.k_proj", "V": "self_attn.v_proj", "O": "self_attn.dense",
        "M1": "mlp.fc1", "M2": "mlp.fc2",
    }),
    "gptj": ("transformer.h", {
        "Q": "attn.q_proj", "K": "attn.k_proj", "V": "attn.v_proj", "O": "attn.out_proj",
        "M1": "mlp.fc_in", "M2": "mlp.fc_out",
    }),
}  # fmt: skip
OUTSIDE = {
    "bert": {
        "EMBED": "bert.embeddings.word_embeddings", "POSITION": "bert.embeddings.position_embeddings",
        "TOKEN_TYPE": "bert.embeddings.token_type_embeddings", "POOLER": "bert.pooler.dense",
        "TRANSFORM": "cls.predictions.transform.dense", "NSP": "cls.seq_relationship",
    },
    "roberta": {
        "EMBED": "roberta.embeddings.word_embeddings", "POSITION": "roberta.embeddings.position_embeddings",
        "TOKEN_TYPE": "roberta.embeddings.token_type_embeddings", "TRANSFORM": "lm_head.dense",
    },
    "gpt2": {"EMBED": "transformer.wte", "POSITION": "transformer.wpe"},
    "phi": {"EMBED": "model.embed_tokens", "HEAD": "lm_head"},
    "gptj": {"EMBED": "transformer.wte", "HEAD": "lm_head"},
}  # fmt: skip


def expected(family: str, model: Any) -> dict[tuple[int | None, str], torch.Tensor]:
    """(layer, role) → weight (out, in), taken from the live model's modules."""
    found: dict[tuple[int | None, str], torch.Tensor] = {}
    found |= {(None, role): model.get_submodule(path).weight for role, path in OUTSIDE[family].items()}
    for layer in range(LAYERS):
        if family == "gpt2":
            block = model.transformer.h[layer]
            q, k, v = block.attn.c_attn.weight.split(HIDDEN, dim=1)  # as GPT2Attention.forward splits its output
            own = {"Q": q.t(), "K": k.t(), "V": v.t(), "O": block.attn.c_proj.weight.t()}
            own |= {"M1": block.mlp.c_fc.weight.t(), "M2": block.mlp.c_proj.weight.t()}
        else:
            path, modules = LINEAR_LAYERS[family]
            own = {role: model.get_submodule(f"{path}.{layer}.{name}").weight for role, name in modules.items()}
        own["QKV"] = torch.cat([own["Q"], own["K"], own["V"]])
        found |= {(layer, role): weight for role, weight in own.items()}
    return found


@pytest.mark.parametrize("family", RECIPES)
def test_each_role_is_the_live_modules_weight(family: str, saved: Get) -> None:
    checkpoint = saved(family)
    model_map = checkpoint.map()
    found, live = values(model_map, checkpoint.tensors), expected(family, checkpoint.model)
    assert found.keys() == live.keys()
    for place, weight in live.items():
        assert torch.equal(found[place], weight), place
    assert (model_map.family, model_map.guessed, model_map.nearest) == (family, False, ())


@pytest.mark.parametrize("family", RECIPES)
def test_every_tensor_is_accounted_for(family: str, saved: Get) -> None:
    checkpoint = saved(family)
    model_map = checkpoint.map()
    assert [entry.tensor for entry in model_map.coverage] == sorted(checkpoint.tensors)
    assert statuses(model_map, "unmapped") == {}
    roles: dict[str, set[str]] = {}
    for matrix in model_map.matrices:
        for name in matrix.tensors:
            roles.setdefault(name, set()).add(matrix.role)
    assert {e.tensor: set(e.roles) for e in model_map.coverage if e.status == "analysed"} == roles
    ignored = statuses(model_map, "ignored")
    assert set(ignored.values()) == {"norm", "bias"}
    assert all(checkpoint.tensors[name].ndim == 1 for name in ignored)


@pytest.mark.parametrize("family", RECIPES)
def test_report_order(family: str, saved: Get) -> None:
    order = [(matrix.layer, matrix.role) for matrix in saved(family).map().matrices]
    embeddings = [(None, r) for r in ("EMBED", "POSITION", "TOKEN_TYPE") if (None, r) in order]
    layers = [(n, role) for n in range(LAYERS) for role in ("Q", "K", "V", "O", "QKV", "M1", "M2")]
    assert order[: len(embeddings) + len(layers)] == embeddings + layers
    rest = [role for _, role in order[len(embeddings) + len(layers) :]]
    assert "HEAD" not in rest[1:]


@pytest.mark.parametrize("family", RECIPES)
def test_dimensions(family: str, saved: Get) -> None:
    dimensions = saved(family).map().dimensions
    known = {"hidden": HIDDEN, "layers": LAYERS, "heads": 3, "ff": FF, "vocab": VOCAB}
    assert known.items() <= dimensions.items()
    assert dimensions.get("positions", POSITIONS) == POSITIONS


def test_gpt2_qkv_is_the_fused_tensor_in_one_piece(saved: Get) -> None:
    qkv = [matrix for matrix in saved("gpt2").map().matrices if matrix.role == "QKV"]
    for matrix in qkv:
        (part,) = matrix.parts
        assert (part.transposed, part.rows) == (True, None)
    assert len(qkv) == LAYERS


def gamma_beta(name: str) -> str:
    if "LayerNorm" not in name:
        return name
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


RENAMED: dict[str, tuple[str, Callable[[str], str]]] = {
    "bert without prefix": ("bert", lambda name: name.removeprefix("bert.")),
    "bert with its prefix twice": ("bert", lambda n: f"bert.{n}" if n.startswith("bert.") else n),
    "bert with gamma and beta": ("bert", gamma_beta),
    "roberta without prefix": ("roberta", lambda name: name.removeprefix("roberta.")),
    "gpt2 without prefix": ("gpt2", lambda name: name.removeprefix("transformer.")),
    "phi without prefix": ("phi", lambda name: name.removeprefix("model.")),
    "gptj without prefix": ("gptj", lambda name: name.removeprefix("transformer.")),
}


@pytest.mark.parametrize("case", RENAMED)
def test_other_names_of_the_same_tensors(case: str, saved: Get) -> None:
    family, rename = RENAMED[case]
    checkpoint = saved(family)
    renamed = {rename(name): tensor for name, tensor in checkpoint.tensors.items()}
    assert renamed.keys() != checkpoint.tensors.keys()
    model_map = map_model(checkpoint.config, infos(renamed))
    assert statuses(model_map, "unmapped") == {}
    found, twin = values(model_map, renamed), values(checkpoint.map(), checkpoint.tensors)
    assert list(found) == list(twin)
    assert all(torch.equal(found[place], twin[place]) for place in twin)
    assert [m.key for m in model_map.matrices] == [m.key for m in checkpoint.map().matrices]


PHI_MSFT = {
    "model_type": "phi-msft", "n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 3, "n_head_kv": None,
    "n_inner": FF, "vocab_size": VOCAB, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize("own_config", [True, False])
def test_phi_of_the_first_release_equals_its_twin(own_config: bool, saved: Get) -> None:
    checkpoint = saved("phi")
    older = older_phi(checkpoint.tensors)
    assert "transformer.h.1.mixer.Wqkv.weight" in older
    model_map = map_model(PHI_MSFT if own_config else checkpoint.config, infos(older))
    assert (model_map.family, statuses(model_map, "unmapped")) == ("phi", {})
    found, twin = values(model_map, older), values(checkpoint.map(), checkpoint.tensors)
    assert list(found) == list(twin)
    assert all(torch.equal(found[place], twin[place]) for place in twin)


def test_phi_with_fewer_key_heads_and_query_norms() -> None:
    model = build("phi", num_attention_heads=4, num_key_value_heads=2, qk_layernorm=True)
    tensors = model.state_dict()
    model_map = map_model(model.config.to_dict(), infos(tensors))
    assert statuses(model_map, "unmapped") == {}
    found = values(model_map, tensors)
    assert found[0, "K"].shape == (HIDDEN // 2, HIDDEN)
    assert torch.equal(found[0, "QKV"], torch.cat([found[0, role] for role in "QKV"]))


BUFFERS: dict[str, dict[str, tuple[tuple[int, ...], str]]] = {
    "bert": {"bert.embeddings.position_ids": ((1, 32), "int64")},
    "roberta": {"roberta.embeddings.position_ids": ((1, 32), "int64")},
    "gpt2": {"h.0.attn.bias": ((1, 1, 32, 32), "float32"), "h.0.attn.masked_bias": ((), "float32")},
    "gptj": {
        "transformer.h.0.attn.bias": ((1, 1, 32, 32), "bool"),
        "transformer.h.1.attn.bias": ((1, 1, 32, 32), "uint8"),
        "transformer.h.1.attn.masked_bias": ((), "float32"),
    },
    "phi": {
        "model.layers.0.self_attn.rotary_emb.inv_freq": ((2,), "float32"),
        "transformer.h.1.mixer.rotary_emb.inv_freq": ((2,), "float32"),
    },
}


@pytest.mark.parametrize("family", BUFFERS)
def test_buffers_of_old_checkpoints_are_ignored_by_rule_and_count_in_no_share(family: str, saved: Get) -> None:
    checkpoint = saved(family)
    tensors = infos(checkpoint.tensors)
    for name, (shape, dtype) in BUFFERS[family].items():
        tensors[name] = type(next(iter(tensors.values())))(name, dtype, shape, "model.safetensors", 0, 0)
    model_map = map_model(checkpoint.config, tensors)
    entries = {entry.tensor: entry for entry in model_map.coverage}
    for name in BUFFERS[family]:
        assert (entries[name].status, entries[name].buffer) == ("ignored", True)
        assert entries[name].detail.startswith("buffer: ")
    assert not any(entry.buffer for entry in model_map.coverage if entry.tensor in checkpoint.tensors)
    assert model_map.matrices == checkpoint.map().matrices


CLASSES = [
    ("bert", "BertForSequenceClassification", {"EMBED", "POOLER", "CLASSIFIER"}),
    ("bert", "BertForQuestionAnswering", {"EMBED", "QA"}),
    ("bert", "BertForTokenClassification", {"EMBED", "CLASSIFIER"}),
    ("bert", "BertModel", {"EMBED", "POOLER"}),
    ("roberta", "RobertaForSequenceClassification", {"EMBED", "CLASSIFIER", "CLASSIFIER_DENSE"}),
    ("roberta", "RobertaForTokenClassification", {"EMBED", "CLASSIFIER"}),
    ("roberta", "RobertaForQuestionAnswering", {"EMBED", "QA"}),
    ("roberta", "RobertaModel", {"EMBED", "POOLER"}),
    ("gpt2", "GPT2ForSequenceClassification", {"EMBED", "CLASSIFIER"}),
    ("gpt2", "GPT2ForTokenClassification", {"EMBED", "CLASSIFIER"}),
    ("gpt2", "GPT2DoubleHeadsModel", {"EMBED", "CLASSIFIER", "HEAD"}),
    ("gpt2", "GPT2Model", {"EMBED"}),
    ("phi", "PhiForSequenceClassification", {"EMBED", "CLASSIFIER"}),
    ("phi", "PhiModel", {"EMBED"}),
    ("gptj", "GPTJForSequenceClassification", {"EMBED", "CLASSIFIER"}),
    ("gptj", "GPTJForQuestionAnswering", {"EMBED", "QA"}),
]

BY_DEFAULT = [CLASSES[i] for i in (0, 1, 4, 7, 10, 11, 12, 15)]
"""One of each kind of head, of both ways to call the model within, and of each family."""


@pytest.mark.parametrize(("family", "model_class", "outside"), some_of(CLASSES, *BY_DEFAULT))
def test_other_classes_of_the_family(family: str, model_class: str, outside: set[str]) -> None:
    model = build(family, model_class, **({"num_labels": 5} if "Classification" in model_class else {}))
    tensors = model.state_dict()
    model_map = map_model(model.config.to_dict(), infos(tensors))
    assert statuses(model_map, "unmapped") == {}
    found = values(model_map, tensors)
    assert {role for layer, role in found if layer is None} - {"POSITION", "TOKEN_TYPE"} == outside
    for layer in range(LAYERS):
        assert {role for n, role in found if n == layer} == {"Q", "K", "V", "O", "QKV", "M1", "M2"}


def test_cross_attention_of_decoders() -> None:
    for family, model_class in (("gpt2", "GPT2LMHeadModel"), ("bert", "BertLMHeadModel")):
        model = build(family, model_class, add_cross_attention=True, is_decoder=True)
        tensors = model.state_dict()
        found = values(map_model(model.config.to_dict(), infos(tensors)), tensors)
        if family == "gpt2":
            cross = model.transformer.h[1].crossattention
            key, value = cross.c_attn.weight.split(HIDDEN, dim=1)  # as GPT2Attention.forward splits its output
            live = {"XQ": cross.q_attn.weight, "XK": key, "XV": value, "XO": cross.c_proj.weight}
            live = {role: weight.t() for role, weight in live.items()}
        else:
            cross = model.bert.encoder.layer[1].crossattention
            live = {"XQ": cross.self.query.weight, "XK": cross.self.key.weight, "XV": cross.self.value.weight}
            live["XO"] = cross.output.dense.weight
        assert all(torch.equal(found[1, role], weight) for role, weight in live.items())
        assert statuses(map_model(model.config.to_dict(), infos(tensors)), "unmapped") == {}


HEADS = {
    "bert": ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    "roberta": ("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"),
    "gpt2": ("lm_head.weight", "transformer.wte.weight"),
    "phi": ("lm_head.weight", "model.embed_tokens.weight"),
    "gptj": ("lm_head.weight", "transformer.wte.weight"),
}


@pytest.mark.parametrize("family", HEADS)
@pytest.mark.parametrize("says", [True, False, None])
def test_a_stored_head_is_declared_tied_as_the_config_says(family: str, says: bool | None, saved: Get) -> None:
    checkpoint = saved(family)
    head, embedding = HEADS[family]
    tensors = {**checkpoint.tensors, head: checkpoint.tensors[embedding]}
    config = {key: value for key, value in checkpoint.config.items() if key != "tie_word_embeddings"}
    if says is not None:
        config["tie_word_embeddings"] = says
    model_map = map_model(config, infos(tensors))
    (matrix,) = [matrix for matrix in model_map.matrices if matrix.role == "HEAD"]
    assert (matrix.tensors, matrix.shape) == ((head,), (VOCAB, HIDDEN))
    default = family in ("bert", "roberta", "gpt2")
    assert model_map.ties == (((head, embedding),) if (default if says is None else says) else ())


@pytest.mark.parametrize("most", [1, pytest.param(None, marks=pytest.mark.slow)], ids=["the first", "every"])
def test_specs_tie_as_transformers_does(most: int | None) -> None:
    known = [(family, model_type) for family in families() for model_type in family.model_types[:most]]
    checked = 0
    for family, model_type in known:
        if model_type in transformers.CONFIG_MAPPING:
            config = transformers.CONFIG_MAPPING[model_type]()
            nested = (
                {"text_config": {"model_type": config.text_config.model_type}} if hasattr(config, "text_config") else {}
            )
            says = getattr(
                config,
                "tie_word_embeddings",
                getattr(getattr(config, "text_config", None), "tie_word_embeddings", True),
            )
            assert says == embeddings_tied(family, model_type, nested), model_type
            checked += 1
    assert checked >= 70


@pytest.mark.parametrize("model_type", ["xlm-roberta", "camembert"])
def test_roberta_under_its_other_model_types(model_type: str, saved: Get) -> None:
    checkpoint = saved("roberta")
    model_map = map_model({**checkpoint.config, "model_type": model_type}, infos(checkpoint.tensors))
    assert (model_map.family, model_map.model_type) == ("roberta", model_type)
    assert model_map.matrices == checkpoint.map().matrices
    config = {**checkpoint.config, "model_type": model_type}
    own = transformers.AutoModelForMaskedLM.from_config(transformers.AutoConfig.for_model(**config))
    assert own.state_dict().keys() == checkpoint.model.state_dict().keys()
