"""Ranks for LoRA: the budget, the bounds, and what PEFT makes of the pattern."""

from __future__ import annotations

import json
import re
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import weightaudit as wa
from tests.advice.made import scan_of
from tests.support.covering import some_of
from tests.support.examples import at_most
from tests.support.models import build
from tests.support.tiny import tiny
from weightaudit.advice.lora import allocate
from weightaudit.errors import UsageError
from weightaudit.records import Wrapping

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers' own, by PEFT

CASES = st.lists(st.tuples(st.floats(1e-3, 1e3), st.integers(1, 8), st.integers(0, 40)), min_size=1, max_size=15)


@at_most(20)
@given(CASES, st.integers(0, 900))
def test_the_budget_is_spent_within_the_bounds(given_: list[tuple[float, int, int]], total: int) -> None:
    weights, least = [w for w, _, _ in given_], [low for _, low, _ in given_]
    most = [low + more for _, low, more in given_]
    found = allocate(weights, least, most, total)
    assert sum(found) == min(max(total, sum(least)), sum(most))
    assert all(low <= rank <= high for rank, low, high in zip(found, least, most, strict=True))
    pairs = sorted(zip(weights, found, least, most, strict=True))
    for (less, rank, low, _), (more, other, _, high) in pairwise(pairs):
        if less < more and rank > low and other < high:
            assert other >= rank - 1  # more directions never get fewer ranks, rounding apart


def test_ranks_follow_the_stable_rank_at_the_same_mean() -> None:
    report = scan_of({f"model.layers.{i}.self_attn.q_proj.weight": float(rank) for i, rank in enumerate((2, 4, 8, 10))})
    pattern = report.rank_pattern(r=6, alpha=12)
    assert list(pattern.ranks.values()) == [2, 4, 8, 10]
    assert sum(pattern.ranks.values()) == 6 * 4
    said = pattern.for_peft()
    assert said["rank_pattern"]["layers\\.3\\.self_attn\\.q_proj"] == 10
    assert said["alpha_pattern"]["layers\\.3\\.self_attn\\.q_proj"] == 20
    assert "so that the mean rank over all modules is r" in pattern.notes[0]
    assert json.loads(pattern.to_json()) == said


def test_bounds_hold() -> None:
    report = scan_of({f"h.{i}.a.weight": float(rank) for i, rank in enumerate((1, 1, 60, 60))}, side=10)
    ranks = list(report.rank_pattern(r=6, min_rank=3, max_rank=50).ranks.values())
    assert ranks == [3, 3, 9, 9]
    small = report.rank_pattern(r=16)
    assert set(small.ranks.values()) == {10}  # no rank is above the smaller side
    assert any("too small" in note for note in small.notes)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "entropy_effective_rank"}, "the report has no spectra. Scan with --spectrum"),
        ({"by": "alpha"}, "no whole spectra. Scan with --spectrum full"),
        ({"by": "alhpa"}, "it is none of"),
        ({"r": 4, "max_rank": 2}, "they must rise"),
        ({"alpha": 0.0}, "no positive number"),
        ({"roles": "K"}, "role 'K': the report has no such role"),
    ],
)
def test_what_makes_no_sense_is_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        scan_of({"layers.0.q.weight": 2.0}).rank_pattern(**options)


def test_who_has_no_such_module_is_told_the_roles_that_there_are() -> None:
    report = scan_of({"layers.0.mixer.in_proj.weight": 2.0}, {"layers.0.mixer.in_proj.weight": "SSM_IN"})
    with pytest.raises(UsageError, match=r"Name others with --roles\. It has SSM_IN"):
        report.rank_pattern()
    assert report.rank_pattern(roles="SSM_IN").ranks == {"layers.0.mixer.in_proj": 8}


def test_names_of_a_wrapper_are_those_of_the_model() -> None:
    from dataclasses import replace

    report = scan_of({"module.layers.0.q.weight": 2.0})
    wrapped = replace(report.map, wrapping=Wrapping("^module.", ("module.layers.0.q.weight",), ("layers.0.q.weight",)))
    assert list(replace(report, map=wrapped).rank_pattern().ranks) == ["layers.0.q"]


def adapted(model: Any, said: dict[str, Any], **more: Any) -> dict[str, tuple[int, float]]:
    """The rank and the scaling of each module that PEFT puts an adapter on."""
    peft = pytest.importorskip("peft")  # here, for what it imports takes seconds of whoever collects the tests
    with_lora = peft.get_peft_model(model, peft.LoraConfig(**said, **more))
    return {
        name.removeprefix("base_model.model."): (module.r["default"], module.scaling["default"])
        for name, module in with_lora.named_modules()
        if isinstance(module, peft.tuners.lora.LoraLayer)
    }


@pytest.mark.slow  # as those of OPT below, and the scaling as that of GPT-2
def test_peft_gives_a_llama_these_ranks(tmp_path: Path) -> None:
    model = tiny("llama")
    model.save_pretrained(tmp_path)
    pattern = wa.scan(tmp_path).rank_pattern(r=3, max_rank=6, alpha=6)
    assert len(set(pattern.ranks.values())) > 1
    found = adapted(model, pattern.for_peft())
    assert {name: rank for name, (rank, _) in found.items()} == pattern.ranks
    assert {round(scaling, 9) for _, scaling in found.values()} == {2.0}
    assert any(name.endswith("down_proj") for name in found)
    assert not any("lm_head" in name or "embed" in name for name in found)


def test_peft_gives_a_gpt2_these_ranks(tmp_path: Path) -> None:
    """Its c_attn is one module, whose rank is that of the whole: QKV's; its files may leave out "transformer."."""
    model = build("gpt2")
    model.transformer.save_pretrained(tmp_path)
    report = wa.scan(tmp_path)
    assert "h.0.attn.c_attn.weight" in {row.matrix.tensors[0] for row in report.rows}
    pattern = report.rank_pattern(r=3, max_rank=6)
    found = adapted(model, pattern.for_peft(), fan_in_fan_out=True)
    assert {name.removeprefix("transformer."): rank for name, (rank, _) in found.items()} == pattern.ranks
    assert {scaling for _, scaling in found.values()} == {1.0}
    assert len([name for name in found if name.endswith("c_attn")]) == 2
    only = report.rank_pattern(r=3, roles="QKV")
    assert {name.rpartition(".")[2] for name in only.ranks} == {"c_attn"}


@pytest.mark.parametrize(
    ("kind", "saved"), some_of(product(["bert", "llama", "opt"], ["whole", "base"]), ("opt", "base"))
)
def test_peft_gives_these_ranks_with_a_head_and_without(kind: str, saved: str, tmp_path: Path) -> None:
    """Names have the model's prefix in one of both; the files may be those of either."""
    model = tiny(kind)
    base = getattr(model, model.base_model_prefix)
    assert base is not model
    (model if saved == "whole" else base).save_pretrained(tmp_path)
    pattern = wa.scan(tmp_path).rank_pattern(r=3, max_rank=6)
    assert len(set(pattern.ranks.values())) > 1
    before = f"{model.base_model_prefix}."
    wanted = {name.removeprefix(before): rank for name, rank in pattern.ranks.items()}
    found = {name: rank for name, (rank, _) in adapted(base, pattern.for_peft()).items()}
    assert found == wanted
    whole = tiny(kind)
    found = {name.removeprefix(before): rank for name, (rank, _) in adapted(whole, pattern.for_peft()).items()}
    assert found == wanted


def test_a_name_stays_whole_where_another_tensor_ends_like_it() -> None:
    from weightaudit.advice.modules import Module, _shortened

    names = [f"bert.encoder.layer.{i}.q" for i in range(2)]
    modules = [Module(name, (), (4, 4), None, name, name) for name in names]
    tensors = [f"{name}.weight" for name in names]
    short = [one.removeprefix("bert.") for one in names]
    assert [one.short for one in _shortened(modules, tensors, ["bert."])] == short
    more = [*tensors, "other.encoder.layer.1.q.weight", "encoder.layer.10.q.weight"]
    assert [one.short for one in _shortened(modules, more, ["bert."])] == [short[0], names[1]]


@pytest.mark.parametrize("kind", some_of(["llava", "qwen2_vl"], "qwen2_vl"))
@pytest.mark.slow
def test_peft_finds_a_language_model_beside_a_tower(tmp_path: Path, kind: str) -> None:
    """Files call its layers otherwise than the model that transformers makes of them."""
    model = tiny(kind)
    model.save_pretrained(tmp_path)
    pattern = wa.scan(tmp_path).rank_pattern(r=3, max_rank=6)
    found = {name: rank for name, (rank, _) in adapted(model, pattern.for_peft()).items()}
    for name, rank in pattern.ranks.items():
        own = pattern.also.get(name, name)
        (there,) = [one for one in found if one == own or one.endswith(f".{own}")]
        assert found[there] == rank
    assert len(found) == len(pattern.ranks)
    assert any(name.startswith("model.language_model.layers.") for name in found)


def test_experts_are_left_out_for_the_loaded_model_has_them_in_one_tensor(tmp_path: Path) -> None:
    model = tiny("mixtral")
    model.save_pretrained(tmp_path)
    report = wa.scan(tmp_path)
    assert any("experts.0." in row.matrix.tensors[0] for row in report.rows)
    pattern = report.rank_pattern(r=3, max_rank=6)
    assert {name: rank for name, (rank, _) in adapted(model, pattern.for_peft()).items()} == pattern.ranks
    assert "they are no weight of one module" in pattern.notes[1]


def test_one_name_within_another_does_not_take_its_rank() -> None:
    names = ("vision.model.layers.0.q.weight", "model.layers.0.q.weight", "model.layers.1.q.weight")
    report = scan_of(dict(zip(names, (6.0, 2.0, 10.0), strict=True)))
    pattern = report.rank_pattern(r=6)
    assert list(pattern.ranks.values()) == [6, 2, 10]

    class Toy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in names:
                place: torch.nn.Module = self
                *path, last = name.removesuffix(".weight").split(".")
                for part in path:
                    if not hasattr(place, part):
                        place.add_module(part, torch.nn.Module())
                    place = getattr(place, part)
                place.add_module(last, torch.nn.Linear(64, 64))

    assert {name: rank for name, (rank, _) in adapted(Toy(), pattern.for_peft()).items()} == pattern.ranks
