"""Towers for images and sound: their stacks and numbers, and that nothing of them is taken for the language model's.

That each matrix of a tower is what the live tower computes is shown with the language models', in test_proofs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.architecture.proofs import judge
from tests.architecture.saved import info, infos, statuses
from tests.support.tiny import tiny
from weightaudit.architecture import layouts, map_model
from weightaudit.architecture.loader import read_towers
from weightaudit.architecture.registry import layers_of_towers
from weightaudit.errors import SpecError
from weightaudit.records import TOWERS, Discrepancy, ModelMap, Rows


@pytest.mark.parametrize("model_type", ["qwen2_vl", pytest.param("exaone4_5", marks=pytest.mark.slow)])
def test_a_towers_fused_tensor_with_two_slices_swapped_is_caught(
    model_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = layouts.PACKINGS["contiguous"]

    def swapped(roles: Any, rows: Any, dimensions: Any) -> dict[str, tuple[Rows, ...]]:
        layout = right(roles, rows, dimensions)
        return {**layout, "K": layout["V"], "V": layout["K"]}

    monkeypatch.setitem(layouts.PACKINGS, "contiguous", swapped)
    assert {key[:1] + key[3:] for key in judge(model_type, tmp_path).lacking} >= {("vision", "K"), ("vision", "V")}


HIDDEN, OWN, WIDE = 8, 12, 20
LANGUAGE = {"model.layers.0.self_attn.q_proj.weight": (HIDDEN, HIDDEN), "lm_head.weight": (11, HIDDEN)}
SIZES = {"hidden_size": HIDDEN, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 11}


def layer(number: int, **shapes: tuple[int, int]) -> dict[str, tuple[int, int]]:
    whole = {
        **dict.fromkeys(("attn.proj", "attn.q", "attn.k", "attn.v"), (OWN, OWN)),
        "mlp.fc1": (WIDE, OWN),
        "mlp.fc2": (OWN, WIDE),
    }
    return {f"visual.blocks.{number}.{name}.weight": shape for name, shape in (whole | shapes).items()}


def mapped(vision: object, tower: dict[str, tuple[int, int]]) -> ModelMap:
    config = {"model_type": "llava", "text_config": {"model_type": "llama", **SIZES}, "vision_config": vision}
    return map_model(config, {name: info(name, shape) for name, shape in (LANGUAGE | tower).items()})


TOLD = {"hidden_size": OWN, "num_heads": 3, "depth": 2}
WHOLE = layer(0) | layer(1)


def in_tower(model_map: ModelMap) -> list[tuple[int | None, str]]:
    return [(matrix.layer, matrix.role) for matrix in model_map.matrices if matrix.stack in TOWERS]


def test_a_tower_has_a_stack_and_numbers_of_its_own() -> None:
    model_map = mapped(TOLD, WHOLE)
    assert in_tower(model_map) == [(n, role) for n in (0, 1) for role in ("Q", "K", "V", "O", "QKV", "M1", "M2")]
    assert {m.stack for m in model_map.matrices} == {"", "vision"}
    assert [m.role for m in model_map.matrices][-1] == "HEAD"  # what lies outside the layers stays last
    assert {name: n for name, n in model_map.dimensions.items() if name.startswith(TOWERS)} == {
        "vision_hidden": OWN,
        "vision_layers": 2,
        "vision_heads": 3,
        "vision_kv_heads": 3,
        "vision_head_dim": 4,
    }
    assert not [told for told in model_map.discrepancies if told.stack]


def test_what_a_tower_lacks_and_what_contradicts_its_config_is_told() -> None:
    (absent,) = (told for told in mapped({**TOLD, "depth": 3}, WHOLE).discrepancies if told.stack)
    says = "Vision: config.json has 3 layers; the checkpoint holds only layers 0-1."
    assert absent == Discrepancy("missing", says, "vision", (2,))
    (extra,) = (told for told in mapped({**TOLD, "depth": 1}, WHOLE).discrepancies if told.stack)
    assert (extra.kind, extra.layers) == ("extra", (1,))
    assert "(vision_config.depth = 1, counted from 0)" in extra.says
    without = {name: shape for name, shape in WHOLE.items() if name != "visual.blocks.1.mlp.fc2.weight"}
    (lacking,) = (told for told in mapped(TOLD, without).discrepancies if told.stack)
    assert lacking == Discrepancy("missing", "Vision: Layer 1 lacks M2.", "vision", (1,), role="M2")
    (misshapen,) = (told for told in mapped({**TOLD, "hidden_size": 24}, WHOLE | layer(1)).discrepancies[:1])
    assert "vision_config.hidden_size = 24" in misshapen.says
    assert f"hidden_size = {HIDDEN}" not in misshapen.says


@pytest.mark.parametrize("vision", [{}, {"depth": None}, {"hidden_size": [12, 24], "num_heads": "3", "depth": True}])
def test_what_the_config_does_not_tell_is_the_tensors_own_and_nothing_fused_is_cut(vision: dict[str, object]) -> None:
    fused = {"visual.blocks.0.attn.qkv.weight": (3 * OWN, OWN)}
    vision = {"model_type": "unheard-of", **vision}
    model_map = mapped(vision, layer(0) | fused)
    assert ("vision", 0, None, "Q") in {(m.stack, m.layer, m.expert, m.role) for m in model_map.matrices}
    assert statuses(model_map, "ignored") == {"visual.blocks.0.attn.qkv.weight": "vision tower"}
    assert not [told for told in model_map.discrepancies if told.stack]


@pytest.mark.parametrize("vision", [None, 7, "clip", []])
def test_a_tower_without_a_config_of_its_own_is_listed(vision: object) -> None:
    model_map = mapped(vision, WHOLE)
    assert in_tower(model_map) == []
    assert set(statuses(model_map, "ignored")) == set(WHOLE)


def test_a_shard_with_a_tower_only_is_mapped() -> None:
    config = {"model_type": "llava", "text_config": {"model_type": "llama", **SIZES}, "vision_config": TOLD}
    assert len(in_tower(map_model(config, {name: info(name, shape) for name, shape in WHOLE.items()}))) == 14


GOOD = """
[dimensions]
hidden = { keys = ["hidden_size"] }
[[tower]]
stack = "vision"
configs = ["vision_config"]
layers = ["tower.{layer}."]
[[matrix]]
role = "Q"
names = ["q.weight"]
rows = "hidden"
cols = "hidden"
"""


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('stack = "vision"', 'stack = "sight"', "'stack' must be vision or video or audio"),
        ("tower.{layer}.", "tower.", "'tower.q.weight' has no {layer}"),
        ("tower.{layer}.", "tower.{lair}.", "is no placeholder"),
        ("configs", "config", "unknown key 'config'. Did you mean configs?"),
        ('cols = "hidden"', 'cols = "width"', "'width' is no dimension"),
        ("[[tower]]", "[tower]", "must be written as"),
    ],
)
def test_a_wrong_file_of_towers_is_refused(old: str, new: str, cause: str) -> None:
    (tower,) = read_towers("towers.toml", GOOD).towers
    assert tower.matrices[0].names == ("tower.{layer}.q.weight",)
    with pytest.raises(SpecError, match=r"towers\.toml") as caught:
        read_towers("towers.toml", GOOD.replace(old, new, 1))
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("model_type", "vision", "hidden", "layers"),
    [
        ("qwen2_vl", {"hidden_size": 1536, "embed_dim": 640}, 640, 32),  # the model's class names the tower's
        ("llava", {"model_type": "clip_vision_model", "hidden_size": 1024}, 1024, 12),  # the tower's own type
        ("llava", {"model_type": "unheard-of", "hidden_size": 1024}, 1024, None),
    ],
)
def test_what_a_towers_config_leaves_out_is_what_its_class_says(
    model_type: str, vision: dict[str, object], hidden: int, layers: int | None
) -> None:
    told = layers_of_towers().of({"vision_config": vision}, model_type).values
    assert (told["vision_hidden"], told.get("vision_layers")) == (hidden, layers)


def test_a_projector_within_an_encoder_is_no_tower() -> None:
    model = tiny("t5gemma2")
    (inside,) = {
        entry.detail
        for entry in map_model(model.config.to_dict(), infos(model.state_dict())).coverage
        if ".multi_modal_projector." in entry.tensor
    }
    assert inside == "projector from a tower to the language model"
