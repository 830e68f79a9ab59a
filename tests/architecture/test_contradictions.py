"""What was learned at small sizes and is not so at others is not told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.architecture.contradictions import LARGEST, weaken
from tests.architecture.inventories import shipped
from weightaudit.architecture.schema import ANY

FIRST = {"layers": 2, "hidden": 48, "d_model": 48, "n_head": 4, "kernel": 4}
"""The numbers of the first build."""


@dataclass(frozen=True)
class Model:
    held: Mapping[str, tuple[int, ...]]
    numbers: Mapping[str, int]
    truths: Mapping[str, Any] = field(default_factory=dict)
    own: frozenset[str] = frozenset({"layers", "hidden"})
    in_layers: Mapping[int, Mapping[str, int]] = field(default_factory=dict)


def weakened(slots: list[dict[str, Any]], held: Mapping[str, tuple[int, ...]], **more: Any) -> dict[str, Any]:
    """A body with these slots, held against a model of other sizes that holds these tensors."""
    numbers = {"layers": 2, "hidden": 96, "d_model": 96, "n_head": 12, "kernel": 4, **more.pop("numbers", {})}
    body = {"classes": ["Model"], "defaults": {}, "slots": slots, **more}
    weaken(body, "My", FIRST, [("MyModel", Model(held, numbers))])
    return body


@pytest.mark.parametrize(
    ("learned", "size", "left"),
    [
        ("hidden", 96, "hidden"),
        ("hidden", 80, ANY),
        ("48", 96, "d_model"),  # the number that is 48 there and 96 here
        ("96", 192, "2*d_model"),
        ("4", 12, "n_head"),
        ("4", 7, ANY),
        ("4", 4, ANY),  # which number it goes with is not known
        ("48", 48, ANY),
        ("2", 2, "2"),
        (ANY, 5, ANY),
        ("unheard_of", 5, "unheard_of"),  # what a config does not say is not told
    ],
)
def test_a_size_is_what_holds_at_other_sizes_too(learned: str, size: int, left: str) -> None:
    assert weakened([{"name": "a.weight", "shape": [learned]}], {"a.weight": (size,)})["slots"][0]["shape"] == [left]


def test_another_number_of_dimensions_is_no_shape() -> None:
    assert weakened([{"name": "a", "shape": ["hidden"]}], {"a": (96, 1)})["slots"] == [{"name": "a"}]


def test_of_two_shapes_for_one_tensor_the_one_that_fits_is_kept() -> None:
    slots = [{"name": "a", "shape": ["hidden"]}, {"name": "a", "shape": ["n_head"]}]
    assert weakened(slots, {"a": (12,)})["slots"] == slots


def test_what_a_model_lacks_is_not_sure() -> None:
    slots: list[dict[str, Any]] = [
        {"name": "a", "when": {"with_a": False}},
        {"name": "b"},
        {"name": "c", "when": {"with_c": True}},
    ]
    left = weakened(slots, {"b": (1,)})["slots"]
    assert left == [{"name": "a", "sure": False}, {"name": "b"}, {"name": "c", "when": {"with_c": True}}]


def test_a_slot_of_another_class_is_left() -> None:
    slots = [{"name": "a", "classes": ["ForCausalLM"]}]
    assert weakened(slots, {})["slots"] == [{"name": "a", "classes": ["ForCausalLM"]}]


NORM, BIAS = "layers.{layers}.norm.weight", "layers.{layers}.norm.bias"
ATTENTION, STATES = "layers.{layers}.attn.q.weight", "layers.{layers}.ssm.D"


def names(*templates: tuple[str, int]) -> dict[str, tuple[int, ...]]:
    return {template.replace("{layers}", str(layer)): (96,) for template, layer in templates}


@pytest.mark.parametrize("part", ["", "rest"])
def test_what_only_some_layers_have_is_a_part_of_these(part: str) -> None:
    slots: list[dict[str, Any]] = [{"name": NORM}, {"name": BIAS, **({"part": part} if part else {})}]
    held = names((NORM, 0), (NORM, 1), (NORM, 2), (BIAS, 1))
    left = weakened(slots, held, numbers={"layers": 3})["slots"]
    assert left == [{"name": NORM}, {"name": BIAS, "part": "layers.norm"}]


def test_what_the_first_layer_alone_has_is_there() -> None:
    slots: list[dict[str, Any]] = [{"name": NORM}, {"name": "layers.0.bias.weight"}]
    held = {**names((NORM, 0), (NORM, 1)), "layers.0.bias.weight": (1,)}
    assert weakened([dict(one) for one in slots], held)["slots"] == slots


def test_a_size_of_a_layer_is_that_layer_s() -> None:
    slots = [{"name": NORM, "shape": ["hidden"]}]
    held = {"layers.0.norm.weight": (96,), "layers.1.norm.weight": (32,)}
    body = {"classes": ["Model"], "defaults": {}, "slots": slots}
    weaken(body, "My", FIRST, [("MyModel", Model(held, {"layers": 2, "hidden": 96}, in_layers={1: {"hidden": 32}}))])
    assert slots[0]["shape"] == ["hidden"]


def test_a_part_of_a_layer_is_whole_where_it_is() -> None:
    slots = [{"name": NORM}, {"name": ATTENTION, "part": "layers.attn"}, {"name": STATES, "part": "layers.ssm"}]
    held = names((NORM, 0), (NORM, 1), (ATTENTION, 1), (STATES, 0))
    together = {"alternatives": [["layers.attn", "layers.ssm"]]}
    assert weakened(slots, held, **together)["alternatives"] == together["alternatives"]
    neither = weakened(slots, names((NORM, 0), (NORM, 1), (ATTENTION, 1)), **together)
    assert neither["alternatives"] == []


def test_a_module_list_of_another_length_is_not_told() -> None:
    slots = [{"name": "emb.weight"}, {"name": NORM}]
    assert weakened(slots, {"emb.weight": (1,), **names((NORM, 0), (NORM, 1), (NORM, 2))})["slots"] == [slots[0]]


def test_no_size_is_that_of_a_tiny_config() -> None:
    sizes = {size for body, _ in shipped().values() for slot in body["slots"] for size in slot.get("shape", ())}
    assert [size for size in sizes if size.isdigit() and int(size) > LARGEST] == []
