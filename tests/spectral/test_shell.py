"""The validated door: what is refused, and with what words; threads; starts; method choice."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.spectral.planted import planted
from weightaudit.compiled.kernel_cache import kernel_cache
from weightaudit.config import Method
from weightaudit.cores import usable_cores
from weightaudit.errors import UsageError
from weightaudit.spectral import LowRank, compute_threads, fused, measure, native
from weightaudit.spectral.inputs import device_of_blocks
from weightaudit.spectral.measurement import choose_algorithm
from weightaudit.spectral.threads import _blas, one_blas_thread, usable_threads


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (torch.ones(3), r"matrix: its shape is \(3,\). A matrix has two dimensions"),
        (torch.ones(2, 3, 4), r"matrix: its shape is \(2, 3, 4\)"),
        (torch.ones(2, 3, dtype=torch.int32), r"matrix: its dtype is torch.int32. Convert it to float"),
        (torch.ones(2, 3, dtype=torch.complex64), "dtype is torch.complex64"),
        (torch.ones(2, 3).to(torch.float8_e4m3fn), "dtype is torch.float8_e4m3fn"),
        (torch.eye(3).to_sparse(), "layout is torch.sparse_coo. Make it dense"),
        (np.ones((2, 3), dtype=np.int64), "dtype is int64"),
        (np.ones((2, 3), dtype=np.longdouble), "dtype is"),
        (np.array([["a"]]), "dtype is <U1"),
        ([], "an empty sequence"),
        ([[1.0, 2.0]], "block 0: a list is no matrix"),
        (3.0, "matrix: a float is no matrix"),
        ("W", "matrix: a str is no matrix"),
        ([torch.ones(2, 3), torch.ones(2, 4)], r"block 1: \(2, 4\) torch.float32 cannot be stacked"),
        ([torch.ones(2, 3), torch.ones(2, 3).half()], "block 1: .* one dtype"),
    ],
)
def test_what_is_no_matrix_is_refused(given: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        measure(given)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tol": 0.0}, "tol: 0.0 is not a positive number"),
        ({"tol": -1}, "tol"),
        ({"tol": math.nan}, "tol"),
        ({"tol": math.inf}, "tol"),
        ({"tol": "0.1"}, "tol: '0.1'"),
        ({"tol": True}, "tol: True"),
        ({"delta": 0.0}, "delta: 0.0 is not between 0 and 1"),
        ({"delta": 1.0}, "delta"),
        ({"delta": math.nan}, "delta"),
        ({"method": "svd"}, "method: 'svd' is unknown. Choose one of auto, exact, krylov"),
        ({"device": "gpu"}, "device: 'gpu' is not a torch device"),
        ({"device": "meta"}, "device: 'meta' is not supported"),
        ({"device": 5}, "device"),
        ({"seed": 1.5}, "seed: 1.5 is not a whole number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        measure(torch.ones(2, 3), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_device_is_refused() -> None:
    with pytest.raises(UsageError, match="no such CUDA device"):
        measure(torch.ones(2, 3), device="cuda")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", ["exact", "krylov"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_cuda_gives_the_interval_of_the_cpu(dtype: torch.dtype, method: Method) -> None:
    W = torch.tensor(planted(300, 200, "heavy-tailed")).to(dtype)
    on_cpu, on_gpu = measure(W, method=method), measure(W, method=method, device="cuda")
    assert on_gpu.spectral_norm == pytest.approx(on_cpu.spectral_norm, rel=1e-10)
    assert on_gpu.spectral_norm_upper == pytest.approx(on_cpu.spectral_norm_upper, rel=1e-5)
    assert (on_gpu.passes, on_gpu.zeros, on_gpu.max_abs) == (on_cpu.passes, on_cpu.zeros, on_cpu.max_abs)


def test_seed_and_name_move_the_ends_and_not_the_truth() -> None:
    W = torch.randn(300, 200, generator=torch.Generator().manual_seed(0))
    sigma = float(torch.linalg.svdvals(W.double())[0])
    results = [
        measure(W, method="krylov", seed=seed, name=name) for seed, name in ((0, ""), (1, ""), (0, "M1"), (-1, "M1"))
    ]
    assert len({s.spectral_norm_upper for s in results}) == 4
    for s in results:
        assert s.spectral_norm <= sigma <= s.spectral_norm_upper


def _numpy_state() -> np.ndarray:
    state = np.random.get_state(legacy=False)
    assert isinstance(state, dict)
    return np.array(state["state"]["key"])


def test_global_random_state_is_neither_used_nor_moved() -> None:
    W = torch.randn(300, 200)
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.random.get_rng_state(), _numpy_state()
    first = measure(W, method="krylov")
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(_numpy_state(), before[1])
    torch.manual_seed(2)
    assert measure(W, method="krylov") == first


@pytest.fixture
def two_threads() -> Iterator[None]:
    """So that one thread is not what was there before."""
    with compute_threads(2):
        yield


@pytest.mark.usefixtures("two_threads")
def test_compute_threads_sets_and_restores() -> None:
    with compute_threads(1):
        assert usable_threads() == 1
        with compute_threads(None):
            assert usable_threads() == 1
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(usable_threads).result() == 1
    assert usable_threads() == 2
    with pytest.raises(ZeroDivisionError), compute_threads(3):
        _ = 1 / 0
    assert usable_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_blocks_of_two_threads_that_overlap_leave_nothing_behind() -> None:
    inside, seen = threading.Barrier(2), dict[int, int]()

    def compute(n: int, last: Future[None] | None = None) -> None:
        with compute_threads(n):
            inside.wait(30)
            seen[n] = usable_threads()
            if last:
                last.result(30)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(compute, 3)
        pool.submit(compute, 4, first).result()
        assert seen == {3: 3, 4: 4}
        assert {pool.submit(usable_threads).result() for _ in range(9)} == {2}
    assert usable_threads() == 2


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_what_the_caller_has_numpy_do_about_rounding_is_no_matter(method: Method) -> None:
    A = np.diag(np.logspace(-200, 0, 64))
    with np.errstate(all="raise"):
        assert measure(A, method=method).spectral_norm == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("variable", "threads"),
    [("3", 3), ("100000", 1024), ("0", None), ("-1", None), ("2,1", 2), (",2", None), ("many", None), (None, None)],
)
def test_threads_that_nobody_asked_for(variable: str | None, threads: int | None, monkeypatch: Any) -> None:
    monkeypatch.setattr("weightaudit.spectral.threads._here", ContextVar[int | None]("nobody", default=None))
    monkeypatch.setattr("weightaudit.spectral.threads._anywhere", [])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert usable_threads() == (threads or usable_cores())


@pytest.mark.parametrize("n", [0, -1, 1.0, True, "2", 100_000])
def test_compute_threads_refuses(n: Any) -> None:
    with pytest.raises(UsageError, match="not a whole number from 1"), compute_threads(n):
        pass


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_measure_leaves_the_thread_counts(method: Method) -> None:
    with threadpool_limits(2, user_api="blas"):
        measure(torch.randn(300, 200), method=method)
        assert blas_threads() == {2}
    assert usable_threads() == 2


@pytest.mark.parametrize(
    ("shape", "tol", "route"),
    [
        ((64, 64), 1e-2, "exact"),
        ((64, 4096), 1e-2, "exact"),
        ((1, 50_000), 1e-2, "exact"),
        ((384, 384), 1e-2, "krylov"),
        ((1536, 384), 1e-2, "krylov"),
        ((50_257, 1600), 1e-2, "krylov"),
        ((384, 384), 1e-12, "exact"),
    ],
)
def test_auto_takes_the_cheaper_route(shape: tuple[int, int], tol: float, route: str) -> None:
    assert choose_algorithm("auto", *shape, tol) == route
    assert choose_algorithm("exact", *shape, tol) == "exact"
    assert choose_algorithm("krylov", *shape, tol) == "krylov"


def test_auto_says_what_it_took() -> None:
    W = torch.randn(64, 64)
    assert measure(W).method == "exact"
    assert measure(W) == measure(W, method="exact")


def test_read_only_memory_gives_the_same_numbers() -> None:
    matrix = np.asfortranarray(np.random.default_rng(0).standard_normal((60, 150)))
    writable = measure(matrix, method="krylov")
    matrix.setflags(write=False)
    assert measure(matrix, method="krylov") == writable


def test_a_field_of_a_packed_record_is_read() -> None:
    records = np.zeros((6, 4), dtype=[("a", "u1"), ("b", "<f8")])
    records["b"] = np.arange(24.0).reshape(6, 4)
    assert measure(records["b"]) == measure(np.arange(24.0).reshape(6, 4))


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (torch.empty(3, 3, device="meta"), "no entries"),
        (np.ma.array(np.eye(3), mask=np.eye(3, dtype=bool)), "masked array"),
    ],
)
def test_what_holds_no_values_is_refused(matrix: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        measure(matrix)


@pytest.mark.parametrize("options", [{"tol": 10**400}, {"delta": 1e-200}, {"seed": 1.5}, {"tol": True}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        measure(np.eye(3), **options)


def test_numpy_scalars_and_odd_names_are_options_too() -> None:
    plain = measure(np.eye(5), method="krylov", tol=0.5, seed=3, name="\ud800")
    scalars: dict[str, Any] = {"tol": np.float32(0.5), "seed": np.int64(3)}
    assert measure(np.eye(5), method="krylov", name="\ud800", **scalars) == plain


@pytest.mark.usefixtures("two_threads")
def test_measurements_from_several_threads() -> None:
    matrices = [torch.randn(300, 200, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    alone = [measure(matrix, method="krylov") for matrix in matrices]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda matrix: measure(matrix, method="krylov"), matrices))
    assert together == alone


def blas_threads() -> set[int]:
    """Of those that were there at the first measurement, numpy's among them: others may be loaded later."""
    return {library.get_num_threads() for library in _blas()}


def test_the_blas_has_one_thread_until_the_last_measurement_ends() -> None:
    with threadpool_limits(2, user_api="blas"):
        with ThreadPoolExecutor(1) as pool:
            with one_blas_thread:
                assert blas_threads() == {1}
                pool.submit(measure, np.eye(5)).result()
                assert blas_threads() == {1}
                pool.submit(one_blas_thread.__enter__).result()
            assert blas_threads() == {1}
            pool.submit(one_blas_thread.__exit__).result()
            assert blas_threads() == {2}
            pool.submit(one_blas_thread.__enter__).result()  # the limit of this thread is of no account
            assert blas_threads() == {1}
            pool.submit(one_blas_thread.__exit__).result()
            assert blas_threads() == {2}
        with pytest.raises(UsageError):
            measure(LowRank(np.full((5, 2), 1e200), np.full((2, 4), 1e200)))  # refused when it is measured
        assert blas_threads() == {2}


WITHOUT_TORCH = """
import sys
import ml_dtypes, numpy as np
from weightaudit.spectral import Difference, LowRank, compute_threads, digest, measure
W = np.random.default_rng(0).standard_normal((60, 40))
with compute_threads(2):
    print(measure(W, method="exact"))
    for stored in (W.astype("f4"), W.astype("f2"), W.astype(ml_dtypes.bfloat16), W.T, [W[:9], W[9:]], W[:, ::2]):
        assert measure(stored, method="krylov", tol=0.5).converged
    assert measure(W, method="krylov", spectrum=True).detail
    measure(Difference(W.astype(ml_dtypes.bfloat16), W.astype("f4")), method="krylov", tol=0.5)
    measure(LowRank(W[:, :3], W[:3]), method="krylov", tol=0.5)
    digest([W])
print([name for name in ("torch", "pandas", "array_api_compat.numpy", "numba") if name in sys.modules])
"""


def test_the_cpu_computes_without_torch() -> None:
    """And by the kernels that are kept, without numba; in another process it finds the same."""
    kept = sys.platform == "linux" and kernel_cache(native.SOURCES) is not None
    for loop in ("gram_rows", "row_statistics"):
        for dtypes in (*((dtype,) for dtype in fused.READABLE), ("bfloat16", "float32")):
            native.available(loop, *dtypes)  # and so kept
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    here = measure(np.random.default_rng(0).standard_normal((60, 40)), method="exact")
    assert (done.stdout, done.stderr) == (f"{here}\n{'[]' if kept else done.stdout.splitlines()[-1]}\n", "")
    assert "torch" not in done.stdout


x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="a question of x86 processors")


@x86
@pytest.mark.parametrize(
    ("name", "features", "can"), [("x86-64", "", False), (None, "+avx,+f16c", True), ("x86-64", None, False)]
)
def test_whether_float16_is_converted_is_asked_of_the_processor_that_numba_compiles_for(
    name: str | None, features: str | None, can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (("NUMBA_CPU_NAME", name), ("NUMBA_CPU_FEATURES", features)):
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    assert fused._converts_float16() == can


def test_float16_where_no_kernel_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    W = np.random.default_rng(0).standard_normal((90, 70)).astype(np.float16)
    here = measure(W, method="krylov").spectral_norm
    monkeypatch.setattr(fused, "READABLE", fused.READABLE - {"float16"})
    monkeypatch.setattr(fused, "FusedGram", None)
    assert measure(W, method="krylov").spectral_norm == pytest.approx(here, rel=1e-9)


@x86
@pytest.mark.slow
def test_float16_on_a_processor_without_its_conversion(tmp_path: Path) -> None:
    program = (
        "import numpy as np; from weightaudit.spectral import measure\n"
        "W = np.random.default_rng(0).standard_normal((90, 70)).astype(np.float16)\n"
        "print(repr(measure(W, method='krylov').spectral_norm))"
    )
    old = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env={**os.environ, **old}, capture_output=True, text=True, check=True)
    W = np.random.default_rng(0).standard_normal((90, 70)).astype(np.float16)
    here = measure(W, method="krylov").spectral_norm
    assert here == pytest.approx(float(done.stdout), rel=1e-9)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_matrix_on_a_gpu_is_measured_there() -> None:
    W = torch.randn(300, 200, generator=torch.Generator().manual_seed(1))
    there = measure(W.cuda())
    assert there.spectral_norm == pytest.approx(measure(W).spectral_norm, rel=1e-2)
    assert measure(W.cuda(), device="cuda") == there


@pytest.mark.parametrize(
    "value", [torch.eye(2), [torch.eye(2)], np.eye(2), torch.empty(2, 2, device="meta"), [], "text"]
)
def test_what_lies_on_no_gpu_is_measured_by_the_cpu(value: object) -> None:
    assert device_of_blocks(value) == "cpu"
