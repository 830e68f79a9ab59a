"""Adapters that are broken or meant to break something: the project's own errors, or a reason beside the tensor."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weightaudit as wa
from tests.quantised.adapters import golden, write
from tests.support.covering import some_of
from weightaudit.arrays import Array
from weightaudit.errors import ConfigError, WeightauditError
from weightaudit.records import Finding

PATH = "base_model.model.model.layers.0.self_attn.q_proj"
WORDS = ["", "lora_A", "lora_B", "base_layer", "default", "alpha", "0", "hada_w1_a"]
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
ONES = {f"{PATH}.lora_A.weight": np.ones((2, 6), np.float32), f"{PATH}.lora_B.weight": np.ones((8, 2), np.float32)}


def normal(*shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def pair(A: Array, B: Array) -> dict[str, Array]:
    return {f"{PATH}.lora_A.weight": A, f"{PATH}.lora_B.weight": B}


UNUSABLE = {
    "a list": ("[]", "a JSON array where an object"),
    "no JSON": ("{", "not valid JSON|JSON"),
    "deep": ('{"a":' * 200_000 + "1" + "}" * 200_000, "deep|nest"),
    "alpha is NaN": ('{"peft_type": "LORA", "lora_alpha": NaN}', "lora_alpha must be a number"),
    "alpha is infinite": ('{"peft_type": "LORA", "lora_alpha": 1e999}', "lora_alpha must be a number"),
    "alpha is huge": ('{"peft_type": "LORA", "lora_alpha": 1e300}', "lora_alpha must be a number"),
    "alpha has a million digits": ('{"lora_alpha": ' + "9" * 4000 + "}", "lora_alpha must be a number|digits"),
    "alpha is a text": ('{"lora_alpha": "16"}', "lora_alpha must be a number"),
    "alpha is true": ('{"lora_alpha": true}', "lora_alpha must be a number"),
    "patterns are a list": ('{"alpha_pattern": [1]}', "alpha_pattern must be an object"),
    "a pattern's value is a text": ('{"alpha_pattern": {"q": "1"}}', "alpha_pattern of q must be a number"),
    "a pattern's value is nothing": ('{"rank_pattern": {"q": null}}', "rank_pattern of q must be a number"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_config_that_is_unusable(case: str, tmp_path: Path) -> None:
    said, cause = UNUSABLE[case]
    with pytest.raises(ConfigError, match=cause) as caught:
        wa.scan(write(tmp_path, ONES, said))
    assert "adapter_config.json" in caught.value.thing


LENIENT: dict[str, dict[str, Any]] = {
    "r is nothing of the kind": {"r": {"a": 1}},
    "r is 0": {"r": 0},
    "r is huge": {"r": 10**400},
    "names are numbers": {"target_modules": 7, "base_model_name_or_path": 9, "peft_type": "LORA"},
    "a base that steers a terminal": {"base_model_name_or_path": "\x1b[2J" * 100_000},
    "a type that steers a terminal": {"peft_type": "\x1b[2J\n" * 1000},
    "no type": {"peft_type": None},
    "many modules": {"target_modules": ["x" * 500] * 5000},
    "parameters of all kinds": {"target_parameters": ["q_proj", 3, "", ".", "a.b." * 1000]},
}


@pytest.mark.parametrize("case", LENIENT)
def test_a_config_that_says_nonsense_of_little_weight(case: str, tmp_path: Path) -> None:
    report = wa.scan(write(tmp_path, ONES, {**CONFIG, **LENIENT[case]}))
    (entry,) = report.coverage_entries
    assert report.identity.adapter is not None
    assert bool(report.rows) == (not entry.detail.startswith("not measured: "))
    for name in ("r.html", "r.md", "r.json", "r.csv"):
        report.write(tmp_path / name)
        assert "\x1b" not in (tmp_path / name).read_text(encoding="utf-8")


def test_no_regular_expression_of_a_stranger_is_run(tmp_path: Path) -> None:
    pattern = {"(a+)+$|(.*)*x": 9, "q_proj|k_proj": 6, "other.q_proj": 8}
    report = wa.scan(write(tmp_path, ONES, {**CONFIG, "alpha_pattern": pattern}))
    (row,) = report.rows
    assert row.adapter is not None
    assert row.adapter.scale == 3.0
    assert any("1 name that" in note or "regular expressions" in note for note in report.notes)


def test_patterns_end_at_a_component(tmp_path: Path) -> None:
    pattern = {"proj": 100, "model.layers.1.self_attn.q_proj": 100, "^self_attn.q_proj": 100, "attn.q_proj": 100}
    (row,) = wa.scan(write(tmp_path, ONES, {**CONFIG, "alpha_pattern": pattern})).rows
    assert row.adapter is not None
    assert row.adapter.scale == 2.0


UNREAD: dict[str, tuple[Mapping[str, Array], str]] = {
    "factors that do not fit": (pair(normal(3, 6), normal(8, 2)), "do not fit each other: B (8, 2), A (3, 6)"),
    "rank 0": (pair(normal(0, 6), normal(8, 0)), "are empty"),
    "vectors": (pair(normal(6), normal(8)), "are no matrices"),
    "numbers": (pair(np.array(1, np.float32), np.array(1, np.float32)), "are no matrices"),
    "integers": (pair(np.ones((2, 6), np.int8), normal(8, 2)), "its factor A is stored as int8"),
    "no B": ({f"{PATH}.lora_A.weight": normal(2, 6)}, "its factor B is not there"),
    "no A": ({f"{PATH}.lora_B.weight": normal(8, 2)}, "its factor A is not there"),
    "B of four dimensions": (pair(normal(2, 6), normal(8, 2, 3, 3)), "are no matrices"),
    "E of another rank": (
        {**pair(normal(2, 6), normal(8, 2)), f"{PATH}.lora_E": normal(3, 1)},
        "do not fit each other",
    ),
}


@pytest.mark.parametrize("case", UNREAD)
def test_factors_that_make_no_product_are_told_with_the_reason(case: str, tmp_path: Path) -> None:
    tensors, why = UNREAD[case]
    report = wa.scan(write(tmp_path, dict(tensors), CONFIG))
    assert not report.rows
    (entry,) = report.coverage_entries
    assert why in entry.detail
    assert "unmapped" in found(report) or "low-coverage" in found(report) or 1 in entry.shape or len(entry.shape) < 2


def found(report: wa.ScanReport) -> dict[str, Finding]:
    return {finding.id: finding for finding in report.findings}


@pytest.mark.parametrize("side", ["A", "B"])
def test_factors_that_are_not_finite_are_an_error(side: str, tmp_path: Path) -> None:
    tensors = pair(normal(2, 6), normal(8, 2))
    tensors[f"{PATH}.lora_{side}.weight"][0, 0] = np.nan
    report = wa.scan(write(tmp_path, tensors, CONFIG))
    assert found(report)["nonfinite"].severity == "error"
    assert report.rows[0].spectrum.nonfinite == (8 if side == "A" else 6)


def test_an_untrained_adapter_is_told_and_one_of_lower_rank(tmp_path: Path) -> None:
    other = PATH.replace("q_proj", "v_proj")
    tensors = {
        **pair(normal(2, 6), np.zeros((8, 2), np.float32)),
        f"{other}.lora_A.weight": normal(2, 6),
        f"{other}.lora_B.weight": np.ones((8, 2), np.float32),
    }
    report = wa.scan(write(tmp_path, tensors, CONFIG))
    told = found(report)
    assert (told["untrained-adapter"].severity, told["untrained-adapter"].role) == ("warning", "Q")
    assert (told["dead-directions"].severity, told["dead-directions"].role) == ("info", "V")
    facts = {row.matrix.role: row.adapter for row in report.rows}
    assert facts["Q"] is not None
    assert facts["Q"].untrained
    assert facts["V"] is not None
    assert facts["V"].dead_directions == 1
    assert facts["V"].effective_rank == pytest.approx(1.0)


def test_names_that_collide_are_each_told(tmp_path: Path) -> None:
    tensors = {
        **pair(normal(2, 6), normal(8, 2)),
        **{f"{PATH}.lora_{side}.other.weight": one for side, one in (("A", normal(3, 6)), ("B", normal(8, 3)))},
        f"{PATH}.weight": normal(8, 6),
        "model.layers.0.self_attn.q_proj.weight": normal(8, 6),
    }
    report = wa.scan(write(tmp_path, tensors, CONFIG))
    names = [entry.tensor for entry in report.coverage_entries]
    assert len(names) == len(set(names)) == 4
    assert len([row for row in report.rows if row.adapter is not None]) == 2


@pytest.mark.parametrize(("modules", "patterns"), [(50, 1000), pytest.param(1000, 20_000, marks=pytest.mark.slow)])
def test_many_keys_take_time_that_grows_with_their_number(modules: int, patterns: int, tmp_path: Path) -> None:
    tensors = {
        f"base_model.model.l.{n}.{'a.' * 50}x.lora_{side}.weight": one
        for n in range(modules)
        for side, one in (("A", normal(1, 2)), ("B", normal(2, 1)))
    }
    pattern = {f"m{n}.x": 1 for n in range(patterns)}
    report = wa.scan(write(tmp_path, tensors, {**CONFIG, "alpha_pattern": pattern}), min_coverage=0)
    assert len(report.rows) == modules


def test_a_product_too_large_to_form_is_measured_and_not_formed(tmp_path: Path) -> None:
    n = 500_000
    tensors = pair(np.ones((1, n), np.float32), np.ones((n, 1), np.float32))
    report = wa.scan(write(tmp_path, tensors, {**CONFIG, "lora_alpha": 1}))
    assert report.rows[0].spectrum.spectral_norm == pytest.approx(n)
    with pytest.raises(WeightauditError, match="as a matrix it takes 1,000,000,000,000 bytes"):
        next(iter(wa.matrices(str(tmp_path)))).load()


@pytest.mark.parametrize("seed", some_of(range(60), 0, 1, 2, 3, 5, 7, 13, 14, 19))  # each kind of adapter
def test_whatever_is_changed_only_our_own_errors_come(seed: int, tmp_path: Path) -> None:
    """Names cut, swapped and repeated, shapes changed, values of the config replaced."""
    rng = random.Random(seed)
    case = golden(rng.choice(["lora", "saved", "experts", "adalora", "loha", "conv1d"]))
    tensors = {_name(rng, name): _shape(rng, one) for name, one in case.stored.items()}
    config = dict(case.config)
    for key in rng.sample(sorted(config), 6):
        config[key] = rng.choice([None, -1, 0, 2.5, True, "x", [], ["q_proj"], {}, {"q_proj": 3}, {"(": 1}, 10**30])
    folder = write(tmp_path, tensors, json.dumps(config))
    with contextlib.suppress(WeightauditError):
        report = wa.scan(folder, spectrum=True)
        report.write(tmp_path / "r.html")
        report.write(tmp_path / "r.parquet")


def _name(rng: random.Random, name: str) -> str:
    parts = name.split(".")
    if rng.random() < 0.3:
        parts[rng.randrange(len(parts))] = rng.choice(WORDS)
    return ".".join(parts)


def _shape(rng: random.Random, one: Array) -> Array:
    if rng.random() < 0.8:
        return one
    return rng.choice(
        [one.T, one[:1], one.reshape(-1), one[None], one[:0], one.astype(np.int32), np.full_like(one, np.inf)]
    )
