"""Records as JSON values and back: nothing is lost, and nothing that a stranger wrote passes unchecked."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import at_most
from weightaudit import records
from weightaudit.records.plain import from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    number: float
    name: str = ""


@dataclass(frozen=True)
class Outer:
    """A field of every kind that records have."""

    inner: Inner
    several: tuple[Inner, ...] = ()
    pair: tuple[int, float] = (0, 0.0)
    kind: Literal["a", "b"] = "a"
    count: int | None = None
    flag: bool = False
    by_name: dict[str, int] = field(default_factory=dict)
    loose: dict[str, Any] = field(default_factory=dict)
    unknown: float = math.nan
    hidden: Any = field(default=None, compare=False)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
INNERS = st.builds(Inner, NUMBERS, st.text())
OUTERS = st.builds(
    Outer,
    INNERS,
    st.lists(INNERS, max_size=3).map(tuple),
    st.tuples(st.integers(), NUMBERS),
    st.sampled_from(["a", "b"]),
    st.none() | st.integers(),
    st.booleans(),
    st.dictionaries(st.text(), st.integers(), max_size=3),
    st.dictionaries(st.text(), st.none() | NUMBERS | st.integers() | st.booleans(), max_size=3),
    NUMBERS,
)


@at_most(40)
@given(OUTERS)
def test_what_is_written_comes_back(outer: Outer) -> None:
    said = json.loads(json.dumps(to_plain(outer), allow_nan=False))
    again = from_plain(Outer, said)
    assert repr(again) == repr(outer)  # NaN is not equal to itself
    assert to_plain(again) == to_plain(outer)


def test_defaults_and_what_is_no_data_are_left_out() -> None:
    assert to_plain(Outer(Inner(1.0), hidden=object())) == {"inner": {"number": 1.0}}


def test_zero_is_not_false_and_one_is_not_a_float() -> None:
    said = to_plain(Outer(Inner(1.0), count=0, pair=(1, 1.0), flag=True))
    assert said == {"inner": {"number": 1.0}, "pair": [1, 1.0], "count": 0, "flag": True}
    assert from_plain(Outer, said).flag is True


def test_a_text_that_reads_like_a_number_stays_one() -> None:
    outer = Outer(
        Inner(math.inf, "nan"), loose={"nan": "nan", "x": ["inf", math.inf, {"number": "text"}], "y": math.nan}
    )
    said = to_plain(outer)
    assert said["loose"]["x"] == ["inf", {"number": "inf"}, {"number": "text"}]
    again = from_plain(Outer, json.loads(json.dumps(said, allow_nan=False)))
    assert again.loose["nan"] == "nan"
    assert again.loose["x"] == ["inf", math.inf, {"number": "text"}]
    assert math.isnan(again.loose["y"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner": 5}, "inner: a Inner is no object"),
        ({"inner": {}}, "inner: a Inner lacks number"),
        ({"inner": {"number": "five"}}, "inner: number: it is no number"),
        ({"inner": {"number": True}}, "inner: number: it is no number"),
        ({"inner": {"number": None}}, "inner: number: it is no number"),
        ({"several": [{"number": 1}, 5]}, "several: a Inner is no object"),
        ({"pair": [1]}, "pair: it is no list of 2"),
        ({"pair": [1.5, 1]}, "pair: it is no whole number"),
        ({"kind": "c"}, "kind: it is none of a, b"),
        ({"kind": ["a"]}, "kind: it is none of a, b"),
        ({"count": "1"}, "count: it is no whole number"),
        ({"flag": 1}, "flag: it is no bool"),
        ({"by_name": []}, "by_name: it is no object"),
        ({"by_name": {"x": 1.0}}, "by_name: it is no whole number"),
        ({"__class__": 1}, "a Outer has no field '__class__'"),
        ({"hidden": 1}, "a Outer has no field 'hidden'"),
    ],
)
def test_what_is_of_another_type_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_plain(Outer, {"inner": {"number": 1.0}, **change})


def test_every_record_has_types_that_can_be_read_back() -> None:
    """A field of a type that is not known is found here, and not by who loads a report."""
    from weightaudit.records.plain import _hints, _value

    seen: set[type] = set()
    waiting: list[type] = [records.ScanResult, records.DiffResult, records.MergeCheckResult]
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        hints = _hints(kind)
        for one in dataclasses.fields(kind):
            if one.compare:
                with pytest.raises((ValueError, TypeError)) as error:
                    _value(hints[one.name], object()) if hints[one.name] is not Any else _raise()
                assert not str(error.value).startswith("no record has"), (kind, one.name)
        waiting += [inner for hint in hints.values() for inner in _records_in(hint)]
    assert len(seen) > 25


def _raise() -> None:
    raise ValueError


def _records_in(hint: Any) -> list[type]:
    from typing import get_args

    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    return [inner for one in get_args(hint) for inner in _records_in(one)]
