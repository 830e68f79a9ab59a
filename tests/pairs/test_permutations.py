"""Rows and columns in another order are told from matrices that only look alike."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from tests.pairs.matrices import shuffled
from weightaudit.arrays import Array
from weightaudit.pairs.permutations import Rounding, block_size, permutation_of, same_values
from weightaudit.records import EntryChanges
from weightaudit.spectral.entry_changes import entry_changes
from weightaudit.spectral.inputs import block_matrix

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16), BFLOAT16]


def matrix(m: int = 48, n: int = 36, dtype: np.dtype = FLOATS[1], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((m, n)).astype(dtype)


def found(W0: Array | list[Array], W1: Array | list[Array]) -> tuple[str, int] | None:
    return permutation_of(block_matrix(W0), block_matrix(W1), entry_changes(W0, W1))


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_columns_and_both(dtype: np.dtype) -> None:
    W = matrix(dtype=dtype)
    rows, cols = shuffled(48), shuffled(36)
    assert found(W, W[rows]) == ("rows permuted", 1)
    assert found(W, W[:, cols]) == ("columns permuted", 1)
    assert found(W, W[rows][:, cols]) == ("rows and columns permuted", 1)


@pytest.mark.parametrize("block", [2, 3, 6, 12, 24])
def test_heads_that_move_whole(block: int) -> None:
    W = matrix()
    assert found(W, W[shuffled(48, block)]) == ("rows permuted", block)
    assert found(W.T, W[shuffled(48, block)].T) == ("columns permuted", block)


def test_rows_within_heads_move_alone() -> None:
    """As where rotary embeddings take halves instead of neighbours."""
    W = matrix()
    assert found(W, W.reshape(4, 6, 2, 36).swapaxes(1, 2).reshape(48, 36)) == ("rows permuted", 1)


def test_two_rows_of_many() -> None:
    W = matrix()
    W1 = W.copy()
    W1[[3, 40]] = W[[40, 3]]
    assert found(W, W1) == ("rows permuted", 1)


def test_equal_rows_count_as_often_as_they_are_there() -> None:
    W = matrix()
    W[10:20] = W[10]
    assert found(W, W[shuffled(48)]) == ("rows permuted", 1)
    sampled = [0, 11, 23, 35]
    W[30, sampled] = W[10, sampled]  # so that no column that is looked at first tells the two apart
    once = W.copy()
    once[11] = W[30]  # the same set of rows, not as often
    assert permutation_of(block_matrix(W), block_matrix(once[shuffled(48)]), alike(W, once[shuffled(48)])) is None


def test_zeros_have_no_sign() -> None:
    W = matrix()
    W[:, ::3] = 0.0
    W1 = W[shuffled(48)]
    W1[W1 == 0.0] = -0.0
    assert found(W, W1) == ("rows permuted", 1)


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 2), (1, 3), (3, 1), (2, 1)])
def test_across_dtypes(before: int, after: int) -> None:
    """Of a wider dtype, or rounded besides; bfloat16 numbers in a float32 file too."""
    W = matrix(dtype=FLOATS[before])
    assert found(W, W[shuffled(48)].astype(FLOATS[after])) == ("rows permuted", 1)
    assert found(W, W[shuffled(48)][:, shuffled(36)].astype(FLOATS[after])) == ("rows and columns permuted", 1)


def test_any_storage() -> None:
    W, order = matrix(), shuffled(48)
    turned = np.asfortranarray(W[order])
    assert found([W[:13], W[13:40], W[40:]], turned) == ("rows permuted", 1)
    assert found(np.asfortranarray(W), [turned[:7], turned[7:]]) == ("rows permuted", 1)
    assert found([W[:13], W[13:]], [W[order][:, ::-1][:30], W[order][:, ::-1][30:]]) == ("rows and columns permuted", 1)


def test_several_panels() -> None:
    """More entries than are looked at in one piece."""
    W = matrix(700, 500, BFLOAT16)
    assert found(W, W[shuffled(700)]) == ("rows permuted", 1)
    assert found(W, W[:, shuffled(500, 50)]) == ("columns permuted", 50)
    assert found(W, W[shuffled(700)][:, shuffled(500)]) == ("rows and columns permuted", 1)


def test_a_single_row_or_column() -> None:
    W = matrix(1, 50)
    assert found(W, W[:, shuffled(50)]) == ("columns permuted", 1)
    assert found(W.T, W[:, shuffled(50)].T) == ("rows permuted", 1)


def alike(W0: Array, W1: Array) -> EntryChanges:
    """Facts as they would be, did the two agree in every sum."""
    facts = entry_changes(W0, W1)
    return replace(facts, derived_sq=facts.base_sq, floor=facts.floor_base, zeros_derived=facts.zeros_base)


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_only_looks_alike(dtype: np.dtype) -> None:
    """Each row by itself in another order; entries in any order; another matrix; one entry of a permuted one; and
    the same numbers in each row and in each column, which no permutation of both makes."""
    W, rng = matrix(dtype=dtype), np.random.default_rng(3)
    by_itself = rng.permuted(W.astype(np.float64), axis=1).astype(dtype)
    anyhow = rng.permutation(W.reshape(-1)).reshape(W.shape)
    off = W[shuffled(48)]
    off[5, 5] = off[5, 5] * dtype.type(2)
    W[:2, :2] = [[1.5, -2.5], [-2.5, 1.5]]
    switched = W.copy()
    switched[:2, :2] = W[1::-1, :2]
    switched = switched[shuffled(48)][:, shuffled(36)]
    for W1 in (by_itself, anyhow, matrix(dtype=dtype, seed=9), off, off[:, shuffled(36)], switched):
        assert permutation_of(block_matrix(W), block_matrix(W1), alike(W, W1)) is None


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_few_different_numbers_prove_no_permutation(seed: int) -> None:
    """Rows of −1, 0, 1 hold the same numbers by chance; what tells none of them from the others says nothing."""
    rng = np.random.default_rng(seed)
    for _ in range(75):
        W, W1 = (rng.integers(-1, 2, (8, 8)).astype(np.float32) for _ in range(2))
        facts = alike(W, W1)
        if facts.changed and (verdict := permutation_of(block_matrix(W), block_matrix(W1), facts)):
            assert verdict[0] != "rows and columns permuted"


def test_nothing_is_hashed_of_what_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("hashed")

    monkeypatch.setattr("weightaudit.pairs.permutations.blake3", refuse)
    monkeypatch.setattr("weightaudit.pairs.permutations._marks", refuse)
    W = matrix(64, 64)
    trained = W + np.float32(1e-3) * matrix(64, 64, seed=5)
    assert found(W, trained) is None
    assert found(W, trained.astype(BFLOAT16)) is None
    with pytest.raises(AssertionError, match="hashed"):
        found(W, W[shuffled(64)])


def test_neighbours_are_no_permutation() -> None:
    """Two numbers of a bias that rounding moved by an ulp, one up and one down, are the same two."""
    b = np.array([[1.0, 1.0078125, 0.5, 0.25]]).astype(BFLOAT16)
    assert found(b, b[:, [1, 0, 2, 3]]) is None
    facts = entry_changes(b, b[:, [3, 2, 1, 0]])
    rounding = Rounding.between(facts)
    assert rounding is not None
    assert same_values(b[0], b[0, ::-1], rounding)


def test_block_size() -> None:
    before = [bytes([i]) for i in range(12)]
    assert block_size(before, before[6:] + before[:6]) == 6
    assert block_size(before, before[4:8] + before[:4] + before[8:]) == 4
    assert block_size(before, before[::-1]) == 1
