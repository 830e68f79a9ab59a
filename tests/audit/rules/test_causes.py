"""One cause, one finding: what befell a model, a shard, layers or a role, however many tensors hold it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import weightaudit as wa
from tests.support.covering import some_of
from tests.support.trained import EMBED, FEW, HEAD, Tensors, name, write
from weightaudit.audit.rules.causes import Weight, by_cause, label_of, labelled
from weightaudit.records import Place

Make = Callable[[torch.Tensor], torch.Tensor]
FILLS: dict[str, Make] = {
    "nonfinite": lambda values: torch.full_like(values, float("nan")),
    "zero-matrix": torch.zeros_like,
    "magnitude": lambda values: 1e20 * values,
}


def every(which: Callable[[str], bool], make: Make) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        for one in filter(which, list(tensors)):
            tensors[one] = make(tensors[one])

    return change


def is_matrix(tensor: str) -> bool:
    return "norm" not in tensor


def in_layers(*layers: int) -> Callable[[str], bool]:
    return lambda tensor: any(f".layers.{layer}." in tensor for layer in layers)


INSIDE = "Q, K, V, O, GATE, M1, M2, input_layernorm.weight and post_attention_layernorm.weight"
BEFALLEN: dict[str, tuple[Callable[[str], bool], tuple[int | None, str], int, str]] = {
    # what → (which tensors, the finding's layer and role, how many, in which words)
    "the model": (lambda _: True, (None, ""), 111, f"EMBED, HEAD and model.norm.weight; {INSIDE} of layers 0-11"),
    "its matrices": (is_matrix, (None, ""), 86, "EMBED and HEAD; Q, K, V, O, GATE, M1 and M2 of layers 0-11"),
    "a layer": (in_layers(3), (3, ""), 9, f"{INSIDE} of layer 3"),
    "a layer's matrices": (lambda one: is_matrix(one) and in_layers(3)(one), (3, ""), 7, "M1 and M2 of layer 3"),
    "layers": (in_layers(3, 4, 5, 9), (None, ""), 36, f"{INSIDE} of layers 3-5,9"),
    "a role": (lambda one: "v_proj" in one, (None, "V"), 12, "V of layers 0-11"),
    "a role in some layers": (
        lambda one: "v_proj" in one and in_layers(1, 2, 8)(one),
        (None, "V"),
        3,
        "V of layers 1-2,8",
    ),
    "an MLP": (lambda one: ".mlp." in one, (None, ""), 36, "GATE, M1 and M2 of layers 0-11"),
    "the norms": (
        lambda one: "norm" in one,
        (None, ""),
        25,
        "input_layernorm.weight and post_attention_layernorm.weight of layers 0-11; model.norm.weight",
    ),
}


BY_DEFAULT = {"the model": "nonfinite"}
"""What befell a role in some layers is in `test_one_entry_in_each_of_many_is_counted`."""


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        pytest.param(rule, what, marks=() if BY_DEFAULT.get(what) == rule else pytest.mark.slow)
        for rule, what in product(FILLS, BEFALLEN)
    ],
)
def test_one_cause_is_one_finding(rule: str, what: str, tmp_path: Path) -> None:
    which, place, count, words = BEFALLEN[what]
    (finding,) = wa.scan(write(tmp_path, every(which, FILLS[rule]))).findings
    assert (finding.id, (finding.layer, finding.role)) == (rule, place)
    assert f"{count} of 111 weights" in finding.detail
    assert words in finding.detail
    assert len(finding.tensors) == min(count, 50)


@pytest.mark.parametrize("rule", some_of(FILLS, "nonfinite"))
def test_a_shard_is_named(rule: str, tmp_path: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        every(lambda one: one in list(tensors)[1::3], FILLS[rule])(tensors)

    (finding,) = wa.scan(write(tmp_path, spoil, shards=3, layers=FEW)).findings
    assert finding.id == rule
    assert "10 of 30 weights, all of model-00002-of-00003.safetensors," in finding.detail


@pytest.mark.parametrize("rule", some_of(FILLS, "zero-matrix"))
def test_two_that_share_nothing_are_two(rule: str, tmp_path: Path) -> None:
    which = (EMBED, name(3, "v_proj"), name(3, "up_proj"), name(7, "v_proj"))
    found = wa.scan(write(tmp_path, every(lambda one: one in which, FILLS[rule]), layers=8)).findings
    assert [(one.id, one.layer, one.role) for one in found] == [
        (rule, None, "EMBED"),
        (rule, 3, "V"),
        (rule, 3, "M1"),
        (rule, 7, "V"),
    ]


def test_a_layer_and_another_matrix_are_two(tmp_path: Path) -> None:
    change = every(lambda one: in_layers(1)(one) or one == HEAD, FILLS["nonfinite"])
    found = wa.scan(write(tmp_path, change, layers=FEW)).findings
    assert [(one.layer, one.role) for one in found] == [(1, ""), (None, "HEAD")]


def test_one_entry_in_each_of_many_is_counted(tmp_path: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        for layer in range(5):
            tensors[name(layer, "down_proj")][layer, 3] = float("inf")

    (finding,) = wa.scan(write(tmp_path, spoil, layers=6)).findings
    assert finding.value == 5.0
    assert finding.detail == "5 of 51,200 entries of 5 of 57 weights are NaN or infinite: M2 of layers 0-4."


def test_different_faults_are_told_apart(tmp_path: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        every(in_layers(2), FILLS["zero-matrix"])(tensors)
        every(in_layers(4), FILLS["nonfinite"])(tensors)
        every(in_layers(5), FILLS["magnitude"])(tensors)

    found = wa.scan(write(tmp_path, spoil, layers=7)).findings
    assert sorted((one.id, one.layer) for one in found) == [("magnitude", 5), ("nonfinite", 4), ("zero-matrix", 2)]


@pytest.mark.parametrize(("layers", "factor"), some_of(product([4, 12], [1e5, 1e-6]), (4, 1e5)))
def test_a_size_unlike_that_of_the_role(factor: float, layers: int, tmp_path: Path) -> None:
    """Four layers are too few for outliers, and twelve, as eight in `test_recall`, have one that is; either way it is
    told once.
    """

    def spoil(tensors: Tensors) -> None:
        every(lambda one: ".layers." in one and int(one.split(".")[2]) >= layers, lambda _: torch.zeros(0))(tensors)
        for one in [one for one in tensors if not tensors[one].numel()]:
            del tensors[one]
        tensors[name(2, "q_proj")] *= factor

    (finding,) = wa.scan(write(tmp_path, spoil, num_hidden_layers=layers)).findings
    assert (finding.id, finding.layer, finding.role) == ("magnitude", 2, "Q")
    assert "the matrices of its role have 0.1" in finding.detail


@pytest.mark.parametrize(
    ("rule", "family", "form"),
    some_of(
        product(FILLS, ["bert", "gpt2", "phi"], ["safetensors", "pickle"]),
        *[("magnitude", "phi", "safetensors"), ("zero-matrix", "gpt2", "pickle")],
    ),
)
def test_in_other_families_and_formats(
    rule: str, family: str, form: str, tmp_path: Path, tiny_checkpoints: dict[str, Path]
) -> None:
    """Fused projections, biases, a tied head; what is wrong with the second of two layers is no outlier."""
    (tmp_path / "config.json").write_bytes((tiny_checkpoints[family] / "config.json").read_bytes())
    for which, layer in ((".1.", 1), ("", None)):
        tensors = load_file(tiny_checkpoints[family] / "model.safetensors")
        for one in [one for one in tensors if which in one]:
            tensors[one] = FILLS[rule](tensors[one])
        if form == "pickle":
            torch.save(tensors, tmp_path / "pytorch_model.bin")
        else:
            save_file(tensors, tmp_path / "model.safetensors")
        (finding,) = [one for one in wa.scan(tmp_path).findings if one.id != "pickle"]
        assert (finding.id, finding.layer, finding.role) == (rule, layer, "")


def test_what_befell_a_module_without_roles_is_one(tmp_path: Path) -> None:
    projector = ("multi_modal_projector.linear_1.weight", "multi_modal_projector.linear_2.weight")
    alone = "vision_gate.proj.weight"

    def spoil(tensors: Tensors) -> None:
        for one in (*projector, alone):
            tensors[one] = torch.full((8, 8), float("nan"))
        tensors["audio_gate.proj.weight"] = torch.ones(8, 8)

    found = [one for one in wa.scan(write(tmp_path, spoil, layers=FEW)).findings if one.id == "nonfinite"]
    assert [one.tensors for one in found] == [projector, (alone,)]
    assert "2 of 34 weights" in found[0].detail


def test_what_befell_unlike_modules_outside_the_layers_is_not_one(tmp_path: Path) -> None:
    spoilt = {
        "vision_extra.blocks.{}.norm1.weight": (range(3), float("nan")),
        "audio_extra.layers.{}.fc2.weight": (range(5, 8), float("inf")),
    }

    def spoil(tensors: Tensors) -> None:
        for form, (numbers, value) in spoilt.items():
            for number in numbers:
                tensors[form.format(number)] = torch.full((8, 8), value)

    found = [one for one in wa.scan(write(tmp_path, spoil, layers=FEW)).findings if one.id == "nonfinite"]
    assert sorted(one.tensors for one in found) == sorted(
        tuple(form.format(number) for number in numbers) for form, (numbers, _) in spoilt.items()
    )


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ([(2, 3, "GATE"), (2, 3, "M1"), (2, 3, "M2")], "GATE, M1 and M2 of expert 3 of layer 2"),
        ([(2, 3, "M1"), (2, 5, "M1"), (1, 0, "GATE")], "M1 of experts 3,5 of layer 2; GATE of expert 0 of layer 1"),
        ([(layer, 5, "M1") for layer in range(4)], "M1 of expert 5 of layers 0-3"),
        ([(2, 3, "M1"), (2, None, "M1")], "M1 of expert 3 of layer 2; M1 of layer 2"),
        ([(None, 3, "M1"), (None, None, "EMBED")], "M1 of expert 3; EMBED"),
    ],
)
def test_experts_are_named(places: list[tuple[int | None, int | None, str]], says: str) -> None:
    assert labelled((Place(layer=layer, expert=expert), label) for layer, expert, label in places) == says


def weight(layer: int, role: str, expert: int | None = None) -> Weight:
    place = Place(layer=layer, expert=expert, role=role)
    return Weight(("matrix", str(place)), place, label_of(place), (str(place),), frozenset(("f",)), 9)


EXPERTS = [weight(layer, role, expert) for layer in range(4) for expert in range(8) for role in ("GATE", "M1", "M2")]
DENSE = [weight(layer, role) for layer in range(9) for role in ("Q", "K", "V", "O")]


@pytest.mark.parametrize(
    ("befallen", "groups"),
    [
        ("an expert", [3]),
        ("most of an expert", [2]),
        ("experts of several layers", [9]),
        ("a role of an expert in each layer", [4]),
        ("one matrix of an expert", [1]),
        ("an expert and another's matrix", [3, 1]),
    ],
)
def test_an_expert_is_one_cause(befallen: str, groups: list[int]) -> None:
    which: dict[str, Callable[[Place], bool]] = {
        "an expert": lambda one: (one.layer, one.expert) == (1, 2),
        "most of an expert": lambda one: (one.layer, one.expert) == (1, 2) and one.role != "M2",
        "experts of several layers": lambda one: (one.layer, one.expert) in ((1, 2), (2, 7), (3, 2)),
        "a role of an expert in each layer": lambda one: (one.expert, one.role) == (5, "M1"),
        "one matrix of an expert": lambda one: (one.layer, one.expert, one.role) == (1, 2, "M1"),
        "an expert and another's matrix": lambda one: (
            (one.layer, one.expert) == (1, 2) or (one.layer, one.expert, one.role) == (3, 0, "M1")
        ),
    }
    faulty = [one for one in EXPERTS if which[befallen](one.place)]
    assert [len(group) for group in by_cause(faulty, EXPERTS)] == groups


@pytest.mark.parametrize(("layers", "groups"), [(4, [8]), (3, [4, 3])])
def test_roles_in_the_same_layers_are_one_cause(layers: int, groups: list[int]) -> None:
    ends = {"V": 4, "O": layers}
    faulty = [one for one in DENSE if one.place.layer is not None and one.place.layer < ends.get(one.place.role, 0)]
    assert [len(group) for group in by_cause(faulty, DENSE)] == groups
