"""Faults of single entries, each put into a sound scan: found there, by its own rule alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.audit.rules.healthy import SOUND, changed, evidence, facts, found, measuring, row, zeroed
from tests.support.factory import nan_spectrum
from weightaudit.audit.rules import run_rules
from weightaudit.records import Finding, LayerRow


def test_nothing_is_found_in_a_sound_model() -> None:
    assert run_rules(evidence()) == ()


FAULTS: dict[str, Callable[[LayerRow], LayerRow]] = {
    "nonfinite": lambda one: replace(one, spectrum=nan_spectrum(3)),
    "zero-matrix": zeroed,
    "dead-rows": facts(dead_rows=2, first_dead_row=5),
    "dead-columns": facts(dead_cols=1, first_dead_col=7),
    "at-limit": facts(at_limit=4),
    "subnormals": lambda one: facts(subnormals=one.matrix.parameters // 5)(one),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_one_fault_is_one_finding_at_its_place(rule: str) -> None:
    (finding,) = run_rules(changed(evidence(), "/4//K", FAULTS[rule]))
    assert (finding.id, finding.layer, finding.role, finding.tensors) == (rule, 4, "K", ("model.4.None.K",))
    assert "layer 4 K" in finding.detail
    assert finding.advice


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fused_matrix_does_not_repeat_what_its_parts_say(rule: str) -> None:
    once = changed(evidence(), "/4//K", FAULTS[rule])
    assert found(changed(once, "/4//QKV", FAULTS[rule])) == [(rule, 4, "K")]


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fused_matrix_stands_for_parts_that_are_not_there(rule: str) -> None:
    fused = evidence([one for one in evidence().rows if one.matrix.role not in ("Q", "K", "V")])
    assert found(changed(fused, "/4//QKV", FAULTS[rule])) == [(rule, 4, "QKV")]


def test_numbers_are_told() -> None:
    def only(change: Callable[[LayerRow], LayerRow]) -> Finding:
        (finding,) = run_rules(changed(evidence(), "/0//V", change))
        return finding

    assert only(FAULTS["nonfinite"]).detail.startswith("3 of 589,824 entries of layer 0 V are NaN")
    dead = only(FAULTS["dead-rows"])
    assert (dead.value, dead.detail) == (
        2.0,
        "2 of 768 rows (outputs) of layer 0 V are dead, the first is number 5 counted from 0.",
    )
    share = only(FAULTS["subnormals"])
    assert share.value == pytest.approx(0.2, abs=1e-4)
    assert share.threshold == 0.10
    assert (
        "±65504, the largest number of float32"
        in only(measuring(entries=replace(SOUND, at_limit=1), max_abs=65504.0)).detail
    )


@pytest.mark.parametrize("rule", ["dead-rows", "dead-columns", "subnormals"])
def test_what_most_matrices_have_is_one_finding(rule: str) -> None:
    """A model pruned or cast as a whole; fused matrices are told by their parts, and tables have no dead rows."""
    shown = evidence()
    inside = [one.matrix.key for one in shown.rows if one.matrix.layer is not None and one.matrix.role != "QKV"]
    assert len(inside) == 72
    for key in inside[:30]:  # of 72 to 75
        shown = changed(shown, key, FAULTS[rule])
    assert len(run_rules(shown)) == 30
    for key in inside[30:]:
        shown = changed(shown, key, FAULTS[rule])
    (finding,) = run_rules(shown)
    assert (finding.id, finding.layer, finding.role) == (rule, None, "")
    assert finding.detail.startswith(f"72 of {72 if rule == 'dead-rows' else 75} matrices have ")
    assert finding.detail.endswith(": layer 0 Q, layer 0 K, layer 0 V, layer 0 O and 68 more.")


def test_few_matrices_are_told_one_by_one() -> None:
    few = evidence([one for one in evidence().rows if one.matrix.role == "O" and (one.matrix.layer or 0) < 9])
    for one in few.rows:
        few = changed(few, one.matrix.key, FAULTS["dead-rows"])
    assert len(run_rules(few)) == 9


def test_one_is_singular() -> None:
    said = [
        run_rules(changed(evidence(), "/0//V", change))[0].detail
        for change in (FAULTS["dead-columns"], lambda one: replace(one, spectrum=nan_spectrum(1)))
    ]
    assert said[0] == "1 of 768 columns (inputs) of layer 0 V is dead, number 7 counted from 0."
    assert said[1] == "1 of 589,824 entries of layer 0 V is NaN or infinite; its norms are undefined."


def test_subnormals_are_a_share_of_what_is_not_zero() -> None:
    pruned = measuring(entries=replace(SOUND, subnormals=1000), zeros=768 * 768 - 5000)
    assert found(changed(evidence(), "/2//O", pruned)) == [("subnormals", 2, "O")]
    assert found(changed(evidence(), "/2//O", facts(subnormals=58_900))) == []  # 9.99 %


def test_rows_of_tables_are_tokens() -> None:
    assert found(changed(evidence(), "///EMBED", facts(dead_rows=1, first_dead_row=0))) == []
    (unused,) = run_rules(changed(evidence(), "///HEAD", facts(dead_rows=47, first_dead_row=29953)))
    assert (unused.id, unused.severity, unused.role, unused.value) == ("unused-tokens", "info", "HEAD", 47.0)
    assert found(changed(evidence(), "///EMBED", facts(dead_cols=3))) == [("dead-columns", None, "EMBED")]


def test_few_numbers_may_be_small_by_chance() -> None:
    shown = evidence(
        [*evidence().rows, row("CLASSIFIER", None, (2, 768), 1.0, 1.5), row("GATES", 0, (768, 4), 1.0, 1.5)]
    )
    assert found(changed(shown, "///CLASSIFIER", facts(dead_cols=1))) == []
    assert found(changed(shown, "/0//GATES", facts(dead_rows=1))) == []
    assert found(changed(shown, "///CLASSIFIER", facts(dead_rows=1))) == [("dead-rows", None, "CLASSIFIER")]


def test_a_zero_table_of_segments_is_what_roberta_has() -> None:
    shown = evidence([*evidence().rows, row("TOKEN_TYPE", None, (1, 768), 1.0, 1.0)])
    assert found(changed(shown, "///TOKEN_TYPE", zeroed)) == []


def test_what_was_not_measured_proves_nothing() -> None:
    shown = evidence()
    for one in shown.rows:
        shown = changed(shown, one.matrix.key, measuring(entries=None))
    assert found(shown) == []
