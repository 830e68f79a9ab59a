"""Values that we write, as strict JSON has them."""

from __future__ import annotations

import json
import math

import numpy as np

from weightaudit.strict_json import plain


def test_plain_values_are_strict_json_all_the_way_down() -> None:
    value = {1: (np.float64("nan"), np.float32(0.5), -math.inf), "n": [np.int64(3), np.bool_(True), None, "é", 1e308]}
    found = plain(value)
    assert found == {"1": [None, 0.5, None], "n": [3, True, None, "é", 1e308]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [type(item) for item in (*found["1"], *found["n"][:2])] == [type(None), float, type(None), int, bool]
