"""Modules to train: which are taken, and what Axolotl and mergekit make of the list."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml

from tests.advice.made import scan_of
from weightaudit.errors import UsageError

RANKS = {
    f"model.layers.{i}.{one}.weight": float(10 * (j + 1) + i) for i in range(12) for j, one in enumerate(("q", "up"))
}
ROLES = {name: "Q" if ".q." in name else "M1" for name in RANKS}


def trained(patterns: list[str], names: list[str]) -> set[str]:
    """The parameters that Axolotl trains: each dot of a pattern is a dot, and it is matched from the start."""
    compiled = [re.compile(re.sub(r"\.(?!\+)", r"\\.", pattern)) for pattern in patterns]
    return {name for name in names if any(one.match(name) for one in compiled)}


def test_the_lowest_of_each_kind_are_taken() -> None:
    found = scan_of(RANKS, ROLES).unfrozen_parameters(share=0.25)
    assert found.modules == (
        *("model.layers.0.q", "model.layers.1.q", "model.layers.2.q"),
        *("model.layers.0.up", "model.layers.1.up", "model.layers.2.up"),
    )
    assert found.notes == ("6 modules of 24: of each kind the 25 % whose stable_rank is lowest.",)
    highest = scan_of(RANKS, ROLES).unfrozen_parameters(share=0.01, take="highest", roles="M1")
    assert highest.modules == ("model.layers.11.up",)


def test_axolotl_trains_these_and_no_others() -> None:
    found = scan_of(RANKS, ROLES).unfrozen_parameters(share=0.1)
    names = [*RANKS, *(name.replace(".weight", ".bias") for name in RANKS), "model.layers.10.q_norm.weight"]
    read = yaml.safe_load(found.to_yaml())["unfrozen_parameters"]
    assert read == found.patterns
    layers = {f"model.layers.{i}.{one}.{part}" for i in (0, 1) for one in ("q", "up") for part in ("weight", "bias")}
    assert trained(read, names) == layers


def test_a_prefix_that_files_leave_out_is_optional() -> None:
    report = scan_of({"h.1.attn.c_attn.weight": 2.0, "h.11.attn.c_attn.weight": 3.0})
    report = replace(report, map=replace(report.map, family="gpt2"))
    (pattern,) = report.unfrozen_parameters(share=0.5).patterns
    names = [f"{before}h.{i}.attn.c_attn.weight" for before in ("", "transformer.") for i in (1, 11)]
    assert trained([pattern], names) == {"h.1.attn.c_attn.weight", "transformer.h.1.attn.c_attn.weight"}


@pytest.mark.parametrize("before", ["language_model.model.", "model."])
def test_layers_beside_a_tower_have_both_names(before: str) -> None:
    report = scan_of({f"{before}layers.0.q.weight": 2.0, "visual.blocks.0.q.weight": 3.0})
    rows = [*report.rows[:1], replace(report.rows[1], matrix=replace(report.rows[1].matrix, stack="vision"))]
    found = replace(report, rows=tuple(rows)).unfrozen_parameters(share=1.0)
    names = [f"{one}layers.0.q.weight" for one in (before, "model.language_model.")]
    assert trained(found.patterns, names) == set(names)
    assert "model.language_model" not in found.to_mergekit()
    assert report.unfrozen_parameters(share=1.0).also == ()


def test_odd_names_are_quoted() -> None:
    names = {'a: [b]\u202e"#.0.q.weight': 2.0, "\U0001f600.0.q.weight": 3.0, "- !!python/object.0.q.weight": 4.0}
    found = scan_of(names).unfrozen_parameters(share=1.0)
    assert yaml.safe_load(found.to_yaml())["unfrozen_parameters"] == found.patterns
    assert trained(found.patterns, list(names)) == set(names)
    said = yaml.safe_load(found.to_mergekit())["parameters"]["weight"]
    assert [one.get("filter") for one in said] == [*(name.removesuffix("weight") for name in names), None]


def test_mergekit_reads_the_weights() -> None:
    said = yaml.safe_load(scan_of(RANKS, ROLES).unfrozen_parameters(share=0.1).to_mergekit())["parameters"]["weight"]
    assert said[-1] == {"value": 0}
    names = [*RANKS, *(name.replace(".weight", ".bias") for name in RANKS)]
    taken = {name for name in names if next(one["value"] for one in said if one.get("filter", "") in name)}
    assert taken == {
        f"model.layers.{i}.{one}.{part}" for i in (0, 1) for one in ("q", "up") for part in ("weight", "bias")
    }
    config = pytest.importorskip("mergekit.config")
    assert config.InputModelDefinition(model="a/b", parameters={"weight": said}).parameters


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"share": 0.0}, "it is no share"),
        ({"take": "lowset"}, "Did you mean lowest"),
        ({"by": "alpha"}, "Scan with --spectrum full"),
    ],
)
def test_what_makes_no_sense_is_said(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        scan_of(RANKS, ROLES).unfrozen_parameters(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_names_that_are_no_modules_are_refused() -> None:
    report = scan_of(RANKS, ROLES)
    with pytest.raises(UsageError, match="names of a GGUF file are not those"):
        replace(report, map=replace(report.map, family="gguf")).unfrozen_parameters()
