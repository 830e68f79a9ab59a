"""Names that a wrapper of the model has changed are read as the plain ones, and told; plain names are left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import transformers

from tests.architecture.deletions import saved_by
from tests.architecture.inventories import classes_of
from tests.architecture.saved import info, infos
from tests.support.covering import covering, some_of
from tests.support.tiny import tiny
from weightaudit.architecture import map_model
from weightaudit.architecture.registry import for_model_type
from weightaudit.architecture.wrapping import MAX_PARTS, unwrap
from weightaudit.errors import MappingError
from weightaudit.records import ModelMap, TensorInfo

TYPES = ["llama", "bert", "gpt2", "t5", "mixtral", "llava", "mamba"]
Names = Callable[[str], str]
WRAPPERS: dict[str, Names] = {
    "compiled": lambda name: f"_orig_mod.{name}",
    "data parallel twice": lambda name: f"module.module.{name}",
    "Fabric": lambda name: f"_forward_module.{name}",
    "a part of a trainer": lambda name: f"policy.{name}",
    "two parts deep": lambda name: f"learner.actor-0.{name}",
    "a part of a trainer, in other letters": lambda name: f"modèle.学習.{name}",
    "the only module of a list": lambda name: f"0.{name}",
    "a part of the only module of a list": lambda name: f"0.auto_model.{name}",
    "compiled part of a trainer": lambda name: f"_orig_mod.policy.module.{name}",
    "sharded, then each layer": lambda name: "_fsdp_wrapped_module." + name.replace(".0.", ".0._fsdp_wrapped_module."),
    "an unknown wrapper of layers": lambda name: name.replace(".0.", ".0.inner.").replace(".1.", ".1.inner."),
    "an unknown wrapper of one layer": lambda name: name.replace(".1.", ".1.offloaded.", 1),
}


@pytest.fixture(scope="module")
def models() -> Mapping[str, tuple[dict[str, Any], dict[str, TensorInfo]]]:
    built = {model_type: tiny(model_type) for model_type in TYPES}
    return {name: (model.config.to_dict(), infos(model.state_dict())) for name, model in built.items()}


Models = Mapping[str, tuple[dict[str, Any], dict[str, TensorInfo]]]


def renamed(tensors: Mapping[str, TensorInfo], change: Names) -> dict[str, TensorInfo]:
    return {change(name): replace(one, name=change(name)) for name, one in tensors.items()}


def account(model_map: ModelMap, change: Names = str) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {change(entry.tensor): (entry.status, entry.roles) for entry in model_map.coverage}


def layers(model_map: ModelMap) -> list[str]:
    return [matrix.key for matrix in model_map.matrices if matrix.layer is not None]


@pytest.mark.parametrize("model_type", some_of(TYPES, "llama", "t5", "mixtral", "llava"))
def test_plain_names_carry_nothing(model_type: str, models: Models) -> None:
    config, tensors = models[model_type]
    assert map_model(config, tensors).wrapping is None
    assert map_model({**config, "model_type": "nobody_knows"}, tensors).wrapping is None


@pytest.mark.parametrize(("model_type", "wrapper"), covering(list(TYPES), list(WRAPPERS), together=1))
def test_wrapped_names_are_read_as_the_plain_ones(model_type: str, wrapper: str, models: Models) -> None:
    config, tensors = models[model_type]
    change = WRAPPERS[wrapper]
    changed = {name for name in tensors if change(name) != name}
    plain, found = map_model(config, tensors), map_model(config, renamed(tensors, change))
    assert account(found) == account(plain, change)
    assert [(m.key, m.shape, m.tensors) for m in found.matrices] == [
        (m.key, m.shape, tuple(map(change, m.tensors))) for m in plain.matrices
    ]
    assert found.discrepancies == plain.discrepancies
    assert [entry.tensor for entry in found.coverage] == sorted(map(change, tensors))
    assert found.wrapping is not None
    assert dict(zip(found.wrapping.plain, found.wrapping.names, strict=True)) == {
        name: change(name) for name in changed
    }


@pytest.mark.parametrize(
    ("model_type", "prefix", "accepted"),
    [("llama", "model.", True), ("bert", "bert.", True), ("llama", "model.model.", False), ("gpt2", "model.", False)],
)
def test_the_prefix_of_the_class_may_be_missing_or_stand_there_once_too_often(
    model_type: str, prefix: str, accepted: bool, models: Models
) -> None:
    """As transformers 5 loads them; its loader takes not one name of the refused ones."""
    config, tensors = models[model_type]
    found = map_model(config, renamed(tensors, lambda name: prefix + name))
    assert (found.wrapping is None) == accepted
    assert layers(found) == layers(map_model(config, tensors))
    without = renamed(tensors, lambda name: name.removeprefix("model.").removeprefix("transformer."))
    assert map_model(config, without).wrapping is None


@pytest.mark.parametrize(
    ("model_type", "prefix"),
    some_of(
        [
            ("bert", "bert."),
            ("gpt2", "transformer."),
            ("llama", "model."),
            ("roberta", "roberta."),
            ("albert", "albert."),
        ],
        *[("bert", "bert."), ("llama", "model.")],
    ),
)
def test_heads_carry_the_prefix_of_the_class_as_the_rest_does(model_type: str, prefix: str) -> None:
    """A loader of the class takes `bert.cls.*` beside `bert.bert.*`, and nothing of it beside `bert.*`."""
    for cls in classes_of(model_type):
        config, tensors = saved_by(model_type, cls)
        if not any(name.startswith(prefix) for name in tensors):
            continue
        alone = map_model(config, tensors)
        named = {name: prefix + name for name in tensors}
        twice = map_model(config, {new: replace(tensors[name], name=new) for name, new in named.items()})
        assert twice.wrapping is None
        assert [(one.place, one.role) for one in twice.matrices] == [(one.place, one.role) for one in alone.matrices]
        told = {one.tensor: (one.status, one.roles) for one in twice.coverage}
        assert told == {named[one.tensor]: (one.status, one.roles) for one in alone.coverage}


def test_a_head_alone_that_carries_the_prefix_is_not_taken() -> None:
    config, tensors = saved_by("bert", transformers.BertForSequenceClassification)
    head = "bert.classifier.weight"
    tensors = {name: one for name, one in tensors.items() if name != "classifier.weight"} | {head: info(head, (2, 32))}
    assert {one.tensor for one in map_model(config, tensors).coverage if one.status == "unmapped"} == {head}


def test_a_known_wrapper_is_found_in_a_model_that_nobody_knows(models: Models) -> None:
    tensors = models["llama"][1]
    change = WRAPPERS["sharded, then each layer"]
    found, plain = map_model(None, renamed(tensors, change)), map_model(None, tensors)
    assert account(found) == account(plain, change)
    assert found.wrapping is not None


def test_a_second_model_beside_the_first_is_no_wrapped_one(models: Models) -> None:
    """Where the plain name is taken, or the place in the model, what stands before the other is no wrapper."""
    config, tensors = models["llama"]
    for other in ("ema.", "_orig_mod.", "draft.nested."):
        both = {**tensors, **renamed(tensors, lambda name, before=other: before + name)}  # type: ignore[misc]
        found = map_model(config, both)
        assert found.wrapping is None
        assert len(found.matrices) == len(map_model(config, tensors).matrices)


def test_of_two_models_neither_is_taken_for_the_wrapped_one(models: Models) -> None:
    config, tensors = models["llama"]
    both = {**renamed(tensors, lambda name: f"policy.{name}"), **renamed(tensors, lambda name: f"critic.{name}")}
    assert unwrap(both, for_model_type("llama")) == (both, None)
    with pytest.raises(MappingError, match=r"for example critic\."):
        map_model(config, both)


def test_matrices_of_an_adapter_are_no_wrapped_ones(models: Models) -> None:
    tensors = {
        name.replace("weight", f"{side}.weight"): one
        for name, one in models["llama"][1].items()
        for side in ("lora_A", "lora_B")
    }
    assert unwrap(tensors, for_model_type("llama"))[1] is None


def test_a_name_that_would_break_out_of_the_pattern_is_not_taken_for_a_wrapper(models: Models) -> None:
    hostile = renamed(models["llama"][1], lambda name: f"', print('pwned'), '.{name}")
    assert unwrap(hostile, for_model_type("llama")) == (hostile, None)


def test_the_rest_of_a_name_must_not_be_empty() -> None:
    tensors = {"module.": info("module.", (2, 2)), "layers.0.attn.q_proj.weight": info("x", (2, 2))}
    assert unwrap(tensors, None)[1] is None


def test_names_of_a_thousand_parts_are_not_looked_at(models: Models) -> None:
    _, tensors = models["llama"]
    family = for_model_type("llama", "")
    few, many = (renamed(tensors, lambda name, n=n: f"{'policy.' * n}{name}") for n in (6, MAX_PARTS))  # type: ignore[misc]
    assert unwrap(few, family)[0] == tensors
    assert unwrap(many, family) == (many, None)
