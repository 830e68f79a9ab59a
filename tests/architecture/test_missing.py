"""What a checkpoint lacks of its config's model is told; what it may lack is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import transformers

from tests.architecture.saved import Saved, info, infos, stored_by
from tests.support.models import FF, HIDDEN, RECIPES, VOCAB
from weightaudit.architecture import family, map_model
from weightaudit.architecture.missing import MOST_LAYERS, absences
from weightaudit.records import Discrepancy, TensorInfo

Found = set[tuple[int, str]]
GPT2_LAYER = ("Q", "K", "V", "O", "M1", "M2")


def whole(layers: int) -> Found:
    return {(layer, role) for layer in range(layers) for role in GPT2_LAYER}


@pytest.mark.parametrize("known", RECIPES)
def test_a_whole_model_lacks_nothing(known: str, saved: Callable[[str], Saved]) -> None:
    model_map = saved(known).map()
    assert (model_map.notes, model_map.discrepancies) == ((), ())


@pytest.mark.parametrize("model_class", ["BertModel", "BertForMaskedLM", "BertForSequenceClassification"])
def test_heads_are_optional(model_class: str) -> None:
    config, tensors = stored_by("bert", model_class)
    assert map_model(config, tensors).discrepancies == ()


TIED = [
    ("gpt2", "transformer.wte.weight", "lm_head.weight"),
    ("bert", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ("roberta", "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
]


@pytest.mark.parametrize(("known", "embedding", "head"), TIED)
def test_a_tied_head_stands_in_for_the_embedding(known: str, embedding: str, head: str) -> None:
    """A loader takes either of the two tied tensors for both."""
    config, tensors = stored_by(known)
    stored = {name: one for name, one in tensors.items() if name not in (embedding, head)}
    for tied, lacks in ((True, []), (False, ["EMBED"])):
        found = map_model({**config, "tie_word_embeddings": tied}, {**stored, head: info(head, (VOCAB, HIDDEN))})
        assert [one.role for one in found.discrepancies] == lacks
    assert "EMBED" in [one.role for one in map_model(config, stored).discrepancies]


def test_a_file_of_one_layer_without_its_m1() -> None:
    config, tensors = stored_by("gpt2", "GPT2Model")
    kept = {name: tensors[name] for name in tensors if "h.1." not in name and "mlp.c_fc" not in name}
    assert map_model(config, kept).discrepancies == (
        Discrepancy(
            "missing", "config.json has 2 layers; the checkpoint holds only layer 0. Layer 0 lacks M1.", layers=(1,)
        ),
    )


def test_a_quantised_matrix_is_there() -> None:
    config, tensors = stored_by("gpt2", "GPT2Model")
    for name in ("h.0.mlp.c_fc.weight", "wte.weight"):
        tensors[name] = info(name, tensors[name].shape, "int8")
    assert map_model(config, tensors).discrepancies == ()


@pytest.mark.parametrize(
    ("known", "module", "says"),
    [
        ("bert", "cls.predictions.transform", "no TRANSFORM"),
        ("bert", "cls.seq_relationship", "no NSP"),
        ("roberta", "lm_head", "no HEAD"),
        ("bert", "bert.embeddings", "EMBED (embeddings)"),
    ],
)
def test_a_module_that_is_gone_is_one_absence_with_its_norms(known: str, module: str, says: str) -> None:
    config, tensors = stored_by(known)
    lost = [name for name in tensors if name.startswith(f"{module}.")]
    assert len(lost) > 1
    kept = {name: tensors[name] for name in tensors if name not in lost}
    config |= {"architectures": [RECIPES[known][0]], "tie_word_embeddings": False}
    (told,) = map_model(config, kept).discrepancies
    assert says in told.says


def test_norms_alone_are_told_though_a_matrix_of_another_module_is_gone() -> None:
    config, tensors = stored_by("bert")
    for name in ("cls.seq_relationship.weight", "cls.predictions.transform.LayerNorm.weight"):
        del tensors[name]
    config |= {"architectures": [RECIPES["bert"][0]]}
    matrix, norm = map_model(config, tensors).discrepancies
    assert "NSP" in matrix.says
    assert norm.says == "The checkpoint has no cls.predictions.transform.LayerNorm.weight."


@pytest.mark.parametrize("case", ["float32", "int8", "another shape"])
def test_an_absent_embedding(case: str) -> None:
    config, tensors = stored_by("gpt2", "GPT2Model")
    whole = map_model(config, {**tensors, "wte.weight": _other(tensors["wte.weight"], case)})
    del tensors["wte.weight"]
    lacking = map_model(config, tensors)
    says = "The checkpoint has no EMBED (wte): the model has one, and a loader would start it at random."
    assert lacking.discrepancies == (Discrepancy("missing", says, role="EMBED"),)
    assert not any(discrepancy.kind == "missing" for discrepancy in whole.discrepancies)


@pytest.mark.parametrize(("saved_by", "told"), [("WhisperForAudioClassification", False), ("WhisperModel", True)])
def test_an_encoder_of_sound_reads_no_tokens(saved_by: str, told: bool) -> None:
    counts = ("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads")
    sizes: dict[str, Any] = dict.fromkeys(counts, 2)
    config = transformers.WhisperConfig(d_model=HIDDEN, encoder_ffn_dim=FF, decoder_ffn_dim=FF, pad_token_id=0, **sizes)
    model = transformers.WhisperForAudioClassification(config)
    found = map_model({**config.to_dict(), "architectures": [saved_by]}, infos(model.state_dict()))
    assert ["EMBED" in one.role for one in found.discrepancies] == [True] * told


def _other(tensor: TensorInfo, case: str) -> TensorInfo:
    return info(tensor.name, (3, 3)) if case == "another shape" else info(tensor.name, tensor.shape, case)


ABSENT = [
    (whole(12), 12, ()),
    (whole(8) - {(n, role) for n in (4, 5, 6) for role in GPT2_LAYER}, 12, (
        Discrepancy("missing", "config.json has 12 layers; the checkpoint holds only layers 0-3, 7.",
                    layers=(4, 5, 6, 8, 9, 10, 11)),
    )),
    (set(), 12, (Discrepancy("missing", "config.json has 12 layers; the checkpoint holds no matrix of any.",
                             layers=tuple(range(12))),)),
    (set(), 1, (Discrepancy("missing", "config.json has 1 layer; the checkpoint holds no matrix of any.",
                            layers=(0,)),)),
    (set(), 0, ()),
    (whole(3) - {(0, "M1"), (0, "M2"), (2, "O")}, 3, (
        Discrepancy("missing", "Layer 2 lacks O.", layers=(2,), role="O"),
        Discrepancy("missing", "Layer 0 lacks M1, M2.", layers=(0,), role="M1 M2"),
    )),
    (whole(9) - {(n, "Q") for n in (0, 1, 2, 8)}, 9, (
        Discrepancy("missing", "Layers 0-2, 8 lack Q.", layers=(0, 1, 2, 8), role="Q"),
    )),
    (whole(3) - {(n, role) for n in range(3) for role in ("Q", "K")}, 3, (
        Discrepancy("missing", "No layer has Q or K.", layers=(0, 1, 2), role="Q K"),
    )),
    (whole(3) | {(1, "XQ"), (1, "XK")}, 3, (
        Discrepancy("missing", "Layers 0, 2 lack XQ, XK.", layers=(0, 2), role="XQ XK"),
    )),
    (whole(3) | {(n, "XQ") for n in range(3)}, 3, ()),
]  # fmt: skip


@pytest.mark.parametrize(("found", "layers", "told"), ABSENT)
def test_absences(found: Found, layers: int, told: tuple[Discrepancy, ...]) -> None:
    assert absences(family("gpt2"), layers, found) == told


def test_what_a_decoder_lacks_is_said_of_the_decoder() -> None:
    (told,) = absences(family("bart"), 2, whole(1), "decoder")
    assert told == Discrepancy(
        "missing", "Decoder: config.json has 2 layers; the checkpoint holds only layer 0.", "decoder", (1,)
    )


def test_what_lacks_everywhere_is_told_briefly() -> None:
    found = whole(2000) - {(layer, role) for layer in range(0, 2000, 2) for role in GPT2_LAYER[:2]}
    layers, roles = absences(family("gpt2"), 2**60, found | {(2**60 - 1, role) for role in GPT2_LAYER})
    assert roles.says == "Layers 0, 2, 4, 6, 8, 10, 12, 14, … (1000 in all) lack Q, K."
    assert roles.layers == tuple(range(0, 2000, 2))
    assert layers.layers == tuple(range(2000, 2000 + MOST_LAYERS))


HEADS = [
    ("GPT2LMHeadModel", False, True),
    ("GPT2LMHeadModel", True, False),
    ("GPT2LMHeadModel", None, False),  # GPT-2 is tied where the config is silent
    ("GPT2Model", False, False),
    ("ElectraForPreTraining", False, False),
    (None, False, False),
    (7, False, False),
]


@pytest.mark.parametrize(("architecture", "tied", "told"), HEADS)
def test_an_absent_head_that_nothing_stands_in_for(architecture: object, tied: bool | None, told: bool) -> None:
    config, tensors = stored_by("gpt2", "GPT2Model")
    config |= {"architectures": [architecture], "tie_word_embeddings": tied}
    model_map = map_model(config, tensors)
    assert model_map.tied == (tied is not False)
    says = "The checkpoint has no HEAD (lm_head): GPT2LMHeadModel has one, and a loader would start it at random."
    assert model_map.discrepancies == ((Discrepancy("missing", says, role="HEAD"),) if told else ())
    whole = stored_by("gpt2", "GPT2LMHeadModel")[1]
    assert map_model(config, whole).discrepancies == ()


@pytest.mark.parametrize("value", [None, [], "GPT2LMHeadModel", {}, [["GPT2LMHeadModel"]]])
def test_architectures_that_are_none(value: object) -> None:
    config, tensors = stored_by("gpt2", "GPT2Model")
    config |= {"architectures": value, "tie_word_embeddings": False}
    assert map_model(config, tensors).discrepancies == ()


def unknown(*names: str) -> dict[str, TensorInfo]:
    return {name: info(name, (FF, HIDDEN)) for name in names}


@pytest.mark.parametrize("layers", [{}, {"num_hidden_layers": 4}, {"n_layer": 2}, {"n_layer": "9"}])
def test_a_guessed_model_is_said_to_lack_no_layer(layers: dict[str, object]) -> None:
    """Dory's config counts attentions and MLPs by themselves, HRM's the turns of its stacks; a guess cannot know."""
    model_map = map_model({"model_type": "new", **layers}, unknown("layers.0.fc1.weight", "layers.2.fc1.weight"))
    assert (model_map.guessed, model_map.tied, model_map.discrepancies) == (True, None, ())
    assert model_map.dimensions["layers"] == 2
