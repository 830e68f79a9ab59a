"""However the numbers lie in memory, and whoever does the passes, the result is that of the same matrix."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.spectral.engines import ENGINES, by
from tests.spectral.planted import DTYPES, planted
from tests.spectral.views import VIEWS
from tests.support.covering import covering
from weightaudit.arrays import as_array
from weightaudit.config import Method
from weightaudit.records import Spectrum
from weightaudit.spectral import compute_threads, fused, measure
from weightaudit.spectral.block_matrix import merged
from weightaudit.spectral.inputs import block_matrix
from weightaudit.spectral.operators import dense
from weightaudit.spectral.team import ThreadTeam


def matrix(dtype: str = "f32", m: int = 150, n: int = 90) -> torch.Tensor:
    W = torch.tensor(planted(m, n, "heavy-tailed")).to(DTYPES[dtype])
    W[2, 3] = 0.0
    return W


def assert_same(a: Spectrum, b: Spectrum, rel: float = 1e-11) -> None:
    for name in ("frobenius_norm", "spectral_norm", "stable_rank", "norm_ratio", "max_abs"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=rel)
    # The gap to the upper end is found to 1e-3 of itself.
    gap = b.spectral_norm_upper - b.spectral_norm
    assert a.spectral_norm_upper == pytest.approx(b.spectral_norm_upper, rel=rel, abs=2e-3 * gap)
    assert (a.passes, a.zeros, a.nonfinite, a.converged) == (b.passes, b.zeros, b.nonfinite, b.converged)


@pytest.mark.parametrize(
    ("view", "dtype", "shape", "method"),
    covering([*VIEWS], [*DTYPES], [(150, 90), (90, 150)], ["exact", "krylov"], together=1),
)
def test_engines_agree(view: str, dtype: str, shape: tuple[int, int], method: Method) -> None:
    W = VIEWS[view](matrix(dtype, *shape))
    by_kernel = measure(W, method=method)
    for who in ENGINES[1:]:
        with by(who):
            assert_same(by_kernel, measure(W, method=method))


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_the_matrix_it_shows(view: str) -> None:
    W = matrix()
    shown, plain = measure(VIEWS[view](W), method="krylov"), measure(W, method="krylov")
    assert shown.frobenius_norm == pytest.approx(plain.frobenius_norm, rel=1e-12)
    assert (shown.zeros, shown.max_abs) == (plain.zeros, plain.max_abs)
    # Another side of the matrix may carry the start, so only the intervals must meet.
    assert max(shown.spectral_norm, plain.spectral_norm) <= min(shown.spectral_norm_upper, plain.spectral_norm_upper)


@pytest.mark.parametrize("stored", ["linear", "conv1d"])
def test_slices_of_a_fused_tensor_are_joined_again(stored: str) -> None:
    W = matrix("f32", 150, 60)
    if stored == "conv1d":
        W = W.t().contiguous().t()
    parts = [W[:50], W[50:90], W[90:]]
    (joined,) = merged([as_array(part) for part in parts])
    assert joined.ctypes.data == W.data_ptr()
    assert np.array_equal(joined, W.numpy())
    assert measure(parts, method="krylov") == measure(W, method="krylov")


def test_blocks_out_of_order_or_with_a_gap_are_not_joined() -> None:
    W = matrix("f32", 150, 60)
    for parts in ([W[50:90], W[:50]], [W[:50], W[51:90]], [W[:50], W[50:90].clone()], [W[:50], W[50:90:2]]):
        blocks = [as_array(part) for part in parts]
        assert np.array_equal(np.concatenate(merged(blocks)), torch.cat(parts).numpy())
        assert len(merged(blocks)) == 2


def test_neighbours_in_memory_that_has_two_owners_are_not_joined() -> None:
    memory = memoryview(matrix("f64", 20, 6).numpy().tobytes())
    upper, lower = (np.frombuffer(part).reshape(10, 6) for part in (memory[:480], memory[480:]))
    assert lower.ctypes.data == upper.ctypes.data + upper.nbytes
    assert len(merged([upper, lower])) == 2


def test_empty_blocks_are_left_out() -> None:
    W = matrix()
    assert measure([W[:0], W, W[:0]]) == measure(W)


@pytest.mark.parametrize("shape", [(20, 400), (400, 20)])
def test_very_long_rows_go_by_the_smaller_side(shape: tuple[int, int]) -> None:
    W = matrix("f32", *shape)
    row_major, along = dense.gram_side(block_matrix(W))
    assert row_major == (shape[0] > shape[1])
    assert along == (shape[0] > shape[1])
    sigma = float(torch.linalg.svdvals(W.double())[0])
    s = measure(W, method="krylov")
    assert s.spectral_norm <= sigma <= s.spectral_norm_upper


@pytest.mark.parametrize(
    "as_numpy",
    [
        lambda a: a,
        lambda a: a.astype(">f4"),
        lambda a: np.asfortranarray(a),
        lambda a: np.ascontiguousarray(a[::-1])[::-1],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    ],
    ids=["native", "big-endian", "Fortran order", "negative stride", "strided"],
)
def test_numpy_arrays(as_numpy: Callable[[np.ndarray], np.ndarray]) -> None:
    W = matrix()
    array = as_numpy(W.numpy())
    s, plain = measure(array, method="exact"), measure(W, method="exact")
    assert s.spectral_norm == pytest.approx(plain.spectral_norm, rel=1e-11)
    assert (s.zeros, s.max_abs) == (plain.zeros, plain.max_abs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_is_the_tensor_of_its_memory(dtype: str) -> None:
    W = matrix(dtype)
    assert measure(as_array(W), spectrum=True) == measure(W, spectrum=True)


@pytest.mark.filterwarnings("error")
def test_read_only_numpy_array() -> None:
    array = matrix().numpy()
    array.flags.writeable = False
    assert measure(array) == measure(matrix())


@pytest.mark.parametrize("method", ["exact", "krylov"])
@pytest.mark.parametrize("who", ENGINES)
def test_the_input_is_left_alone(who: str, method: Method) -> None:
    for W in (matrix("f64") * 1e300, matrix("f32")):
        W[0, 0] = torch.inf
        before = W.clone()
        with by(who):
            measure(W, method=method)
            W[0, 0] = before[0, 0] = 1.0
            measure(W, method=method)
        assert torch.equal(W, before)


def test_parameters_that_require_gradients() -> None:
    W = torch.nn.Parameter(matrix())
    assert measure(W) == measure(matrix())
    assert W.grad is None


def test_float16_and_bfloat16_are_widened_exactly() -> None:
    """Every finite number of both types, through the kernel: y = a·(a·e₀) = a where a₀ = 1."""
    for dtype in (torch.float16, torch.bfloat16):
        numbers = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
        numbers = numbers[numbers.isfinite()].clone()
        numbers[0] = 1.0
        gram = fused.FusedGram(fused.shared_rows([block_matrix(numbers[None, :])], True), 1.0, ThreadTeam(0))
        start = np.zeros((numbers.numel(), 1))
        start[0] = 1.0
        assert np.array_equal(gram(start)[:, 0], numbers.double().numpy())


@pytest.mark.parametrize("columns", [1, 3, 4, 6])
def test_every_row_and_column_count_of_the_kernel(columns: int) -> None:
    for rows in range(10):
        A = torch.randn(rows + 1, 13, generator=torch.Generator().manual_seed(rows))[1:]
        X = torch.randn(13, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(columns))
        Y = fused.FusedGram(fused.shared_rows([block_matrix(A)], True), 0.5, ThreadTeam(0))(X.numpy())
        expected = 0.25 * A.double().t() @ (A.double() @ X)
        np.testing.assert_allclose(Y, expected.numpy(), rtol=1e-13, atol=1e-13)


def large(seed: int = 0, dtype: str = "f32", shape: tuple[int, int] = (1600, 900)) -> torch.Tensor:
    """Of several pieces."""
    W = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[dtype])
    assert fused.piece_count(*W.shape) > 1
    return W


SMALL = 260, 90


SOME = [0, 1, 2, 4, 8, 16, 24, 32, 63]
"""Bytes, in all the ways in which an address is a multiple of anything."""


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("dtype", "method"), [*((dtype, "krylov") for dtype in DTYPES), ("f32", "exact")])
def test_the_same_bytes_of_small_pieces_however_many_threads(dtype: str, method: Method) -> None:
    W, found = large(dtype=dtype, shape=SMALL), []
    assert fused.piece_count(*W.shape) == 8
    for threads in (1, 2, 3, 8):
        with compute_threads(threads), threadpool_limits(threads, user_api="blas"):
            found.append(measure(W, method=method, tol=0.3))
    assert found == found[:1] * 4


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "method"), [*((dtype, "krylov") for dtype in DTYPES), ("f32", "exact")])
def test_the_same_bytes_however_many_threads(dtype: str, method: Method) -> None:
    W, found = large(dtype=dtype), []
    for threads in (1, 2, 3, 8):
        with compute_threads(threads), threadpool_limits(threads, user_api="blas"):
            found.append(measure(W, method=method, tol=0.1, spectrum=True))
    assert found == found[:1] * 4


@pytest.mark.parametrize("shape", [SMALL, pytest.param((1600, 900), marks=pytest.mark.slow)])
def test_the_same_bytes_beside_other_measurements(shape: tuple[int, int], request: pytest.FixtureRequest) -> None:
    """In threads of a team, of others, and in pieces that a team shares."""
    if shape == SMALL:
        request.getfixturevalue("small_pieces")
    matrices = [large(seed, shape=shape) for seed in range(3)] + [matrix(), matrix("f64", 300, 200)]
    alone = [measure(W, tol=0.3, spectrum=True) for W in matrices]
    with ThreadTeam(2) as team, ThreadPoolExecutor(2) as others:

        def beside(W: torch.Tensor) -> Spectrum:
            return measure(W, tol=0.3, spectrum=True, team=team)

        tasks = [others.submit(beside, W) for W in matrices] + [team.submit(partial(beside, W)) for W in matrices]
        assert [beside(W) for W in matrices] == alone
        assert [task.result() for task in tasks] == alone * 2


@pytest.mark.parametrize(
    ("dtype", "who", "offsets"),
    [
        *(("f64", "panels", SOME), ("bf16", "kernel", SOME)),
        pytest.param("f32", "kernel", SOME, marks=pytest.mark.slow),
        *(pytest.param(dtype, who, [*range(64)], marks=pytest.mark.slow) for dtype in DTYPES for who in ENGINES[:2]),
    ],
)
def test_the_same_bytes_wherever_the_numbers_lie(dtype: str, who: str, offsets: list[int]) -> None:
    """Also where no number of that type should begin; what the engine itself makes lies elsewhere each time."""
    W = as_array(matrix(dtype, 203, 151))
    memory, kept, found = np.empty(W.nbytes + 64, np.uint8), [], []
    with by(who):
        for offset in offsets:
            here = memory[offset : offset + W.nbytes].view(W.dtype).reshape(W.shape)
            here[...] = W
            found.append(measure(here, method="krylov", tol=0.1, spectrum=True))
            kept.append(np.empty(17 * offset + 1, np.uint8))
    assert found == found[:1] * len(offsets)
    assert measure(W, method="exact") == measure(here, method="exact")


@pytest.mark.parametrize(
    ("count", "splits"),
    covering([1, 2, 3, 7, 26], [[], [40], [1, 2, 3, 5, 9], [4, 50, 51, 52, 53, 99, 102]], together=1),
)
def test_pieces_are_all_rows_in_groups_of_four(splits: list[int], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "piece_count", lambda m, n: count)
    A = np.arange(103 * 5, dtype=np.float32).reshape(103, 5)
    rows = fused.shared_rows([block_matrix([block.copy() for block in np.split(A, splits)])], True)
    assert (rows.m, rows.n, len(rows.pieces)) == (103, 5, count)
    runs = [run for piece in rows.pieces for run in piece]
    assert [run.first for run in runs] == list(np.cumsum([0, *(run.rows for run in runs)])[:-1])
    assert all(run.first % 4 == 0 for run in runs)
    seen = [run.flats[0][i * (run.weights[1] or 0) :][:5] for run in runs for i in range(run.rows)]
    assert np.array_equal(np.stack(seen), A)
    assert max(sum(run.rows for run in piece) for piece in rows.pieces) <= 4 * -(-26 // count)


@pytest.mark.parametrize(("spectrum", "who"), covering(["flat", "two close", "rank one"], ENGINES, together=1))
def test_every_engine_holds_the_truth(spectrum: str, who: str) -> None:
    W = torch.tensor(planted(150, 90, spectrum))
    with by(who):
        s = measure(W, method="krylov")
    assert s.spectral_norm <= 1.0 + 1e-14
    assert s.spectral_norm_upper >= 1.0 - 1e-14
    assert s.converged
