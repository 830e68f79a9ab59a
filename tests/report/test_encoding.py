"""Columns as the page stores them: short. That its script takes them apart again is tested in test_page_scripts.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weightaudit.report.html.encoding import encoded


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
