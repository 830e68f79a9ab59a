"""GPTQ's and AutoRound's layout: entries, packed by hand in every way that the format knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.quantised.reading import decoded, facts, logical
from tests.support.covering import covering
from tests.support.packing import packed, packed_down, scaled
from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs.affine import group_size, grouping

OUT, IN = 64, 96
V1 = {2: 0x5555_5555, 4: 0x1111_1111, 8: 0x0101_0101}


class Made:
    """A random matrix in GPTQ's parts, and its entries."""

    def __init__(self, bits: int, size: int = 32, *, v1: bool = True, index: Array | None = None) -> None:
        draw = np.random.default_rng(bits)
        groups = -(-IN // size)
        codes = draw.integers(0, 1 << bits, (OUT, IN), np.uint8)
        zeros = draw.integers(0, 1 << bits, (OUT, groups), np.uint8)
        scales = draw.uniform(0.001, 0.1, (OUT, groups)).astype(np.float16)
        each = np.arange(IN, dtype=np.int32) // size if index is None else index
        self.weight = scaled(codes, scales, zeros, each)
        self.parts = {
            "p.qweight": packed_down(codes.T, bits),
            "p.qzeros": stored_zeros(zeros.T, bits, v1=v1),
            "p.scales": np.ascontiguousarray(scales.T),
            "p.g_idx": each.astype(np.int32),
        }
        self.zeros = zeros

    def without(self, *names: str) -> dict[str, Array]:
        return {name: part for name, part in self.parts.items() if name not in names}


def stored_zeros(zeros: Array, bits: int, *, v1: bool) -> Array:
    """(groups, out·bits/32): the first version takes one from all fields of a word at once, which borrows."""
    if v1 and bits == 3:
        return packed((zeros - 1) & 7, bits)
    whole = packed(zeros, bits).view(np.uint32)
    return (whole - np.uint32(V1[bits]) if v1 else whole).view(np.int32)


@pytest.mark.parametrize(
    ("bits", "size", "v1", "index"), covering((2, 3, 4, 8), (32, IN), (True, False), (True, False))
)
def test_entries(bits: int, size: int, v1: bool, index: bool) -> None:
    """(out, in), though stored (in, out); zero points of 0 among them, which borrow in the first version."""
    made = Made(bits, size, v1=v1)
    assert (made.zeros == 0).any()
    method: Mapping[str, Any] = {} if v1 else {"quant_method": "gptq", "checkpoint_format": "gptq_v2"}
    info, read = decoded(made.parts if index else made.without("p.g_idx"), method)
    assert (info.name, info.shape) == ("p.weight", (OUT, IN))
    assert np.array_equal(read, made.weight)
    scheme = info.encoding.scheme
    assert scheme is not None
    assert scheme.label == f"GPTQ, {bits} bits, {'a scale per row' if size == IN else f'group {size}'}"


def test_zero_points_are_added_to_by_words() -> None:
    """By fields, some of them would come out wrong: the test can tell."""
    made = Made(4)
    stored = made.parts["p.qzeros"].view(np.uint32)
    by_fields = np.stack([(stored >> np.uint32(4 * k) & np.uint32(15)) + 1 & 15 for k in range(8)], axis=-1)
    wrong = made.zeros != by_fields.reshape(stored.shape[0], OUT).T
    assert 0 < wrong.sum() < wrong.size / 2
    found = facts(made.parts)
    assert found is not None
    assert found.wrapped == sum(int((stored >> np.uint32(4 * k) & np.uint32(15) == 15).sum()) for k in range(8)) > 0


@pytest.mark.parametrize("bits", [3, 4])
def test_any_map_of_columns_to_groups(bits: int) -> None:
    """act-order: also one of which some group has more columns than another, and one of none."""
    draw = np.random.default_rng(7)
    for index in (draw.permutation(np.arange(IN) // 32), draw.integers(0, 2, IN), np.zeros(IN, int), np.full(IN, 2)):
        made = Made(bits, index=index.astype(np.int32))
        assert np.array_equal(decoded(made.parts)[1], made.weight)


@pytest.mark.parametrize(
    ("method", "v1"),
    [
        ({"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq"}, True),
        ({"quant_method": "auto-round", "packing_format": "auto_round"}, False),
        ({"quant_method": "intel/auto-round", "backend": "auto_round:gptq"}, True),
        ({"quant_method": "gptq", "checkpoint_format": "gptq"}, True),
        ({"quant_method": "gptq", "format": "gptq_v2"}, False),
    ],
)
def test_which_zero_points_are_stored_less_one(method: Mapping[str, Any], v1: bool) -> None:
    made = Made(4, v1=v1)
    info, read = decoded(made.without("p.g_idx"), method)
    assert np.array_equal(read, made.weight)
    assert info.encoding.scheme is not None
    assert info.encoding.scheme.format == ("AutoRound" if "round" in method["quant_method"] else "GPTQ")
    found = facts(made.parts, method)
    assert found is not None
    assert (found.wrapped is None) == (not v1)


def test_bits_are_those_of_the_shapes() -> None:
    """Modules may have others than the config says."""
    made = Made(8)
    method = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": True}
    info, read = decoded(made.parts, method)
    assert np.array_equal(read, made.weight)
    scheme = info.encoding.scheme
    assert scheme is not None
    assert (scheme.bits, scheme.symmetric, scheme.act_order) == (8, False, True)


def test_groups_that_the_config_tells() -> None:
    """Of the module first; -1 is all; what does not make as many groups is not believed."""
    made = Made(4, 40)
    for method in (
        {"group_size": 40},
        {"group_size": 128, "extra_config": {"p": {"group_size": 40}}},
        {"group_size": -1, "dynamic": {"+:p.*": {"group_size": 40}, "-:q": {}}},
    ):
        assert np.array_equal(decoded(made.without("p.g_idx"), method)[1], made.weight)
    assert group_size(160, 2, [-1, None, 0, True, "x"]) == 128
    assert group_size(160, 1, [32]) == 160
    assert group_size(97, 97, []) == 1
    assert group_size(100, 30, []) is None
    assert group_size(4, 0, []) is None


def test_what_a_map_of_groups_is() -> None:
    assert grouping(np.array([0, 0, 1, 1, 2]), 3) == (2, None)
    assert grouping(np.array([0, 0, 0, 1]), 2) == (3, None)
    for index in ([0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]):
        assert grouping(np.array(index), 2)[0] == 0
    for index in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="there are 2"):
            grouping(np.array(index), 2)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float32])
def test_dtypes_of_scales(dtype: Any) -> None:
    made = Made(4)
    scales = made.parts["p.scales"].astype(dtype)
    expected = made.weight / made.parts["p.scales"].T.astype(np.float32).repeat(32, axis=1)
    _, read = decoded({**made.parts, "p.scales": scales})
    assert np.allclose(read, expected * scales.T.astype(np.float32).repeat(32, axis=1), rtol=1e-6)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_facts(bits: int) -> None:
    made = Made(bits)
    found = facts(made.parts)
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (OUT, IN), np.uint8)
    counts = np.bincount(codes.reshape(-1), minlength=1 << bits)
    assert found is not None
    assert (found.codes, found.extreme, found.unused) == (codes.size, counts[0] + counts[-1], (counts == 0).sum())
    assert (found.scales, found.zero_scales) == (OUT * IN // 32, 0)


@pytest.mark.parametrize(("said", "each"), [(8, 4), (4.0, 8), (True, 8), ([4], 8), (1 << 70, 8)])
def test_what_is_not_read_has_whole_sides(said: object, each: int) -> None:
    info = logical(Made(4).parts, {"checkpoint_format": "marlin", "bits": said})
    assert info.shape == (OUT, IN // 8 * each)
    assert {type(side) for side in info.shape} == {int}


def test_what_is_not_read_is_named() -> None:
    made = Made(4)

    def why(method: Mapping[str, Any] | None = None, **changed: Array) -> str:
        info = logical({**made.parts, **{f"p.{name}": part for name, part in changed.items()}}, method)
        assert len(info.stored) == 4
        return info.why_unread

    assert "marlin is not read" in why({"checkpoint_format": "marlin"})
    assert "marlin is not read" in why({"is_marlin_format": True})
    assert "gptq_p is not read" in why({"format": "gptq_p"})
    assert "packed in int16" in why({"pack_dtype": "int16"})
    assert "packed in int16" in why(qweight=np.zeros((24, OUT), np.int16))
    for changed in (
        {"qzeros": np.zeros((3, 7), np.int32)},
        {"qzeros": np.zeros((2, 8), np.int32)},
        {"scales": np.zeros((3, OUT - 1), np.float16)},
        {"scales": np.zeros((3, OUT), np.int8)},
        {"scales": np.zeros(3, np.float16)},
        {"g_idx": np.zeros(IN + 1, np.int32)},
        {"g_idx": np.zeros(IN, np.float32)},
        {"qweight": np.zeros((0, OUT), np.int32)},
    ):
        assert "do not fit each other" in why(**changed)
    info = logical(made.without("p.qzeros"))
    assert "do not fit each other" in info.why_unread


def ragged(bits: int, rows: int, columns: int, *, v1: bool = True) -> tuple[dict[str, Array], Array]:
    """Parts of a matrix (out, in) of sides that need not fill words, and what they mean."""
    draw = np.random.default_rng(bits)
    index = (np.arange(columns) // 32).astype(np.int32)
    codes = draw.integers(0, 1 << bits, (rows, columns), np.uint8)
    zeros = draw.integers(0, 1 << bits, (rows, index[-1] + 1), np.uint8)
    scales = draw.uniform(0.001, 0.1, zeros.shape).astype(np.float16)
    parts = {
        "qweight": packed_down(codes.T, bits),
        "qzeros": stored_zeros(zeros.T, bits, v1=v1),
        "scales": np.ascontiguousarray(scales.T),
        "g_idx": index,
    }
    return parts, scaled(codes, scales, zeros, index)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("ordered", [True, False])
def test_an_embedding_is_as_it_is_looked_up(bits: int, ordered: bool) -> None:
    """Tokens are its inputs, in any order of groups, and need not fill the last word; nothing is turned."""
    parts, weight = ragged(bits, 64, 77)
    method = {"quant_method": "gptq", "checkpoint_format": "gptq"}
    if not ordered:
        made = Made(bits, index=np.random.default_rng(1).permutation(np.arange(IN) // 32).astype(np.int32))
        parts, weight = {name.removeprefix("p."): part for name, part in made.parts.items()}, made.weight
    named = {f"model.embed_tokens.{name}": part for name, part in parts.items()}
    info, read = decoded(named, method)
    assert (info.name, info.shape) == ("model.embed_tokens.weight", weight.T.shape)
    assert np.array_equal(read, weight.T)
    found = facts(named, method)
    assert found is not None
    assert (found.codes, found.scales) == (weight.size, parts["scales"].size)
    named["model.embed_tokens.g_idx"][-1] = 3
    with pytest.raises(ValueError, match="there are 3"):
        decoded(named)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_head_for_a_vocabulary_that_does_not_fill_words(bits: int) -> None:
    """The index tells how many inputs there are, and bits that small shapes leave open are the config's."""
    for rows, columns in ((77, 96), (33, 61), (3, 5)):
        parts, weight = ragged(bits, rows, columns)
        named = {f"lm_head.{name}": part for name, part in parts.items()}
        info, read = decoded(named, {"quant_method": "gptq", "bits": bits})
        assert (info.name, info.shape) == ("lm_head.weight", (rows, columns))
        assert np.array_equal(read, weight)
        found = facts(named, {"quant_method": "gptq", "bits": bits})
        assert found is not None
        assert found.codes == weight.size


def test_columns_of_groups_that_are_not_there() -> None:
    made = Made(4)
    for bad in (3, -1):
        made.parts["p.g_idx"][5] = bad
        with pytest.raises(ValueError, match="there are 3"):
            decoded(made.parts)
