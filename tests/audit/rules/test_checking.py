"""How rules yield to one another, how many findings are told, and what the table of rules must have."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.audit.rules.healthy import changed, evidence, facts, found, norms, row, scaled, zeroed
from tests.support.factory import nan_spectrum
from weightaudit.audit.rules import RULES, run_rules
from weightaudit.audit.rules.checking import MAX_NAME_CHARS
from weightaudit.records import SEVERITIES


def test_every_rule_is_complete() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert rule.severity in SEVERITIES
        for text in (rule.measures, rule.source, rule.advice):
            assert text.endswith((".", ")")), (rule.id, text)
        assert rule.title
        assert not rule.title.endswith(".")


def test_a_rule_comes_after_those_that_it_yields_to() -> None:
    seen: set[str] = set()
    for rule in RULES:
        assert set(rule.suppressed_by) <= seen, rule.id
        seen.add(rule.id)


def test_gravest_first() -> None:
    shown = changed(evidence(), "///HEAD", facts(dead_rows=5))  # info
    shown = changed(shown, "/1//M1", facts(at_limit=1))  # warning
    shown = changed(shown, "/9//M2", zeroed)  # error
    assert [one.severity for one in run_rules(shown)] == ["error", "warning", "info"]


def test_a_scaled_matrix_with_a_fault_of_its_own_is_no_outlier_too() -> None:
    shown = changed(evidence(), "/5//O", lambda one: facts(at_limit=3)(scaled(100)(one)))
    assert found(shown) == [("at-limit", 5, "O")]


def test_faulty_layers_are_not_what_others_are_compared_to() -> None:
    shown = evidence()
    for layer in (3, 4, 6, 7):
        shown = changed(shown, f"/{layer}//O", norms(2000.0, 1.001))
    assert found(shown) == [("near-rank-one", layer, "O") for layer in (3, 4, 6, 7)]


def test_ignoring_a_rule_lets_no_lesser_one_speak() -> None:
    shown = changed(evidence(), "/5//O", norms(2000.0, 1.001))
    assert found(shown) == [("near-rank-one", 5, "O")]
    assert run_rules(shown, ignore=["near-rank-one"]) == ()


@pytest.mark.parametrize("layers", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_a_model_that_is_wholly_broken_is_told_briefly(layers: int) -> None:
    rows = [row("M1", layer, (64, 256), 1.0, 5.0, expert=expert) for layer in range(layers) for expert in range(256)]
    number = 256 * layers
    (whole,) = run_rules(evidence([replace(one, spectrum=nan_spectrum(1)) for one in rows]))
    assert (whole.id, whole.layer, whole.expert, whole.role, whole.value) == ("nonfinite", None, None, "M1", number)
    told = run_rules(evidence([facts(at_limit=1)(one) for one in rows]))
    assert len(told) == 101
    assert [(one.layer, one.expert) for one in told[:100]] == [(0, expert) for expert in range(100)]
    last = told[-1]
    assert (last.layer, last.role) == (None, "")
    assert last.detail == (
        f"And {number - 100:,} more: layer 0 expert 100 M1, layer 0 expert 101 M1, layer 0 expert 102 M1, "
        f"layer 0 expert 103 M1 and {number - 104:,} more."
    )


@pytest.mark.parametrize(
    ("sets", "copies", "length"), [(24, 5, 10_000), pytest.param(100, 50, 1000, marks=pytest.mark.slow)]
)
def test_findings_of_long_names_have_a_bound(sets: int, copies: int, length: int) -> None:
    """Sets of equal matrices, whose names have thousands of characters: told as ever, until there is no room."""
    rows = [
        row("M1", copies * copy + of, (64, 256), 1.0, 5.0, f"{'n' * length}{of}.{copy}", digest=str(of))
        for of in range(sets)
        for copy in range(copies)
    ]
    told = run_rules(evidence(rows))
    assert [len(one.tensors) for one in told] == [copies] * 19 + [0] * (sets - 19)
    assert sum(len(name) for one in told for name in one.tensors) <= MAX_NAME_CHARS
    assert max(len(one.detail) for one in told) < 1000


def test_names_from_files_come_out_printable() -> None:
    odd = row("M1", 0, (64, 256), 1.0, 5.0, "w\x1b[2J", digest="same")
    shown = evidence([odd, row("M1\u202e", 1, (64, 256), 1.0, 5.0, "x\x1b[2J", digest="same")])
    (finding,) = run_rules(shown)
    assert finding.id == "duplicate"
    assert finding.detail.isprintable()
