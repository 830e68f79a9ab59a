"""A matrix in blocks is the matrix in one piece to the last bit, where the memory of both runs the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.spectral.engines import ENGINES, by
from tests.spectral.planted import DTYPES, planted, truth
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from weightaudit.arrays import as_array
from weightaudit.config import Method
from weightaudit.records import Part, Rows
from weightaudit.spectral import compute_threads, fused, measure
from weightaudit.spectral.block_matrix import CPU_PANEL, BlockMatrix, merged
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.operators.dense import gram_side

SPLITS = {"in fours": [48, 100], "anywhere": [50, 103], "tiny": [1, 2, 3, 5, 6, 7, 149], "last": [149]}
STORED = {"linear": lambda W: W.clone(), "conv1d": VIEWS["transposed storage"]}


def matrix(dtype: str, m: int, n: int) -> torch.Tensor:
    """(m, n) with a spectrum that takes some passes, its rows of very different lengths."""
    W = torch.tensor(planted(m, n, "heavy-tailed")) * torch.logspace(-2, 2, m, dtype=torch.float64)[:, None]
    return W.to(DTYPES[dtype])


@pytest.mark.parametrize(
    ("who", "method", "stored", "split", "dtype", "n"),
    covering(ENGINES, ["exact", "krylov"], [*STORED], [*SPLITS], [*DTYPES], [90, 310], together=1),
)
def test_blocks_and_one_piece(who: str, method: Method, stored: str, split: str, dtype: str, n: int) -> None:
    W = matrix(dtype, 150, n)
    blocks = [STORED[stored](block) for block in torch.tensor_split(W, SPLITS[split])]
    assert len(merged(blocks)) == len(blocks)
    with by(who):
        whole = measure(STORED[stored](W), method=method, spectrum=True)
        assert measure(blocks, method=method, spectrum=True) == whole


@pytest.mark.parametrize(
    ("view", "who", "shape"), covering([*VIEWS], ENGINES, [(150, 90), (150, 3000), (3000, 150)], together=1)
)
def test_blocks_and_one_piece_in_every_layout(view: str, who: str, shape: tuple[int, int]) -> None:
    """The long ones take several panels, and those of 3000×150 end within blocks."""
    assert CPU_PANEL // 3000 < 50
    W = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * torch.logspace(-1, 1, shape[0])[:, None]
    blocks = [VIEWS[view](block) for block in torch.tensor_split(W, [50, 103])]
    with by(who):
        assert measure(blocks, method="krylov", tol=0.1) == measure(VIEWS[view](W), method="krylov", tol=0.1)
        assert measure(blocks, method="exact") == measure(VIEWS[view](W), method="exact")


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("stored", "threads"), covering([*STORED], [3, 1, 2]))
def test_blocks_and_one_piece_over_threads(stored: str, threads: int) -> None:
    W = torch.randn(201, 190, generator=torch.Generator().manual_seed(0))
    assert fused.piece_count(*W.shape) > 3
    blocks = [STORED[stored](block) for block in W.split([62, 78, 61])]
    with compute_threads(threads):
        whole = measure(STORED[stored](W), method="krylov", tol=0.1)
        assert measure(blocks, method="krylov", tol=0.1) == whole


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_blocks_and_one_piece_beyond_the_range_of_squares(stored: str, scale: float) -> None:
    W = matrix("f64", 150, 90) * scale
    blocks = [STORED[stored](block) for block in torch.tensor_split(W, [50, 103])]
    assert measure(blocks, method="krylov") == measure(STORED[stored](W), method="krylov")


@pytest.mark.parametrize("stored", STORED)
def test_heads_that_take_turns_and_their_twins(stored: str) -> None:
    """Q, K, V of each head in one tensor, as GPT-NeoX packs them, and in three."""
    heads, size = 5, 6
    packed = matrix("f32", 3 * heads * size, 70)
    runs = packed.reshape(heads, 3, size, 70)
    file = packed if stored == "linear" else packed.t().contiguous()
    for i in range(3):
        part = Part("qkv", stored == "conv1d", Rows(i * size, size, heads, 3 * size))
        twin = runs[:, i].reshape(heads * size, 70).clone()
        assert measure(part.cut(as_array(file)), method="krylov") == measure(twin, method="krylov")


def test_only_blocks_stored_transposed_are_copied_and_in_their_own_dtype() -> None:
    W = matrix("bf16", 150, 90)
    along_rows = block_matrix([block.clone() for block in W.split([48, 52, 50])])
    for run, block in zip(fused.shared_rows([along_rows], True).pieces[0], along_rows.blocks, strict=True):
        assert run.weights[0] == block.ctypes.data
    turned = block_matrix([STORED["conv1d"](block) for block in W.split([48, 52, 50])])
    assert gram_side(turned) == (False, True)
    (run,) = fused.shared_rows([turned], False).pieces[0]
    (flat,) = run.flats
    assert flat.dtype == np.uint16
    assert np.array_equal(flat, W.t().contiguous().view(torch.int16).numpy().view(np.uint16).reshape(-1))


def test_a_block_that_lies_unlike_the_others_is_copied_and_gives_their_bits() -> None:
    W = matrix("f32", 150, 90)
    for other in ("transposed storage", "scattered"):
        blocks = [W[:50].clone(), VIEWS[other](W[50:103]), W[103:].clone()]
        assert gram_side(block_matrix(blocks)) == (True, True)
        assert measure(blocks, method="krylov") == measure(W, method="krylov")


@pytest.mark.parametrize(("dtype", "shape"), covering([*DTYPES], [(150, 90), (90, 150), (300, 300)], together=1))
def test_the_other_storage_direction_gives_the_same_matrix_another_interval(dtype: str, shape: tuple[int, int]) -> None:
    W = matrix(dtype, *shape)
    linear, conv1d = ([STORED[stored](block) for block in W.split(shape[0] // 3)] for stored in STORED)
    sigma, frobenius = truth(W)
    found = [measure(blocks, method="krylov") for blocks in (linear, conv1d)]
    for s in found:
        assert s.spectral_norm <= sigma * (1 + 1e-13)
        assert sigma * (1 - 1e-13) <= s.spectral_norm_upper
        assert s.frobenius_norm == pytest.approx(frobenius, rel=1e-12)
    assert found[0].spectral_norm_upper != found[1].spectral_norm_upper
    assert found[0].entries == found[1].entries
    exact = [measure(blocks, method="exact") for blocks in (linear, conv1d)]
    for name in ("frobenius_norm", "spectral_norm", "spectral_norm_upper", "stable_rank", "stable_rank_lower"):
        assert getattr(exact[0], name) == pytest.approx(getattr(exact[1], name), rel=1e-14)


def test_rows_between_any_two_in_blocks_of_any_height() -> None:
    W = np.arange(13.0)[:, None]
    for sizes in ([13], [1, 3, 2, 7], [4, 0, 9], [1] * 13, [0, 13, 0]):
        matrix = BlockMatrix(tuple(np.split(W, np.cumsum(sizes)[:-1])))
        assert (matrix.rows, matrix.seams[-1]) == (13, 13)
        for first in range(14):
            for end in range(first + 1, 16):
                views = matrix.between(first, end)
                assert all(view.shape[0] for view in views)
                assert [float(row[0]) for view in views for row in view] == list(range(first, min(end, 13)))
                assert all(np.shares_memory(view, W) for view in views)


@pytest.mark.parametrize("pieces", [1, 3])
def test_many_blocks_are_each_cut_a_few_times(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "piece_count", lambda m, n: pieces)
    cuts = []

    class Watched(np.ndarray):
        def __getitem__(self, rows: Any) -> Any:
            cuts.append(rows)
            return self.view(np.ndarray)[rows]

    blocks = tuple(np.ones((3, 5)).view(Watched) for _ in range(200))
    rows = fused.shared_rows([BlockMatrix(blocks)], True)
    assert sum(run.rows for piece in rows.pieces for run in piece) == 600
    assert 200 <= len(cuts) <= 2 * 200
