"""AWQ: entries, in the versions that are read; the others are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.quantised.reading import decoded, facts, logical, stored
from tests.support.packing import packed, scaled
from weightaudit.arrays import Array
from weightaudit.checkpoint.codecs import Stored, logical_tensors

OUT, IN = 40, 128
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
METHOD: Mapping[str, Any] = {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}


def drawn(size: int) -> tuple[Array, Array, Array, Array]:
    """(codes (out, in), scales and zeros (out, groups), the entries that they mean)."""
    draw = np.random.default_rng(0)
    groups = -(-IN // size)
    codes, zeros = (draw.integers(0, 16, (OUT, n), np.uint8) for n in (IN, groups))
    scales = draw.uniform(0.001, 0.1, (OUT, groups)).astype(np.float16)
    return codes, scales, zeros, scaled(codes, scales, zeros, np.arange(IN) // size)


def by_order(codes: Array) -> Array:
    """(n, out/8) words of (n, out) codes: field k is column 8j + ORDER[k]."""
    return packed(np.ascontiguousarray(codes.reshape(len(codes), -1, 8)[:, :, ORDER].reshape(codes.shape)), 4)


def gemm(size: int = 64) -> tuple[dict[str, Array], Array]:
    codes, scales, zeros, weight = drawn(size)
    parts = {
        "p.qweight": by_order(np.ascontiguousarray(codes.T)),
        "p.qzeros": by_order(np.ascontiguousarray(zeros.T)),
        "p.scales": np.ascontiguousarray(scales.T),
    }
    return parts, weight


def gemv(size: int, width: int) -> tuple[dict[str, Array], Array]:
    """``width`` words of zero points a row, and eight times as many scales: more than there are groups."""
    codes, scales, zeros, weight = drawn(size)
    more = [(0, 0), (0, 8 * width - scales.shape[1])]
    parts = {
        "p.qweight": packed(codes, 4),
        "p.qzeros": packed(np.pad(zeros, more), 4),
        "p.scales": np.pad(scales, more),
    }
    return parts, weight


def fast(size: int, rows: int) -> tuple[dict[str, Array], Array]:
    """``rows`` of scales and offsets; four rows of the matrix in each row of words, sixteen words of each in turn."""
    codes, scales, zeros, _ = drawn(size)
    words = np.zeros((OUT // 4, IN), np.uint16)
    for row, column in np.ndindex(OUT, IN):
        d, g, c = column % 32 // 8, column % 8 // 2, column % 2
        at = column // 32 * 32 + 8 * g + 4 * c + d  # place of the column in its row
        word = at // 64 * 64 + row % 4 * 16 + at % 64 // 4
        words[row // 4, word] |= int(codes[row, column]) << 4 * (at % 4)
    offsets = (-scales.astype(np.float32) * zeros).astype(np.float16)
    index = np.arange(IN) // size
    weight = scales[:, index].astype(np.float32) * codes + offsets[:, index].astype(np.float32)
    more = [(0, rows - scales.shape[1]), (0, 0)]
    parts = {"p.qweight": words.view(np.int16), "p.qzeros": np.pad(offsets.T, more), "p.scales": np.pad(scales.T, more)}
    return parts, weight


FAST: Mapping[str, Any] = {**METHOD, "version": "gemv_fast"}


@pytest.mark.parametrize(("size", "rows"), [(32, 32), (64, 16), (IN, 8)])
@pytest.mark.parametrize("zeros", ["qzeros", "scaled_zeros"])
def test_gemv_fast(size: int, rows: int, zeros: str) -> None:
    """Whatever the config says of the version; llm-awq calls the offsets otherwise."""
    parts, weight = fast(size, rows)
    parts[f"p.{zeros}"] = parts.pop("p.qzeros")
    for method in ({**FAST, "group_size": size}, {"w_bit": 4, "q_group_size": -1 if size == IN else size}, {}):
        info, read = decoded(parts, method)
        assert (info.shape, info.encoding.codec) == ((OUT, IN), "awq")
        assert np.array_equal(read, weight)
    found, counts = facts(parts, {**FAST, "group_size": size}), np.bincount(drawn(size)[0].reshape(-1), minlength=16)
    assert found is not None
    assert (found.codes, found.extreme, found.scales) == (OUT * IN, counts[0] + counts[15], OUT * IN // size)
    assert found.zero_scales == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"p.qweight": np.zeros((OUT // 4, IN - 32), np.int16)},
        {"p.qweight": np.zeros((0, IN), np.int16)},
        {"p.qzeros": np.ones((8, OUT), np.float16)},
        {"p.scales": np.ones((16, OUT), np.uint8)},
        {"p.scales": np.ones(OUT, np.float16)},
    ],
)
def test_parts_of_gemv_fast_that_do_not_fit(changed: dict[str, Array]) -> None:
    assert "do not fit each other" in logical({**fast(64, 16)[0], **changed}, FAST).why_unread


@pytest.mark.parametrize("size", [48, 1, IN, 1 << 62])
def test_groups_that_gemv_fast_would_have_other_scales_for(size: int) -> None:
    why = logical(fast(64, 16)[0], {**FAST, "group_size": size}).why_unread
    assert why == "quantised: AWQ, 4 bits, (16, 40) scales do not fit the config's group size"


@pytest.mark.parametrize("size", [32, 64, IN])
@pytest.mark.parametrize("method", [METHOD, {}])
def test_gemm(size: int, method: Mapping[str, Any]) -> None:
    """Codes and zero points in the order of the words; groups that the config has wrong are those of the shapes."""
    parts, weight = gemm(size)
    info, read = decoded(parts, method)
    assert (info.name, info.shape) == ("p.weight", (OUT, IN))
    assert np.array_equal(read, weight)
    scheme = info.encoding.scheme
    assert scheme is not None
    assert scheme.label == f"AWQ, 4 bits, {'a scale per row' if size == IN else f'group {size}'}"
    assert scheme.symmetric is (False if method else None)


@pytest.mark.parametrize(("size", "width"), [(32, 4), (64, 2), (128, 1)])
def test_gemv_has_more_scales_than_groups(size: int, width: int) -> None:
    parts, weight = gemv(size, width)
    info, read = decoded(parts, {**METHOD, "version": "gemv", "group_size": size})
    assert info.shape == (OUT, IN)
    assert np.array_equal(read, weight)
    found = facts(parts, {**METHOD, "version": "gemv", "group_size": size})
    assert found is not None
    assert (found.scales, found.zero_scales) == (OUT * IN // size, 0)


def test_facts() -> None:
    parts, _ = gemm()
    counts = np.bincount(drawn(64)[0].reshape(-1), minlength=16)
    found = facts(parts)
    assert found is not None
    assert (found.codes, found.extreme, found.unused) == (OUT * IN, counts[0] + counts[15], 0)
    assert (found.scales, found.wrapped) == (OUT * IN // 64, None)


def test_gptq_is_something_else() -> None:
    """By a map of columns, or by as many columns of scales as of words."""
    parts = {**gemm()[0], "p.g_idx": np.zeros(IN, np.int32)}
    assert all(one.encoding.codec != "awq" for one in logical_tensors(Stored(stored(parts))))
    parts = {"p.qweight": np.zeros((16, 64), np.int32), "p.qzeros": np.zeros((1, 8), np.int32)}
    assert logical({**parts, "p.scales": np.ones((1, 64), np.float16)}).encoding.codec == "gptq"


def test_a_version_that_is_not_read_is_named() -> None:
    info = logical(gemm()[0], {**METHOD, "version": "MARLIN"})
    assert info.why_unread == "quantised: AWQ, 4 bits, the version marlin is not read here"


@pytest.mark.parametrize("version", ["gemv_fast", "llm-awq"])
def test_parts_decide_which_version_it_is(version: str) -> None:
    """llm-awq's first files were what is called gemm now."""
    parts, weight = gemm()
    assert np.array_equal(decoded(parts, {**METHOD, "version": version})[1], weight)


def test_parts_that_do_not_fit_are_said() -> None:
    for changed in (
        {"p.scales": np.ones((2, OUT - 8), np.float16)},
        {"p.scales": np.ones((2, OUT), np.int32)},
        {"p.qzeros": np.zeros((3, OUT // 8), np.int32)},
        {"p.qweight": np.zeros((0, OUT // 8), np.int32)},
    ):
        assert "do not fit each other" in logical({**gemm()[0], **changed}, METHOD).why_unread
    info = logical(gemv(32, 4)[0], {**METHOD, "version": "gemv", "group_size": 1})
    assert "group size" in info.why_unread
