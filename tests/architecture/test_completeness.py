"""What a checkpoint lacks of its config's model is told; what it may lack is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.architecture.saved import Saved, info, infos
from tests.models import FF, HIDDEN, RECIPES, build
from weightaudit.architecture import family, map_model
from weightaudit.architecture.completeness import absences
from weightaudit.records import TensorInfo

Found = set[tuple[int | None, str]]
GPT2_LAYER = ("Q", "K", "V", "O", "M1", "M2")


def whole(layers: int) -> Found:
    found: Found = {(None, "EMBED"), (None, "POSITION")}
    return found | {(layer, role) for layer in range(layers) for role in GPT2_LAYER}


@pytest.mark.parametrize("known", RECIPES)
def test_a_whole_model_lacks_nothing(known: str, saved: Callable[[str], Saved]) -> None:
    assert saved(known).map().notes == ()


@pytest.mark.parametrize("model_class", ["BertModel", "BertForMaskedLM", "BertForSequenceClassification"])
def test_heads_are_optional(model_class: str) -> None:
    model = build("bert", model_class)
    assert map_model(model.config.to_dict(), infos(model.state_dict())).notes == ()


def test_a_file_of_one_layer_without_its_m1() -> None:
    model = build("gpt2", "GPT2Model")
    tensors = infos(model.state_dict())
    kept = {name: tensors[name] for name in tensors if "h.1." not in name and "mlp.c_fc" not in name}
    assert map_model(model.config.to_dict(), kept).notes == (
        "config.json has 2 layers; the checkpoint holds only layer 0.",
        "Layer 0 lacks M1.",
    )


def test_a_quantised_matrix_is_there() -> None:
    model = build("gpt2", "GPT2Model")
    tensors = infos(model.state_dict())
    for name in ("h.0.mlp.c_fc.weight", "wte.weight"):
        tensors[name] = info(name, tensors[name].shape, "int8")
    assert map_model(model.config.to_dict(), tensors).notes == ()


ABSENT = [
    (whole(12), 12, ()),
    (whole(8) - {(n, role) for n in (4, 5, 6) for role in GPT2_LAYER}, 12, (
        "config.json has 12 layers; the checkpoint holds only layers 0-3, 7.",
    )),
    ({(None, "EMBED")}, 12, ("config.json has 12 layers; the checkpoint holds no matrix of any.",)),
    ({(None, "EMBED")}, 1, ("config.json has 1 layer; the checkpoint holds no matrix of any.",)),
    ({(None, "EMBED")}, 0, ()),
    (whole(2) - {(None, "EMBED")}, 2, ("The checkpoint has no EMBED.",)),
    (whole(3) - {(0, "M1"), (0, "M2"), (2, "O")}, 3, ("Layer 2 lacks O.", "Layer 0 lacks M1, M2.")),
    (whole(9) - {(n, "Q") for n in (0, 1, 2, 8)}, 9, ("Layers 0-2, 8 lack Q.",)),
    (whole(3) - {(n, role) for n in range(3) for role in ("Q", "K")}, 3, ("No layer has Q or K.",)),
    (whole(3) | {(1, "XQ"), (1, "XK")}, 3, ("Layers 0, 2 lack XQ, XK.",)),
    (whole(3) | {(n, "XQ") for n in range(3)}, 3, ()),
]  # fmt: skip


@pytest.mark.parametrize(("found", "layers", "notes"), ABSENT)
def test_absences(found: Found, layers: int, notes: tuple[str, ...]) -> None:
    assert absences(family("gpt2"), layers, found) == notes


def test_what_lacks_everywhere_is_told_briefly() -> None:
    found = whole(2000) - {(layer, role) for layer in range(0, 2000, 2) for role in GPT2_LAYER[:2]}
    (note,) = absences(family("gpt2"), 2**60, found | {(2**60 - 1, role) for role in GPT2_LAYER})[1:]
    assert note == "Layers 0, 2, 4, 6, 8, 10, 12, 14, … (1000 in all) lack Q, K."


def unknown(*names: str) -> dict[str, TensorInfo]:
    return {name: info(name, (FF, HIDDEN)) for name in names}


def test_layers_of_a_guessed_model_are_held_against_the_config_too() -> None:
    tensors = unknown("layers.0.fc1.weight", "layers.2.fc1.weight")
    assert map_model({"model_type": "new", "num_hidden_layers": 4}, tensors).notes == (
        "config.json has 4 layers; the checkpoint holds only layers 0, 2.",
    )
    for config in ({"model_type": "new"}, {"model_type": "new", "n_layer": 2}, {"model_type": "new", "n_layer": "9"}):
        assert map_model(config, tensors).notes == ()
