"""A rule that could not judge says so, and why; too little measured is an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.audit.rules.healthy import changed, evidence, measuring, norms
from tests.support.factory import entry
from weightaudit.audit.rules import RuleContext, judge, make_policy, run_rules
from weightaudit.audit.rules.checking import RULES
from weightaudit.audit.rules.unmeasured import measured_share
from weightaudit.records import CoverageEntry, SourceFile

NOTHING = make_policy((), (), RULES)


def unjudged(shown: RuleContext) -> dict[str, list[str]]:
    """Rules that could judge nothing → why."""
    found: dict[str, list[str]] = {}
    for one in judge(shown, NOTHING).not_judged:
        if not one.partly:
            found.setdefault(one.rule, []).append(one.reason)
    return found


def partly(shown: RuleContext) -> dict[str, set[str]]:
    """Why → rules that could judge in part."""
    found: dict[str, set[str]] = {}
    for one in judge(shown, NOTHING).not_judged:
        if one.partly:
            found.setdefault(one.reason, set()).add(one.rule)
    return found


def only_layer(number: int) -> RuleContext:
    """A scan with --layers."""
    whole = evidence()
    rows = tuple(one for one in whole.rows if one.matrix.layer == number)
    kept = {name for one in rows for name in one.matrix.tensors}
    entries = tuple(
        one if one.tensor in kept else replace(one, status="not selected") for one in whole.coverage_entries
    )
    return replace(whole, rows=rows, coverage_entries=entries, restricted=True)


def test_a_sound_scan_is_judged_by_all() -> None:
    assert judge(evidence(), NOTHING).not_judged == ()


def test_a_partial_scan() -> None:
    shown = only_layer(3)
    assert set(unjudged(shown)) == {
        "dtype-mismatch",
        "low-coverage",
        "norm-preservation",
        "outlier-norm",
        "outlier-stable-rank",
        "untrained-model",
    }
    why = partly(shown)
    ((left_out, rules),) = ((reason, rules) for reason, rules in why.items() if "left out" in reason)
    assert left_out.startswith("--roles or --layers left out 69 tensors with 9")
    assert {"untrained", "zero-matrix", "duplicate"} <= rules
    assert rules.isdisjoint({"pickle", "missing", "low-coverage"})
    assert why["With --roles or --layers norms and biases are not read."] == {"nonfinite", "zero-scales"}


def test_one_shard_of_several() -> None:
    shown = evidence()
    files = (SourceFile("model-00002-of-00003.safetensors", 1),)
    shown = replace(shown, identity=replace(shown.identity, files=files))
    assert set(unjudged(shown)) == {"missing", "low-coverage"}


def test_without_a_config_and_with_guessed_roles() -> None:
    shown = evidence()
    described = {"missing", "misshapen", "extra", "tie-broken"}
    assert set(unjudged(replace(shown, config=None))) == described | {"dtype-mismatch"}
    assert set(unjudged(replace(shown, map=replace(shown.map, guessed=True)))) == described


def test_a_loose_tolerance() -> None:
    wide = evidence()
    for one in wide.rows:
        rank = float(min(one.matrix.shape))  # at the upper end; random entries have less
        wide = changed(wide, one.matrix.key, norms(one.spectrum.frobenius_norm, rank, width=5.0))
    assert {rule: reasons[0] for rule, reasons in unjudged(wide).items()} == {
        "untrained-model": "The intervals of 75 of 75 matrices are too wide. Scan with a smaller --tol.",
        "untrained": "The intervals of 75 of 75 matrices are too wide. Scan with a smaller --tol.",
        "outlier-stable-rank": "The intervals of 72 of 72 matrices are too wide. Scan with a smaller --tol.",
    }
    single = changed(evidence(), "/3//O", norms(22.0, 400.0, width=5.0))
    assert unjudged(single) == {}
    assert {"untrained-model", "untrained", "outlier-stable-rank"} == {
        rule for rules in partly(single).values() for rule in rules
    }


def test_an_interval_with_the_threshold_inside() -> None:
    shown = changed(evidence(), "/3//O", measuring(stable_rank_lower=1.04, stable_rank=1.06))
    (reason,) = (why for why, rules in partly(shown).items() if "near-rank-one" in rules)
    assert reason.startswith("The stable ranks of 1 of 72 matrices may be above 1.05 or below.")


def quantised(elements: int, dtype: str, said: dict[str, Any]) -> RuleContext:
    """The layers of the sound model packed into ``elements`` elements, with tables that are not."""
    shown = evidence()
    tables = tuple(one for one in shown.rows if one.matrix.layer is None)
    names = {name for one in tables for name in one.matrix.tensors}
    entries: tuple[CoverageEntry, ...] = tuple(one for one in shown.coverage_entries if one.tensor in names)
    packed = replace(entry("layers.qweight", (elements // 8, 8), "unmapped"), dtype=dtype)
    config = {"dtype": "float32", "quantization_config": said}
    return replace(shown, rows=tables, coverage_entries=(*entries, packed), config=config)


@pytest.mark.parametrize(
    ("dtype", "fold", "said"),
    [
        ("int32", 8, {"quant_method": "gptq", "bits": 4}),
        ("int32", 8, {"quant_method": "awq", "w_bit": 4}),
        ("uint8", 2, {"quant_method": "bitsandbytes", "load_in_4bit": True}),
        ("int8", 1, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
        ("int32", 8, {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 4}}}}),
        ("uint8", 2, {"quant_method": "mxfp4"}),
        ("int32", 1, {"quant_method": "unheard of"}),
        ("int32", 1, {"quant_method": "x", "bits": -4}),
        ("int32", 1, {"quant_method": "x", "bits": "four"}),
    ],
)
def test_packed_weights_count_as_many_as_they_stand_for(dtype: str, fold: int, said: dict[str, Any]) -> None:
    shown = quantised(80_000_000 // fold, dtype, said)
    tables = 2 * 30000 * 768 + 512 * 768
    assert measured_share(shown) == pytest.approx(tables / (tables + 80_000_000))
    (finding,) = run_rules(shown)
    assert (finding.id, finding.severity, finding.threshold) == ("low-coverage", "error", 0.5)
    assert finding.tensors == ("layers.qweight",)
    assert set(unjudged(shown)) == {"missing"}
    assert any("are quantised" in reason for reason in partly(shown))


def test_the_least_share_can_be_chosen() -> None:
    shown = quantised(10_000_000, "int32", {"quant_method": "gptq", "bits": 4})
    assert [one.id for one in run_rules(replace(shown, min_coverage=0.2))] == ["unmapped"]
    sound = evidence()
    assert run_rules(replace(sound, min_coverage=1.0)) == ()
    few = only_layer(3)
    assert run_rules(few) == ()
    assert [(one.id, one.threshold) for one in run_rules(replace(few, min_coverage=0.9))] == [("low-coverage", 0.9)]
    assert "low-coverage" not in unjudged(replace(few, min_coverage=0.9))
