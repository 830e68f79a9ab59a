"""Columns as the page stores them: short, and the same texts when taken apart again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightaudit.report.html.encoding import encoded


def decoded(column: Any, count: int) -> list[str]:
    """As decoding.js does it."""
    if isinstance(column, str):
        return [column] * count
    if isinstance(column, list):
        return column
    if "joined" in column:
        return str(column["joined"]).split(" ")
    if "values" in column:
        return [column["values"][i] for i in column["at"]]
    numbers = iter(column["numbers"])
    texts = []
    for i in column["at"]:
        first, *rest = column["pieces"][i]
        texts.append(first + "".join(str(next(numbers)) + piece for piece in rest))
    return texts


@given(st.lists(st.one_of(st.text(), st.from_regex(r"\A[a.]{0,3}[0-9]{0,18}[b ]?[0-9]{0,3}\Z")), max_size=12))
def test_columns_come_back(texts: list[str]) -> None:
    assert decoded(encoded(texts), len(texts)) == texts


@pytest.mark.parametrize(
    ("texts", "shape"),
    [
        (["float32"] * 9, str),
        ([f"h.{i // 8}.experts.{i % 8}.weight" for i in range(64)], {"pieces", "at", "numbers"}),
        ([f"{i / 7:.9g}" for i in range(64)], {"joined"}),
        (["a long role", "another long role"] * 9, {"values", "at"}),
        (["one of a kind", "nothing like it"], list),
    ],
)
def test_each_kind_of_column_has_its_shape(texts: list[str], shape: Any) -> None:
    found = encoded(texts)
    assert (set(found) if isinstance(found, dict) else type(found)) == shape
    assert len(json.dumps(found)) <= len(json.dumps(texts))
    assert decoded(found, len(texts)) == texts


def test_numbers_that_no_integer_spells_stay_text() -> None:
    texts = [f"w{spelt}.bias" for spelt in ("007", "1" * 30, "-3", "1e5", "٣")] * 3
    assert decoded(encoded(texts), len(texts)) == texts
