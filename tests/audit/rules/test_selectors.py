"""Which findings do not count, or count more, as options say; what is left out is kept."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.audit.rules.healthy import changed, evidence, row, zeroed
from weightaudit.architecture import conventions, families
from weightaudit.architecture.conventions import Convention
from weightaudit.audit.rules import RULES, RuleContext, judge, make_policy, selectors
from weightaudit.audit.rules.selectors import known_roles, parse_selector
from weightaudit.config import DEFAULTS
from weightaudit.errors import UsageError
from weightaudit.parse import parse_selectors, parse_severities
from weightaudit.records import OTHER, Finding, Place, Severity

HERE = Finding("untrained", "warning", "", "decoder", 3, 7, "M1", ("a.mlp.c_fc.weight", "b.mlp.c_fc.weight"))


@pytest.mark.parametrize(
    "text",
    [
        "untrained",
        "untrained:M1",
        "untrained:m1",
        "untrained:layer 3",
        "untrained:layer=3/M1",
        "untrained:Layer 2-4 M1",
        "untrained:decoder",
        "untrained:decoder/expert 7",
        "untrained:decoder layer 3 expert 7 M1",  # as it is printed
        "untrained:tensor=*.mlp.c_fc.weight",
    ],
)
def test_what_takes_a_finding(text: str) -> None:
    assert parse_selector(text, RULES).takes(HERE)


@pytest.mark.parametrize(
    "text",
    [
        "pickle",
        "untrained:M2",
        "untrained:layer 4",
        "untrained:layer 30-31",
        "untrained:encoder",
        "untrained:expert 6",
        "untrained:decoder layer 3 expert 7 M2",
        "untrained:tensor=a.*",  # the finding is about another too
        "untrained:tensor=*.MLP.c_fc.weight",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not parse_selector(text, RULES).takes(HERE)


def test_places_are_written_as_they_are_printed() -> None:
    for place in (
        Place("decoder", 3, 7, "M1"),
        Place(role="POOLER"),
        Place("vision", 0),
        Place(layer=99_999, role="Q"),
    ):
        finding = Finding("untrained", "warning", "", place.stack, place.layer, place.expert, place.role)
        assert parse_selector(f"untrained:{place.words()}", RULES).takes(finding)


def test_no_place_takes_a_finding_about_more() -> None:
    whole = Finding("untrained", "error", "")
    assert not parse_selector("untrained:POOLER", RULES).takes(whole)
    assert not parse_selector("untrained:tensor=*", RULES).takes(whole)  # which names none
    many = Finding("untrained", "error", "", tensors=tuple(f"t{i}" for i in range(50)))  # and may be of more
    assert not parse_selector("untrained:tensor=t*", RULES).takes(many)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("untraind", "rule 'untraind': there is no such rule here. Did you mean untrained?"),
        ("untraind:POOLER", "rule 'untraind': there is no such rule here. Did you mean untrained?"),
        (
            "untrained:POOLR",
            "'untrained:POOLR': no model has a role 'POOLR'. Did you mean POOLER? Write it as findings",
        ),
        ("untrained:", "'untrained:': it names no role after the colon"),
        ("untrained:layer", "'untrained:layer': it names no layer after the layer"),
        ("untrained:layer x", "layers 'x': 'x' is no layer number"),
        ("untrained:layer 3 layer 4", "it names a layer twice"),
        ("untrained:Q K", "it names a role twice"),
        ("untrained:tensor=", "it names no tensor"),
        ("untrained:\x1b[2J", r"no model has a role '\\x1b\[2J'"),
    ],
)
def test_what_is_no_selector(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?") if "\\[" not in said else said):
        parse_selector(text, RULES)


def test_every_role_that_is_guessed_is_known() -> None:
    tables = [one for one in vars(conventions).values() if isinstance(one, tuple) and one]
    roles = {each.role for table in tables for each in table if isinstance(each, Convention)}
    assert roles
    assert roles <= set(known_roles())


def test_what_is_known_before_a_family_is_read_is_a_role_of_some_family() -> None:
    of_families = {role for family in families() for role in family.roles}
    assert set(selectors._COMMON) - {OTHER} <= of_families


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("untrained", "it names no severity"),
        ("untrained=eror", "'eror' is none of error, warning, info, off. Did you mean error?"),
        ("untraind=error", "there is no such rule here. Did you mean untrained?"),
        ("=error", "there is no such rule here"),
    ],
)
def test_what_is_no_severity(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        make_policy(parse_severities(text), (), RULES)
    assert said in str(error.value)


def test_how_they_are_written() -> None:
    assert parse_selectors(" Untrained:POOLER , pickle, pickle") == ("untrained:POOLER", "pickle")
    assert parse_severities("Untrained=ERROR, dead-rows:tensor=*.a=info") == (
        "untrained=error",
        "dead-rows:tensor=*.a=info",
    )
    assert parse_severities({"untrained:POOLER": "off"}) == ("untrained:POOLER=off",)
    assert DEFAULTS.with_text("severity", "pickle=off").severity == ("pickle=off",)


def two_zero() -> RuleContext:
    return changed(changed(evidence(), "/9//M2", zeroed), "/3//O", zeroed)


def judged(*, severity: str = "", ignore: str = "") -> tuple[list[tuple[Severity, str]], list[tuple[str, str]]]:
    """(severity, place) of the findings; (place, option) of those that do not count."""
    policy = make_policy(parse_severities(severity), parse_selectors(ignore), RULES)
    done = judge(two_zero(), policy)
    return (
        [(one.severity, one.place.words()) for one in done.findings],
        [(one.finding.place.words(), one.by) for one in done.suppressed],
    )


def test_what_is_ignored_at_a_place_is_kept_apart() -> None:
    assert judged() == ([("error", "layer 3 O"), ("error", "layer 9 M2")], [])
    assert judged(ignore="zero-matrix:layer 9 M2") == (
        [("error", "layer 3 O")],
        [("layer 9 M2", "zero-matrix:layer 9 M2")],
    )
    assert judged(ignore="zero-matrix") == ([], [("layer 3 O", "zero-matrix"), ("layer 9 M2", "zero-matrix")])


def test_severities_are_raised_and_lowered() -> None:
    assert judged(severity="zero-matrix=info") == ([("info", "layer 3 O"), ("info", "layer 9 M2")], [])
    # The last that fits counts, and findings come most severe first.
    assert judged(severity="zero-matrix:O=info, zero-matrix:layer 9=warning")[0] == [
        ("warning", "layer 9 M2"),
        ("info", "layer 3 O"),
    ]
    assert judged(severity="zero-matrix:O=off, zero-matrix=error")[0] == [
        ("error", "layer 3 O"),
        ("error", "layer 9 M2"),
    ]
    assert judged(severity="zero-matrix=off, zero-matrix:O=warning") == (
        [("warning", "layer 3 O")],
        [("layer 9 M2", "zero-matrix=off")],
    )
    assert judged(severity="zero-matrix=error", ignore="zero-matrix")[0] == []


def test_what_is_off_everywhere_is_not_checked() -> None:
    assert make_policy(["pickle=off", "untrained=off", "untrained=info"], ["dead-rows:Q"], RULES).unchecked == {
        "pickle"
    }
    assert set(get_args(Severity)) == {"error", "warning", "info"}


def test_of_very_many_the_gravest_are_told_one_by_one() -> None:
    rows = [row("M1", layer, (64, 256), 1.0, 1.0, expert=expert) for layer in range(2) for expert in range(200)]
    policy = make_policy(["near-rank-one=info", "near-rank-one:layer 1 expert 199=error"], (), RULES)
    done = judge(evidence(rows), policy)
    assert (done.findings[0].severity, done.findings[0].expert) == ("error", 199)
    assert len(done.findings) == 101
