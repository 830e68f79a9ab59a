"""Declared ties: what headers say, what only the bytes can say, and what nobody asked to read."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from weightaudit.arrays import Array
from weightaudit.audit import ties as ties_module
from weightaudit.audit.ties import classify_ties
from weightaudit.records import TensorInfo

HEAD, EMBED = "lm_head.weight", "wte.weight"
TIE = [(HEAD, EMBED)]


def _tensors(**head: object) -> dict[str, TensorInfo]:
    embed = TensorInfo(EMBED, "float32", (4, 2), "a", 0, 32)
    own = {"dtype": "float32", "shape": (4, 2), "file": "a", "offset": 32, "nbytes": 32, **head}
    return {EMBED: embed, HEAD: TensorInfo(HEAD, **own)}  # type: ignore[arg-type]


def test_two_names_for_the_same_bytes_are_tied_without_reading() -> None:
    tensors = _tensors(offset=0)
    assert classify_ties(TIE, tensors, {HEAD, EMBED}, guessed=False).confirmed == {HEAD: EMBED}
    assert classify_ties(TIE, tensors, {HEAD}, guessed=False).confirmed == {EMBED: HEAD}
    assert classify_ties(TIE, tensors, {EMBED}, guessed=False).confirmed == {HEAD: EMBED}


def test_other_shapes_are_no_tie() -> None:
    ties = classify_ties(TIE, _tensors(shape=(2, 4)), {HEAD, EMBED}, guessed=False)
    assert (ties.broken, ties.open, ties.confirmed) == (TIE, [], {})


@pytest.mark.parametrize(
    ("asked", "believed"), [(set(), {HEAD: EMBED}), ({EMBED}, {HEAD: EMBED}), ({HEAD}, {EMBED: HEAD})]
)
def test_what_is_not_asked_for_whole_is_believed(asked: set[str], believed: dict[str, str]) -> None:
    ties = classify_ties(TIE, _tensors(), asked, guessed=False)
    assert (ties.believed, ties.open) == (believed, [])
    assert classify_ties(TIE, _tensors(), asked, guessed=True).believed == {}


@pytest.mark.parametrize("equal", [True, False])
def test_open_pairs_are_settled_by_their_bytes(equal: bool) -> None:
    ties = classify_ties(TIE, _tensors(), {HEAD, EMBED}, guessed=False)
    values = np.full((4, 2), np.nan, np.float32)
    other = values.copy()
    if not equal:
        other[1, 1] = 0
    ties.compare({"unrelated": values})
    assert ties.open == TIE
    ties.compare({HEAD: values, EMBED: other})
    assert (ties.open, ties.confirmed, ties.broken) == ([], {HEAD: EMBED} if equal else {}, [] if equal else TIE)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64, np.int8, np.complex64])
@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((1, 1), (0, 0)),
        ((1, 1), (7, 3)),
        ((3, 4), (0, 0)),
        ((2, 2), (0, 1)),
        ((2, 0), (1, 5)),
        ((), ()),
        ((2, 2, 2), (4, 1, 2)),
    ],
)
def test_tensors_of_any_strides_are_compared(
    shape: tuple[int, ...], strides: tuple[int, ...], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ties_module, "CHUNK", 1)
    info = {"dtype": "float32", "shape": shape, "file": "a", "nbytes": 8}
    tensors = {name: TensorInfo(name, offset=i, **info) for i, name in enumerate((HEAD, EMBED))}  # type: ignore[arg-type]
    for value, equal in ((1, True), (2, 0 in shape)):
        ties = classify_ties(TIE, tensors, {HEAD, EMBED}, guessed=False)
        memory: tuple[Array, Array] = (np.ones(8, dtype), np.ones(8, dtype))
        head, embed = (as_strided(one, shape, [stride * one.itemsize for stride in strides]) for one in memory)
        embed = embed.copy()
        embed.reshape(-1)[-1:] = value
        ties.compare({HEAD: head, EMBED: embed})
        assert (len(ties.confirmed), len(ties.broken)) == (equal, not equal)


def test_ties_of_ties_have_one_original() -> None:
    tensors = {name: TensorInfo(name, "float32", (4, 2), "a", 32 * i, 32) for i, name in enumerate("abcd")}
    declared = [("d", "b"), ("b", "a"), ("c", "a")]
    assert classify_ties(declared, tensors, set("abcd"), guessed=False).open == [("d", "a"), ("b", "a"), ("c", "a")]
    partly = classify_ties(declared, tensors, set("cd"), guessed=False)
    assert (partly.open, partly.believed) == ([("c", "d")], {"a": "d", "b": "d"})
    tensors["b"] = TensorInfo("b", "float32", (4, 2), "a", 0, 32)  # the same bytes as a
    assert classify_ties(declared, tensors, {"b"}, guessed=False).confirmed == {"a": "b"}
    assert classify_ties(declared, tensors, set("abcd"), guessed=False).confirmed == {"b": "a"}
