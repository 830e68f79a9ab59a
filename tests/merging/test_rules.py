"""What a merge comes to, in findings: each rule on a result that it is about, and on one that it is not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.merges import meeting, merge_check_result, planted
from weightaudit.audit.rules import make_policy
from weightaudit.merging.rules import RULES, judge
from weightaudit.merging.summary import summarise
from weightaudit.records import Adapter, Interactions, Meeting, MergeCheckResult, Place
from weightaudit.spectral.interactions import interactions

IDS = [rule.id for rule in RULES]


def found(result: MergeCheckResult, **asked: Any) -> dict[str, str]:
    policy = make_policy(asked.get("severity", ()), asked.get("ignore", ()), RULES)
    return {one.id: one.detail for one in judge(result, policy).findings}


def with_meetings(
    meetings: list[Meeting], models: int = 2, weights: tuple[float, ...] = (), **more: Any
) -> MergeCheckResult:
    at = weights or ((1.0,) * models if not more.get("merged") else ())
    plain = merge_check_result(models)
    return replace(plain, meetings=tuple(meetings), summary=summarise(meetings, models, at), **more)


def of(updates: list[np.ndarray], W0: np.ndarray | None = None, models: int = 2) -> Meeting:
    base = np.zeros_like(updates[0]) if W0 is None else W0
    one: Interactions = interactions([base], [[base + update] for update in updates], victims=models)
    return Meeting(Place("", 0, None, "Q"), ("h.0.q",), (updates[0].shape[0], updates[0].shape[1]), one)


def test_ids_are_unique_and_told_of() -> None:
    assert len(set(IDS)) == len(IDS)
    assert all(rule.id.startswith("merge-") for rule in RULES)
    assert all({*rule.suppressed_by} <= {*IDS[: IDS.index(rule.id)]} for rule in RULES)


def test_ordinary_updates_are_no_finding() -> None:
    rng = np.random.default_rng(0)
    W0 = rng.standard_normal((60, 50))
    updates = [0.1 * one for one in planted(60, 50, seed=1, shared=0.0, decay=1.0)]
    assert found(with_meetings([of(updates, W0)])) == {}


def test_one_side_will_lose() -> None:
    one, other = planted(60, 50, seed=1, shared=1.0, decay=0.4)
    told = found(with_meetings([of([one, 0.2 * other], np.eye(60, 50) * 9)]))
    assert "org/code is disturbed by D" in told["merge-lopsided"]
    assert "merge-lopsided" not in found(with_meetings([of([one, 0.9 * other], np.eye(60, 50) * 9)]))
    # Nobody loses where nobody is disturbed, and an adapter is not held against a whole fine-tune.
    half = np.diag(np.arange(50) < 25).astype(float)
    apart = [one @ half, 0.001 * other @ (np.eye(50) - half)]
    assert "merge-lopsided" not in found(with_meetings([of(apart, np.eye(60, 50) * 9)]))
    low = other[:, :1] @ np.ones((1, 50))
    mixed = found(with_meetings([of([one, 0.02 * low], np.eye(60, 50) * 9)]))
    assert "merge-lopsided" not in mixed
    assert "Beside whole fine-tunes" in mixed["merge-adapters"]


def test_a_whole_fine_tune_that_is_disturbed() -> None:
    one, other = planted(60, 50, seed=1, shared=1.0, decay=0.4)
    told = found(with_meetings([of([one, 5.0 * other], np.eye(60, 50) * 99)]))
    assert told["merge-disturbed"].startswith("Disturbance D of org/math")
    low = [np.outer(left[:, 0], right[0]) for left, right in ((one, other), (other, one))]
    assert "merge-disturbed" not in found(with_meetings([of([low[0], 5.0 * low[0] + low[1]], np.eye(60, 50) * 99)]))


def test_updates_that_add_up_and_twins() -> None:
    one, other = planted(60, 50, seed=1, shared=0.5, decay=0.4)
    like = one + 0.1 * other
    assert "org/math" in found(with_meetings([of([one, like], np.eye(60, 50) * 99)]))["merge-repeated"]
    same = found(with_meetings([of([one, one], np.eye(60, 50) * 99)]))
    assert "merge-same" in same
    assert "merge-repeated" not in same


def test_a_model_that_is_the_base() -> None:
    one, _ = planted(60, 50, seed=1)
    W0 = np.eye(60, 50)
    result = with_meetings([of([one, np.zeros_like(one)], W0)])
    assert found(result)["merge-unchanged"].startswith("org/code")
    assert "merge-unchanged" not in found(replace(result, base=None))


def test_another_model() -> None:
    rng = np.random.default_rng(0)
    W0, strange = rng.standard_normal((60, 50)), rng.standard_normal((60, 50))
    one, _ = planted(60, 50, seed=1)
    result = with_meetings([of([0.01 * one, strange - W0], W0)])
    assert found(result)["merge-unrelated"].startswith("org/code")
    assert list(found(result)) == ["merge-unrelated"]  # what the others' numbers are with it is no further fault
    assert judge(result, make_policy((), (), RULES)).verdict == "errors"


def as_they_are(weights: list[np.ndarray]) -> MergeCheckResult:
    """Two models without a base."""
    return with_meetings([meeting(Place("", 0, None, "Q"), weights)], base=None)


@pytest.mark.parametrize("size", [0.3, 0.01, 5e-4])
def test_a_base_that_is_not_named(size: float) -> None:
    rng = np.random.default_rng(0)
    W0 = rng.standard_normal((60, 50))
    tuned = [W0 + size * one for one in planted(60, 50, seed=1)]
    told = found(as_they_are(tuned))
    assert list(told) == ["merge-no-base"]  # and no "same update", of which there is another in each
    assert "org/math and org/code" in told["merge-no-base"]
    apart = [rng.standard_normal((60, 50)) for _ in range(2)]
    assert "merge-no-base" not in found(as_they_are(apart))
    changes = [one - W0 for one in tuned]
    assert "merge-no-base" not in found(with_meetings([of([changes[0], changes[0]], W0)]))


def test_an_adapter_is_a_change_already() -> None:
    one, _ = planted(60, 50, seed=1)
    twins = as_they_are([one, one])
    assert list(found(twins)) == ["merge-no-base"]
    adapters = tuple(replace(model, adapter=Adapter("LoRA")) for model in twins.models)
    told = found(replace(twins, models=adapters))
    assert "merge-no-base" not in told
    assert "merge-same" in told


@pytest.mark.parametrize(("shrink", "told"), [((0.01, 0.02), True), ((0.01, 0.0), False), ((-0.01, -0.02), False)])
def test_weight_decay_adds_up(shrink: tuple[float, float], told: bool) -> None:
    rng = np.random.default_rng(0)
    W0 = rng.standard_normal((60, 50))
    updates = [0.001 * one - c * W0 for one, c in zip(planted(60, 50, seed=1), shrink, strict=True)]
    detail = found(with_meetings([of(updates, W0)])).get("merge-decay")
    assert (detail is not None) == told
    if detail:
        assert "A sum of the updates shrinks it by 0.03" in detail


def test_a_merge_that_is_linear_or_not() -> None:
    updates = planted(30, 20, seed=1)
    merged = merge_check_result(2, merged=True).merged
    linear = with_meetings(
        [meeting(Place("", 0, None, "Q"), [*updates, 0.5 * updates[0] + 0.25 * updates[1]], models=2)], merged=merged
    )
    assert "0.5 × org/math and 0.25 × org/code" in found(linear)["merge-linear"]
    other = np.where(np.abs(updates[0]) > 0.05, updates[0], updates[1])
    assert (
        "none of any"
        in found(with_meetings([meeting(Place("", 0, None, "Q"), [*updates, other], models=2)], merged=merged))[
            "merge-linear"
        ]
    )


def test_entries_that_are_no_numbers() -> None:
    one, other = planted(30, 20, seed=1)
    other[0, 0] = math.nan
    assert "layer 0 Q" in found(with_meetings([of([one, other])]))["merge-not-finite"]


def test_what_is_ignored_does_not_count() -> None:
    one, _ = planted(60, 50, seed=1)
    result = with_meetings([of([one, one], np.eye(60, 50) * 99)])
    judged = judge(result, make_policy(("merge-same=error",), ("merge-disturbed",), RULES))
    assert judged.verdict == "errors"
    assert "merge-disturbed" not in judged.rules
    assert [one.finding.id for one in judged.suppressed] == ["merge-disturbed"]
