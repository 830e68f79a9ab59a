"""Kernels as functions of C: kept and loaded without numba where that can be, compiled where it cannot."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weightaudit.compiled
from tests.spectral.engines import CHANGED, PAIRS
from weightaudit.compiled import object_code
from weightaudit.compiled.kernel_cache import kernel_cache
from weightaudit.spectral import fused, measure, native
from weightaudit.spectral.kernel_abi import PROTOTYPES, Kernel, Loop

ONE: tuple[Loop, ...] = ("gram_rows", "row_statistics")
CHANGES: Loop = "row_changes"
STATISTICS = Kernel("row_statistics", ("float64",))
by_numba = native._compiled

BY_HAND = """
declare void @PyErr_SetString()
define void @by_hand(i8* %flat, i64 %stride, i8* %other, i64 %other_stride, i64 %rows, i64 %n,
    double* %row_sq, double* %row_fourth, double* %col_sq, i64 %magnitude, i64 %normal, i64 %limit, i64* %counts) {
entry:
  %none = icmp eq i64 %rows, 0
  br i1 %none, label %bad, label %good
bad:
  call void @PyErr_SetString()
  ret void
good:
  %numbers = bitcast i8* %flat to double*
  %at = getelementptr double, double* %numbers, i64 %stride
  %number = load double, double* %at
  store double %number, double* %row_sq
  store i64 %limit, i64* %counts
  ret void
}
"""
"""A function that is called as the kernel is, seconds sooner than numba makes one; it too would raise."""
MEASURED = """
import sys
import numpy as np
from weightaudit.spectral import measure
W = np.random.default_rng(0).standard_normal((60, 40))
found = [measure(W.astype(dtype), method=method) for dtype in DTYPES for method in ("exact", "krylov")]
print("numba" in sys.modules, *map(repr, found))
"""


KEPT = """
import sys
import numpy as np
from weightaudit.spectral import measure, native
from weightaudit.spectral.kernel_abi import Kernel
kernel = Kernel("row_statistics", ("float64",))
print(native._tried(kernel, native.function(kernel.loop, *kernel.dtypes)).hex())
W = np.random.default_rng(0).standard_normal((60, 40))
print("numba" in sys.modules, measure(W, method="exact"))
"""


class ByHand:
    """`BY_HAND`, with what a `numba.cfunc` has."""

    native_name = "by_hand"

    def __init__(self) -> None:
        self.address = object_code.load(object_code.make(BY_HAND, self.native_name, object_code.host()) or b"")

    def inspect_llvm(self) -> str:
        return BY_HAND


@pytest.fixture(scope="module", params=["by hand", pytest.param("numba", marks=pytest.mark.slow)])
def callback(request: pytest.FixtureRequest) -> Any:
    """Compiled once for all tests here."""
    if request.param == "by hand":
        return ByHand()
    from weightaudit.spectral import kernels

    return kernels.compiled(STATISTICS)


class Compiler:
    """In place of numba: how often it was asked."""

    def __init__(self, callback: Any) -> None:
        self.callback, self.asked = callback, 0

    def __call__(self, kernel: Kernel) -> Any:
        assert kernel == STATISTICS
        self.asked += 1
        return self.callback


@pytest.fixture
def compiler(callback: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Compiler]:
    """A user who has no kernels yet."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    counting = Compiler(callback)
    monkeypatch.setattr(native, "_compiled", counting)
    if isinstance(callback, ByHand):  # with numba as it is imported, and set up, when it is needed
        jit = SimpleNamespace(target=object_code.host)
        monkeypatch.setitem(sys.modules, "weightaudit.compiled.jit", jit)
        monkeypatch.setattr(weightaudit.compiled, "jit", jit, raising=False)
    native._found.cache_clear()
    yield counting
    native._found.cache_clear()


def answer() -> bytes:
    """What the kernel writes in a new process."""
    native._found.cache_clear()
    return native._tried(STATISTICS, native.function(STATISTICS.loop, *STATISTICS.dtypes))


def kept() -> bytes | None:
    cache = kernel_cache(native.SOURCES)
    assert cache is not None
    return cache.read(STATISTICS)


def test_compiled_once(compiler: Compiler) -> None:
    first = answer()
    assert compiler.asked == 1
    assert kept() is not None
    assert (answer(), compiler.asked) == (first, 1)
    assert first == native._tried(STATISTICS, PROTOTYPES["row_statistics"](compiler.callback.address))


def test_a_damaged_entry_is_compiled_again_and_replaced(compiler: Compiler, tmp_path: Path) -> None:
    first = answer()
    (entry,) = (tmp_path / "weightaudit").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    assert (answer(), compiler.asked) == (first, 2)
    assert (answer(), compiler.asked) == (first, 2)


def test_code_that_llvm_refuses_is_compiled_again(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest holds, but it is of no use on this machine."""
    first = answer()
    monkeypatch.setattr(object_code, "load", lambda code: None)
    assert (answer(), compiler.asked) == (first, 2)


def test_code_that_does_something_else_is_not_kept(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    with monkeypatch.context() as patched:
        patched.setattr(native, "_tried", lambda kernel, function: str(next(numbers)).encode())
        assert native.available(STATISTICS.loop, *STATISTICS.dtypes)
    assert next(numbers) == 2
    assert kept() is None


def test_code_that_cannot_be_made_is_not_kept(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_code, "RAISING", re.compile("nothing"))
    first = answer()
    assert kept() is None
    assert (answer(), compiler.asked) == (first, 2)


def test_without_a_folder_each_process_compiles(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.devnull)
    assert answer() == answer()
    assert compiler.asked == 2


def test_a_kernel_that_is_kept_needs_no_numba(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    first = answer()
    monkeypatch.setattr(native, "_compiled", by_numba)
    monkeypatch.setitem(sys.modules, "weightaudit.spectral.kernels", None)
    monkeypatch.delattr("weightaudit.spectral.kernels", raising=False)
    assert answer() == first
    assert not native.available("row_statistics", "float32")
    with pytest.raises(ImportError):
        native.function("row_statistics", "float32")


def test_threads_that_need_it_at_once_wait_for_one(compiler: Compiler) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: native.function(STATISTICS.loop, *STATISTICS.dtypes), range(32)))
    assert len(set(map(id, found))) == compiler.asked == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process may have to compile")
@pytest.mark.parametrize(
    "kernel",
    [
        *(Kernel(loop, (dtype,)) for loop in ONE for dtype in sorted(fused.READABLE)),
        *(Kernel(loop, pair) for loop in ONE for pair in PAIRS),
        *(Kernel(CHANGES, pair[::-1]) for pair in CHANGED),
        *(pytest.param(Kernel(loop, ("float32", "bfloat16")), marks=pytest.mark.slow) for loop in ONE),
    ],
    ids=lambda kernel: "-".join((kernel.loop, *kernel.dtypes)),
)
def test_every_kernel_is_kept(kernel: Kernel) -> None:
    cache = kernel_cache(native.SOURCES)
    if cache is None:
        pytest.skip("no private folder here")
    assert native.available(kernel.loop, *kernel.dtypes)
    assert cache.read(kernel) is not None


def test_panels_take_over_where_one_kernel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    W = np.random.default_rng(0).standard_normal((60, 40))
    usual = measure(W, method="krylov")
    monkeypatch.setattr(fused, "available", lambda loop, *dtypes: loop == "row_statistics")
    monkeypatch.setattr(fused, "FusedGram", None)
    found = measure(W, method="krylov")
    assert found.spectral_norm == pytest.approx(usual.spectral_norm, rel=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process may have to compile")
def test_another_process_measures_the_same_without_numba() -> None:
    """By what this one, or one before it, has kept."""
    if kernel_cache(native.SOURCES) is None:
        pytest.skip("no private folder here")
    first = native._tried(STATISTICS, native.function(STATISTICS.loop, *STATISTICS.dtypes))
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=False, timeout=120)
    here = measure(np.random.default_rng(0).standard_normal((60, 40)), method="exact")
    assert (done.stdout, done.stderr) == (f"{first.hex()}\nFalse {here}\n", "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process may have to compile")
def test_a_second_process_measures_the_same_without_numba(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    program = MEASURED.replace("DTYPES", "('float32',)")
    words = [sys.executable, "-c", program]
    runs = [subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=120) for _ in range(2)]
    assert [run.stderr for run in runs] == ["", ""]
    (first, cold), (second, warm) = (run.stdout.split(" ", 1) for run in runs)
    assert (first, second) == ("True", "False")
    assert cold == warm
