"""Equal matrices have equal digests, however they are cut and padded, and others have others."""

from __future__ import annotations

import sys

import pytest
import torch
from blake3 import blake3

from tests.spectral.planted import DTYPES
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from weightaudit.arrays import as_array
from weightaudit.records import Part, Rows
from weightaudit.spectral import digest


def matrix(dtype: str = "f32", m: int = 150, n: int = 90) -> torch.Tensor:
    return torch.randn(m, n, generator=torch.Generator().manual_seed(0)).to(DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_hashed(dtype: str, turned: bool) -> None:
    """Shape, dtype and direction in one line, then the bytes of W or Wᵀ."""
    W = matrix(dtype)
    stored = W.t().contiguous().t() if turned else W
    raw = (W.t() if turned else W).contiguous().view(torch.int16).numpy().tobytes()
    head = f"150 90 {W.dtype} {'columns' if turned else 'rows'}\n".encode()
    assert digest([stored]) == blake3(head + raw).hexdigest()


@pytest.mark.parametrize(
    ("dtype", "shape", "turned"),
    covering(
        [*DTYPES],
        [(150, 90), (90, 3000), (3000, 90), (1, 70), (70, 1), (1, 1), (4, 90_000), (90_000, 4)],
        [False, True],
        together=1,
    ),
)
def test_views_copies_and_blocks(dtype: str, shape: tuple[int, int], turned: bool) -> None:
    W = matrix(dtype, *shape)
    wide = torch.zeros(W.shape[0] + 9, W.shape[1] + 9, dtype=W.dtype)
    tall = torch.zeros(W.shape[1] + 9, W.shape[0] + 9, dtype=W.dtype)
    wide[4:-5, 3:-6] = W
    tall[3:-6, 4:-5] = W.t()
    padded = tall[3:-6, 4:-5].t() if turned else wide[4:-5, 3:-6]
    whole = W.t().contiguous().t() if turned else W
    expected = digest([whole])
    assert digest([padded]) == expected
    for first in {1, shape[0] // 2, shape[0] - 1} - {0, shape[0]}:
        for source in (whole, padded):
            slices = [source[:first], source[first:]]
            copies = [part.t().contiguous().t() if turned else part.clone() for part in slices]
            assert digest(slices) == expected
            assert digest(copies) == expected


def test_a_slice_of_a_fused_tensor_equals_a_tensor_of_its_own() -> None:
    W = matrix(m=150)
    for transposed in (False, True):
        file = W.t().contiguous() if transposed else W
        part = Part("qkv", transposed, Rows(50, 50)).cut(as_array(file))
        alone = W[50:100].t().contiguous().t() if transposed else W[50:100].clone()
        assert digest([part]) == digest([alone])
    heads = W.reshape(5, 3, 10, 90)[:, 1].reshape(50, 90)
    assert digest([Part("qkv", False, Rows(10, 10, 5, 30)).cut(as_array(W))]) == digest([heads])


def test_other_matrices_have_other_digests() -> None:
    """Shape, dtype, order, a single bit, and the direction in which they are stored."""
    W = matrix()
    bit = W.clone()
    bit.view(torch.int32)[149, 89] ^= 1
    minus, zero = torch.zeros(3, 4), torch.zeros(3, 4)
    minus[1, 1] = -0.0
    others = [
        *(W, bit, W.flip(0), W.reshape(90, 150), W[:149], W[:, :89], W.view(torch.bfloat16), W.double()),
        *(W.t().contiguous().t(), minus, zero, zero.half(), zero.bfloat16(), zero.reshape(4, 3), zero[:0], zero[:, :0]),
    ]
    assert len({digest([other]) for other in others}) == len(others)


def test_nan_equals_itself_and_no_other() -> None:
    W = matrix()
    W[3, 4] = torch.nan
    other = W.clone()
    assert digest([W]) == digest([other]) == digest([VIEWS["padded columns"](W)])
    other.view(torch.int32)[3, 4] += 1
    assert other.isnan().sum() == 1
    assert digest([W]) != digest([other])


def test_a_matrix_that_lies_along_neither_side_is_hashed_by_rows() -> None:
    W = matrix()
    assert digest([VIEWS["scattered"](W)]) == digest([W])
    assert digest([W[:50], W[50:].t().contiguous().t()]) == digest([W])


def test_empty_blocks_and_parameters() -> None:
    W = matrix()
    assert digest([W[:0], W, W[:0]]) == digest([torch.nn.Parameter(W)]) == digest([W])


@pytest.mark.skipif(sys.byteorder == "big", reason="of the bytes as they are stored")
def test_the_digest_is_the_same_in_every_process_and_version() -> None:
    """Reports keep it: a change here makes those of two versions incomparable, and belongs into the changelog."""
    assert (
        digest([torch.arange(12.0).reshape(3, 4)]) == "c1016edc9b590a260af0b2e9ac70d21a5e7b26e82c8552a2e4ee25a1b48798f3"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", [False, True])
def test_torch_and_so_its_threads_copy_nothing(monkeypatch: pytest.MonkeyPatch, dtype: str, turned: bool) -> None:
    """They would be woken for each panel, and wait for the next: the waiting took far longer than the hash."""

    def padded(block: torch.Tensor) -> torch.Tensor:
        return VIEWS["padded columns"](block.t()).t() if turned else VIEWS["padded columns"](block)

    whole, blocks = padded(matrix(dtype)), [padded(block) for block in matrix(dtype).split(50)]
    expected = digest([matrix(dtype).t().contiguous().t() if turned else matrix(dtype)])
    for name in ("contiguous", "clone", "copy_"):
        monkeypatch.setattr(torch.Tensor, name, None)
    monkeypatch.setattr(torch, "cat", None)
    assert digest([whole]) == digest(blocks) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", [False, True])
def test_arrays_have_the_digests_of_tensors(dtype: str, turned: bool) -> None:
    W = matrix(dtype)
    array = as_array(W.t() if turned else W)
    expected = digest([W.t() if turned else W])
    assert digest([array]) == digest([array[:50], array[50:]]) == expected
    array.flags.writeable = False
    assert digest([array]) == expected
    assert digest([array[::-1]]) == digest([(W.t() if turned else W).flip(0)])
