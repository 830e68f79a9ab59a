"""How often each code is there: counted by the compiled loop as by numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quantised import packers
from tests.quantised.reading import facts
from weightaudit.checkpoint.codecs import native
from weightaudit.checkpoint.codecs.bits import histogram, some_counts

DRAW = np.random.default_rng(5)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 1001])
@pytest.mark.parametrize("step", [1, 3])
def test_bytes_are_counted_as_numpy_counts(size: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, and wherever they lie."""
    stored = DRAW.integers(0, 256, size * step, np.uint8)[::step]
    monkeypatch.setattr(native, "LEAST", 0)
    counts = native.counts_of(stored)
    assert counts is not None
    assert np.array_equal(counts, np.bincount(stored, minlength=256))
    assert np.array_equal(histogram(stored), counts)


def test_facts_are_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    W = DRAW.standard_normal((64, 64)).astype(np.float32)
    float8 = {"w.weight": W.astype("float8_e4m3fn"), "w.weight_scale": np.ones((64, 1), np.float32)}
    stored = [{f"w.{end}": part for end, part in pack(W)[0].items()} for pack in (packers.nf4, packers.int8)]
    usual = [facts(tensors) for tensors in (*stored, float8)]
    monkeypatch.setattr(native, "LEAST", 0)
    counted = [facts(tensors) for tensors in (*stored, float8)]
    assert None not in usual
    assert counted == usual


def test_of_bytes_that_are_only_looked_for_numpy_tells_that_they_are_there() -> None:
    stored = np.repeat(np.array([1, 2, 9], np.uint8), (5, 7, 1))
    found = some_counts(stored, np.array([1, 3]), np.arange(9))
    assert found[:4].tolist() == [0, 5, 1, 0]
    assert found[4:].sum() == 0
