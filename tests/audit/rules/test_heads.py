"""Heads that do nothing, repeat one another or stand out; and that healthy models have none."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import weightaudit as wa
from tests.audit.rules.healthy import evidence
from tests.support.minilm import minilm_directory, needs_minilm
from tests.support.rxnmapper import needs_rxnmapper, rxnmapper_directory
from tests.support.tiny import tiny
from weightaudit.audit.rules import make_policy
from weightaudit.audit.rules.checking import RULES, judge
from weightaudit.records import Attention, Finding, HeadNorms, HeadRow, Heads, NotJudged, SkippedAttention

OURS = ("dead-head", "duplicate-heads", "outlying-head")


def norms(size: float) -> HeadNorms:
    return HeadNorms(2 * size, size, size * (1 + 1e-9), 4.0)


def heads(layers: int = 4, count: int = 8, scatter: float = 0.3, head_norm: str = "") -> Heads:
    """Those of a healthy model: norms of log-normal scatter."""
    rng = random.Random(0)
    rows = [
        HeadRow(
            "",
            layer,
            "self",
            head,
            head,
            q=norms(1.0),
            k=norms(1.0),
            v=norms(1.0),
            o=norms(1.0),
            logit=norms(math.exp(rng.gauss(0, scatter))),
            ov=norms(math.exp(rng.gauss(0, scatter))),
            nearest=(head + 1) % count,
            distance=1.2,
        )
        for layer in range(layers)
        for head in range(count)
    ]
    attentions = [
        Attention("", layer, "self", count, count, 16, 16, 0.25, "1/√head_dim", head_norm=head_norm)
        for layer in range(layers)
    ]
    return Heads(tuple(attentions), tuple(rows))


def changed(before: Heads, at: tuple[int, int], change: Callable[[HeadRow], HeadRow]) -> Heads:
    rows = [change(row) if (row.layer, row.head) == at else row for row in before.rows]
    return replace(before, rows=tuple(rows))


def judged(found: Heads | None) -> tuple[list[Finding], list[NotJudged]]:
    judgement = judge(replace(evidence(), heads=found), make_policy((), (), RULES))
    return list(judgement.findings), [one for one in judgement.not_judged if one.rule in OURS]


def test_healthy_heads_are_no_finding() -> None:
    assert judged(heads()) == ([], [])
    assert judged(None) == ([], [])


@pytest.mark.parametrize("part", ["logit", "ov"])
def test_a_head_next_to_nothing_is_dead(part: str) -> None:
    dead = changed(
        heads(),
        (2, 5),
        lambda row: replace(row, logit=norms(1e-4)) if part == "logit" else replace(row, ov=norms(1e-4)),
    )
    ((finding,), _) = judged(dead)
    assert (finding.id, finding.layer, finding.severity) == ("dead-head", 2, "warning")
    assert finding.detail.startswith("1 of 8 heads does next to nothing: head 5")
    assert "1 of 8 heads" in finding.detail
    assert "head 5" in finding.detail
    assert finding.value is not None
    assert finding.value < 0.01


@pytest.mark.parametrize(("size", "ids"), [(1e-4, []), (0.0, ["dead-head"])])
def test_a_norm_of_queries_and_keys_makes_up_for_a_small_map(size: float, ids: list[str]) -> None:
    small = changed(heads(head_norm="q_norm"), (2, 5), lambda row: replace(row, logit=norms(size)))
    assert [finding.id for finding in judged(small)[0]] == ids


def test_a_layer_that_is_zero_has_no_dead_heads() -> None:
    zero = heads(layers=1)
    zero = replace(zero, rows=tuple(replace(row, logit=norms(0.0), ov=norms(0.0)) for row in zero.rows))
    assert judged(zero)[0] == []


def test_equal_heads_are_told_once_and_zeros_are_none() -> None:
    twice = heads()
    twice = changed(twice, (1, 2), lambda row: replace(row, nearest=6, distance=1e-9))
    twice = changed(twice, (1, 6), lambda row: replace(row, nearest=2, distance=1e-9))
    ((finding,), _) = judged(twice)
    assert (finding.id, finding.layer) == ("duplicate-heads", 1)
    assert "2 and 6" in finding.detail
    zeros = heads()
    for head in (2, 6):
        zeros = changed(zeros, (1, head), lambda row: replace(row, q=norms(0.0), k=norms(0.0), nearest=2, distance=0.0))
    assert judged(zeros)[0] == []


def test_a_head_far_from_all_others_stands_out() -> None:
    out = changed(heads(), (3, 1), lambda row: replace(row, logit=norms(1e4)))
    ((finding,), _) = judged(out)
    assert (finding.id, finding.layer, finding.severity) == ("outlying-head", 3, "info")
    assert "head 1" in finding.detail
    normed = changed(heads(head_norm="q_norm"), (3, 1), lambda row: replace(row, logit=norms(1e4)))
    assert judged(normed)[0] == []


def test_numbers_that_are_none_are_not_judged() -> None:
    nan = changed(heads(), (0, 0), lambda row: replace(row, logit=norms(math.nan), ov=None))
    assert judged(nan)[0] == []


def test_attentions_whose_heads_are_not_known_are_said() -> None:
    partly = replace(heads(), skipped=(SkippedAttention("", 9, "self", "it has no Q"),))
    findings, unmet = judged(partly)
    assert findings == []
    assert {(one.rule, one.partly) for one in unmet} == {(rule, True) for rule in OURS}
    assert all("1 of 5 attentions are not known: it has no Q" in one.reason for one in unmet)
    _, unmet = judged(Heads(skipped=partly.skipped))
    assert {one.partly for one in unmet} == {False}


def test_the_rules_are_checked_where_heads_were_asked_for_alone() -> None:
    model = tiny("llama")
    assert not set(OURS) & set(wa.scan(model).rules)
    assert set(OURS) < set(wa.scan(model, heads=True).rules)


def test_a_pruned_head_of_a_model_is_found() -> None:
    model = tiny("gpt2")
    with torch.no_grad():
        model.transformer.h[1].attn.c_proj.weight[12:24] = 0  # (in, out): the second head's inputs of O
    found = [one for one in wa.scan(model, heads=True).findings if one.id in OURS]
    assert [(one.id, one.layer) for one in found] == [("dead-head", 1)]
    assert "head 1 (what it writes: 0 of the median)" in found[0].detail


@needs_minilm
@pytest.mark.slow
@pytest.mark.parametrize("chosen", [{"roles": "Q,K,V,O", "layers": "5"}, {}])
def test_minilm_has_none(chosen: dict[str, str]) -> None:
    _sound(minilm_directory(), **chosen)


@pytest.mark.slow
@needs_rxnmapper
def test_rxnmapper_has_none() -> None:
    _sound(rxnmapper_directory())


def _sound(directory: Path | None, **chosen: Any) -> None:
    assert directory is not None
    report = wa.scan(directory, heads=True, **chosen)
    assert report.heads is not None
    assert report.heads.rows
    assert [one.id for one in report.findings if one.id in OURS] == []
    assert [one for one in report.not_judged if one.rule in OURS] == []
