"""Packings are index arithmetic: here against slices written out by hand."""

from __future__ import annotations

import pytest
import torch

from weightaudit.architecture.views import contiguous, join
from weightaudit.records import Part, Rows


def test_contiguous_takes_consecutive_rows_of_each_size() -> None:
    layout = contiguous(("Q", "K", "V"), (6, 2, 2), {})
    W = torch.arange(30).reshape(10, 3)
    assert {role: [Part("w", rows=r).cut(W).tolist() for r in rows] for role, rows in layout.items()} == {
        "Q": [W[:6].tolist()],
        "K": [W[6:8].tolist()],
        "V": [W[8:].tolist()],
    }


def test_a_transposed_part_is_cut_after_its_turn() -> None:
    stored = torch.arange(12).reshape(2, 6)  # (in, out)
    assert torch.equal(Part("w", True, Rows(2, 2)).cut(stored), stored[:, 2:4].t())


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
    W = torch.arange(10).reshape(10, 1)
    before = torch.cat([Part("w", rows=rows).cut(W) for rows in parts])
    assert torch.equal(torch.cat([part.cut(W) for part in result]), before)


def test_join_leaves_different_tensors_apart() -> None:
    parts = [Part("a", rows=Rows(0, 2)), Part("b", rows=Rows(2, 2)), Part("b", True, Rows(4, 1))]
    assert join(parts, {"a": 4, "b": 5}) == tuple(parts)
