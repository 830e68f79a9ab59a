"""What one model changed of another, in words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.support import diffs
from weightaudit.records import Place
from weightaudit.report.diff.verdict import by_role, change_name, headline, kind_words, largest, story

SAID = {
    "lora": "12 of 37 matrices changed: low rank 8 (Q and V). All 12 vectors are unchanged.",
    "full": "All 37 matrices changed: 36 dense (Q, K, V, O, M1 and M2) and 1 few rows (EMBED). All 12 vectors changed: "
    "dense.",
    "cast": "36 of 37 matrices changed: cast to bfloat16 (Q, K, V, O, M1 and M2). All 12 vectors changed: cast.",
    "quantised": "36 of 37 matrices changed: quantised to 4 bits in groups of 32 (Q, K, V, O, M1 and M2). All 12 "
    "vectors are unchanged.",
    "identical": "Nothing differs: 37 matrices and 12 vectors are equal, entry for entry.",
    "moved": "18 of 37 matrices changed: 12 rows permuted in blocks of 32 (Q and K) and 6 moved (V). All 12 vectors "
    "are unchanged.",
}


@pytest.mark.parametrize("name", SAID)
def test_the_headline(name: str) -> None:
    assert headline(diffs.ALL[name]()) == SAID[name]


def test_what_else_is_known() -> None:
    assert any("by c = 0.000166, as decoupled weight decay" in said for said in story(diffs.full()))
    grown = story(diffs.full(decay=-1.66e-4))
    assert [one for one in grown if "alike" in one] == ["All trained matrices grew alike, by 0.000166 of their size."]
    (*_, recipe) = story(diffs.merged())
    assert recipe == "Every matrix is this sum of changes, but for rounding: 0.3002 × org/p + 0.7001 × org/q."
    near = replace(diffs.merged(), summary=replace(diffs.merged().summary, recipe=(0.7, 0.3, 1e-4), recipe_exact=False))
    assert list(story(near))[-1] == "Nearest sum of changes: 0.7 × org/p + 0.3 × org/q + 0.0001 × the base."
    # What the fit leaves of a number that is 0 is no part of the sum.
    for weights, words in {
        (-0.7, 2e-10, -6e-13): "−0.7 × org/p + 0 × org/q",
        (0.3, -0.7, 2e-11): "0.3 × org/p − 0.7 × org/q",
        (math.nan, 0.5, math.nan): "0.5 × org/q",
    }.items():
        (*_, told) = story(replace(near, summary=replace(near.summary, recipe=weights)))
        assert told == f"Nearest sum of changes: {words}."
    same = replace(diffs.identical(), parents=near.parents)
    assert not list(story(replace(same, summary=replace(same.summary, recipe=(0.0, 0.0), recipe_exact=True))))
    unknown = replace(near, summary=replace(near.summary, recipe=(math.nan,) * 3))
    assert not any("sum of changes" in one for one in story(unknown))
    said = list(story(diffs.resized()))
    assert "Only in the derived model: POOLER." in said
    assert "Only in the base: cls.bias." in said
    assert any("no larger than what rounding" in one for one in said)
    assert not list(story(diffs.identical()))


def test_a_last_role_is_named_rather_than_counted() -> None:
    changes = [diffs.change(Place(layer=0, role=f"R{i}"), "dense", 0.01) for i in range(10)]
    assert headline(diffs.result_of(changes[:9])).endswith("(R0, R1, R2, R3, R4, R5, R6, R7 and R8).")
    assert headline(diffs.result_of(changes)).endswith("R7 and 2 more).")


def test_ranks_that_differ_are_told_as_a_range() -> None:
    changes = [diffs.change(Place(layer=i, role="Q"), "low rank", 0.01, rank=4 + i) for i in range(3)]
    assert headline(diffs.result_of(changes)) == "All 3 matrices changed: low rank 4 to 6 (Q)."
    (role,) = by_role(diffs.result_of(changes))
    assert role.kinds == "low rank 4 to 6"
    mixed = [*changes, diffs.change(Place(layer=3, role="Q"), "unchanged", 0.0)]
    assert by_role(diffs.result_of(mixed))[0].kinds == "3 low rank 4 to 6, 1 unchanged"


def test_words_of_a_kind() -> None:
    changes = {change_name(one): kind_words(one) for one in diffs.resized().changes}
    assert changes["EMBED"] == "few rows, 30,522 rows made 30,530"


def test_the_largest_come_first_and_unknown_ones_not_at_all() -> None:
    found = largest(diffs.odd(), 3)
    assert [change_name(one) for one in found] == ["layer 0 K", "scale", "layer 0 V"]
    assert largest(diffs.identical()) == []
