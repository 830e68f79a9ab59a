"""Fields, tables and facts that several codecs share, against loops over single bits."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from tests.support.covering import covering
from tests.support.packing import packed
from weightaudit.checkpoint.codecs.bits import (
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    float32,
    levels,
    of_floats,
    pairs,
    scale_facts,
    take_pairs,
    tiles,
    unpack,
)


@pytest.mark.parametrize(("bits", "count", "gaps"), covering(range(1, 9), (1, 31, 32, 70), (False, True)))
def test_fields_along_either_axis(bits: int, count: int, gaps: bool) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (5, count), np.uint8)
    each = 32 // bits if gaps else 0
    rows = packed(codes, bits, each=each)
    assert np.array_equal(unpack(rows, bits, count, each=each), codes)
    assert np.array_equal(unpack(np.ascontiguousarray(rows.T), bits, count, axis=0, each=each), codes.T)
    more = np.concatenate([rows, rows, rows], axis=1)  # as padded words: none is read
    assert np.array_equal(unpack(more, bits, count, each=each), codes)
    with pytest.raises(ValueError, match="hold no"):
        unpack(rows[:, :-1], bits, count, each=each)


def test_tables() -> None:
    assert E2M1[[1, 7, 9, 15]].tolist() == [0.5, 6, -0.5, -6]
    assert math.copysign(1, E2M1[8]) == -1
    assert (E4M3[0x7E], E4M3[0x01], E5M2[0x7B]) == (448, 2**-9, 57344)
    assert np.isnan(E4M3[[0x7F, 0xFF]]).all()
    assert (E8M0[0], E8M0[127], E8M0[254]) == (2.0**-127, 1, 2.0**127)
    assert np.isnan(E8M0[255])
    out = np.empty((1, 4), np.float32)
    take_pairs(pairs(E2M1), np.array([[0x21, 0xF0]], np.uint8), out)
    assert out.tolist() == [[0.5, 1, 0, -6]]
    take_pairs(pairs(E2M1, high_first=True), np.array([[0x21, 0xF0]], np.uint8), out)
    assert out.tolist() == [[1, 0.5, -6, 0]]
    assert float32(np.array([128], np.uint8)).tolist() == [2]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_how_often_each_code_is_there(bits: int) -> None:
    codes = np.random.default_rng(0).integers(0, 1 << bits, (3, 64), np.uint8)
    assert np.array_equal(levels(packed(codes, bits), bits), np.bincount(codes.reshape(-1), minlength=1 << bits))


def test_tiles() -> None:
    assert list(tiles(0, 5)) == []
    assert list(tiles(3, 0)) == [(0, 3)]
    assert list(tiles(300, 1 << 10)) == [(0, 128), (128, 256), (256, 300)]
    assert list(tiles(300, 1 << 18, step=128)) == [(0, 128), (128, 256), (256, 300)]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, ml_dtypes.float8_e4m3fn])
def test_facts_of_scales(dtype: type) -> None:
    """A subnormal is one of the dtype that stores it."""
    tiny = float(ml_dtypes.finfo(dtype).smallest_normal)
    facts = scale_facts(np.array([[0, -0.5, tiny], [tiny / 2, np.nan, 2]], dtype))
    assert facts == {
        "scales": 6,
        "zero_scales": 1,
        "negative_scales": 1,
        "nonfinite_scales": 1,
        "subnormal_scales": 1,
        "least_scale": tiny / 2,
        "largest_scale": 2,
    }


def test_facts_of_exponents() -> None:
    facts = scale_facts(np.array([0, 127, 255], np.uint8))
    assert (facts["scales"], facts["nonfinite_scales"], facts["least_scale"], facts["largest_scale"]) == (
        3,
        1,
        2.0**-127,
        1,
    )
    assert (facts["zero_scales"], facts["subnormal_scales"]) == (0, 0)
    empty = scale_facts(np.empty(0, np.float32))
    assert empty["scales"] == 0
    assert math.isnan(empty["least_scale"])


def test_levels_of_small_floats() -> None:
    """0 and −0 are one level, NaN is none, and both ends are told, whichever table it is."""
    four = np.zeros(16, np.int64)
    four[[0, 8, 7, 15, 3]] = 5, 2, 3, 4, 1
    assert of_floats(four) == {"codes": 15, "extreme": 7, "unused": 15 - 4}
    assert of_floats(np.ones(16, np.int64))["unused"] == 0
    assert of_floats(np.where(np.arange(16) == 8, 0, 1))["unused"] == 0
    eight = np.zeros(256, np.int64)
    eight[[0x00, 0x80, 0x7E, 0xFE, 0x7F]] = 1
    assert of_floats(eight, E4M3) == {"codes": 5, "extreme": 2, "unused": 253 - 3}
