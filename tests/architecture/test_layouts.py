"""Packings are index arithmetic: here against slices written out by hand."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from weightaudit.architecture.layouts import PACKINGS, contiguous, join
from weightaudit.arrays import Array
from weightaudit.records import Part, Rows


def test_contiguous_takes_consecutive_rows_of_each_size() -> None:
    layout = contiguous(("Q", "K", "V"), (6, 2, 2), {})
    W = np.arange(30).reshape(10, 3)
    assert {role: [Part("w", rows=r).cut(W).tolist() for r in rows] for role, rows in layout.items()} == {
        "Q": [W[:6].tolist()],
        "K": [W[6:8].tolist()],
        "V": [W[8:].tolist()],
    }


def test_a_transposed_part_is_cut_after_its_turn() -> None:
    stored = np.arange(12).reshape(2, 6)  # (in, out)
    assert np.array_equal(Part("w", True, Rows(2, 2)).cut(stored), stored[:, 2:4].T)


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([Rows(0, 2), Rows(2, 2), Rows(4, 6)], [None]),
        ([Rows(0, 2), Rows(2, 2)], [Rows(0, 4)]),
        ([Rows(2, 2), Rows(0, 2)], [Rows(2, 2), Rows(0, 2)]),
        ([Rows(0, 2), Rows(4, 6)], [Rows(0, 2), Rows(4, 6)]),
        ([Rows(0, 1, 2, 5), Rows(1, 1, 2, 5)], [Rows(0, 1, 2, 5), Rows(1, 1, 2, 5)]),
        ([None], [None]),
    ],
)
def test_join_keeps_the_rows_and_their_order(parts: list[Rows | None], joined: list[Rows | None]) -> None:
    result = join([Part("w", rows=rows) for rows in parts], {"w": 10})
    assert [part.rows for part in result] == joined
    W = np.arange(10).reshape(10, 1)
    before = np.concatenate([Part("w", rows=rows).cut(W) for rows in parts])
    assert np.array_equal(np.concatenate([part.cut(W) for part in result]), before)


def test_join_leaves_different_tensors_apart() -> None:
    parts = [Part("a", rows=Rows(0, 2)), Part("b", rows=Rows(2, 2)), Part("b", True, Rows(4, 1))]
    assert join(parts, {"a": 4, "b": 5}) == tuple(parts)


HEADS, GROUPS, DIM, IN = 6, 2, 4, 5
NUMBERS = {"heads": HEADS, "kv_heads": GROUPS}


def split(packing: str, roles: tuple[str, ...], rows: list[int], W: Array) -> list[Array]:
    layout = PACKINGS[packing](roles, rows, NUMBERS)
    assert {role: sum(part.total for part in parts) for role, parts in layout.items()} == dict(
        zip(roles, rows, strict=True)
    )
    return [np.concatenate([Part("w", rows=part).cut(W) for part in layout[role]]) for role in roles]


def fused(rows: int) -> Array:
    return np.arange(rows * IN, dtype=np.float64).reshape(rows, IN)


def test_per_head_is_a_reshape_to_heads_roles_rows() -> None:
    W = fused(3 * HEADS * DIM)
    expected = W.reshape(HEADS, 3, DIM, IN).transpose(1, 0, 2, 3).reshape(3, HEADS * DIM, IN)
    found = split("per_head", ("Q", "K", "V"), [HEADS * DIM] * 3, W)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_per_head_with_parts_of_different_size() -> None:
    W = fused(HEADS * (3 + 2))
    k, v = np.split(W.reshape(HEADS, 5, IN), [3], axis=1)
    found = split("per_head", ("K", "V"), [HEADS * 3, HEADS * 2], W)
    assert np.array_equal(found[0], k.reshape(-1, IN))
    assert np.array_equal(found[1], v.reshape(-1, IN))


def test_grouped_is_a_reshape_to_groups_of_queries_and_a_pair() -> None:
    W = fused((HEADS + 2 * GROUPS) * DIM)
    groups = W.reshape(GROUPS, HEADS // GROUPS + 2, DIM, IN)
    found = split("grouped", ("Q", "K", "V"), [HEADS * DIM, GROUPS * DIM, GROUPS * DIM], W)
    assert np.array_equal(found[0], groups[:, :-2].reshape(-1, IN))
    assert np.array_equal(found[1], groups[:, -2].reshape(-1, IN))
    assert np.array_equal(found[2], groups[:, -1].reshape(-1, IN))


def test_multi_query_is_all_queries_then_a_pair() -> None:
    W = fused((HEADS + 2) * DIM)
    q, k, v = np.split(W.reshape(HEADS + 2, DIM, IN), [HEADS, HEADS + 1])
    found = split("multi_query", ("Q", "K", "V"), [HEADS * DIM, DIM, DIM], W)
    assert all(np.array_equal(a, b.reshape(-1, IN)) for a, b in zip(found, (q, k, v), strict=True))


def test_mp_num_is_a_reshape_to_four_blocks() -> None:
    W = fused(3 * 4 * 2 * DIM)  # eight heads, two in each block
    q, v, k = W.reshape(4, 3, 2 * DIM, IN).transpose(1, 0, 2, 3).reshape(3, -1, IN)
    found = split("mp_num", ("Q", "V", "K"), [8 * DIM] * 3, W)
    assert all(np.array_equal(a, b) for a, b in zip(found, (q, v, k), strict=True))


def test_alternating_takes_every_other_row() -> None:
    W = fused(14)
    found = split("alternating", ("GATE", "M1"), [7, 7], W)
    assert np.array_equal(found[0], W[0::2])
    assert np.array_equal(found[1], W[1::2])


@pytest.mark.parametrize(
    ("packing", "roles", "rows"),
    [
        ("per_head", ("Q", "K"), [7, 6]),
        ("grouped", ("Q", "K", "V"), [9, 3, 3]),
        ("multi_query", ("Q", "K", "V"), [8, 4, 4]),
        ("multi_query", ("Q", "K", "V"), [24, 4, 8]),
        ("mp_num", ("Q", "V", "K"), [6, 6, 6]),
        ("alternating", ("GATE", "M1"), [6, 8]),
    ],
)
def test_sizes_that_do_not_fit_a_layout_are_refused(packing: str, roles: tuple[str, ...], rows: list[int]) -> None:
    with pytest.raises(ValueError, match="row"):
        PACKINGS[packing](roles, rows, NUMBERS)


def test_a_layout_of_no_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="0 equal blocks"):
        PACKINGS["per_head"](("Q", "K"), [4, 4], {"heads": 0})


def test_one_expert_of_a_stack_in_either_orientation() -> None:
    stored = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    assert np.array_equal(Part("w", index=2, of=3).cut(stored), stored[2])
    assert np.array_equal(Part("w", True, index=1, of=3).cut(stored), stored[1].T)
    assert np.array_equal(Part("w", True, Rows(1, 1, 2, 2), index=1, of=3).cut(stored), stored[1].T[1::2][:2])
    together = stored.reshape(12, 5)  # DBRX: all experts' rows in two dimensions
    assert np.array_equal(Part("w", index=2, of=3).cut(together), stored[2])
    assert np.array_equal(Part("w", True, index=2, of=3).cut(together), stored[2].T)


@pytest.mark.parametrize("transposed", [False, True])
def test_runs_of_rows_are_those_rows_in_a_block_of_their_own(transposed: bool) -> None:
    stored = np.arange(30 * 7).reshape((7, 30) if transposed else (30, 7))
    matrix = stored.T if transposed else stored
    for start, size, count, stride in itertools.product((0, 1, 3), (1, 2, 4), (2, 3, 5), (4, 5)):
        cut = Part("w", transposed, Rows(start, size, count, stride)).cut(stored)
        rows = [start + j * stride + i for j in range(count) for i in range(size)]
        assert np.array_equal(cut, matrix[rows])
        assert cut.flags.c_contiguous


def test_a_million_runs_of_a_row_are_a_few_operations() -> None:
    """Gate and up alternate row by row in tensors that may have any number of rows."""
    calls: list[str] = []
    stored = np.arange(2_000_000, dtype=np.uint16).reshape(-1, 1)
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        cut = Part("w", rows=Rows(1, 1, 1_000_000, 2)).cut(stored)
    finally:
        sys.setprofile(None)
    assert np.array_equal(cut, stored[1::2])
    assert 0 < len(calls) < 1000


def test_rows_that_a_matrix_has_not_are_an_error() -> None:
    """And never what lies beside it in memory."""
    stored = np.arange(60).reshape(12, 5)[:6]
    for rows in (Rows(1, 2, 3, 2), Rows(0, 1, 2, 6), Rows(0, 7, 2, 1)):
        with pytest.raises(ValueError, match="shape"):
            Part("w", rows=rows).cut(stored)


def test_a_matrix_in_three_dimensions_is_its_first_by_the_others() -> None:
    stored = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    assert np.array_equal(Part("w").cut(stored), stored.reshape(3, 20))
    assert np.array_equal(Part("w", True).cut(stored), stored.reshape(3, 20).T)


def test_join_keeps_experts_apart() -> None:
    parts = [Part("w", rows=Rows(0, 2), index=0, of=2), Part("w", rows=Rows(2, 2), index=1, of=2)]
    assert join(parts, {"w": 4}) == tuple(parts)
    parts = [Part("w", rows=Rows(0, 2), index=1, of=2), Part("w", rows=Rows(2, 2), index=1, of=2)]
    assert join(parts, {"w": 4}) == (Part("w", index=1, of=2),)
