"""Object files that llvmlite makes and loads: no symbol is left in one that is not known to be there."""

from __future__ import annotations

import ctypes

import pytest

from weightaudit.compiled.object_code import host, load, make

DOUBLED = """
define i64 @doubled(i64 %x) {{
entry:
  %wrong = icmp eq i64 %x, 13
  br i1 %wrong, label %bad, label %good
bad:
  {called}
  ret i64 0
good:
  %y = mul i64 %x, 2
  ret i64 %y
}}
{declared}
"""


def made(called: str = "", declared: str = "") -> bytes | None:
    return make(DOUBLED.format(called=called, declared=declared), "doubled", host())


def doubled(code: bytes | None) -> int:
    assert code is not None
    address = load(code)
    assert address is not None
    answer: int = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(21)
    return answer


def test_a_function_of_its_own() -> None:
    assert doubled(made()) == 42


def test_several_at_once() -> None:
    """All have one name."""
    codes = [made(), made(called="%z = add i64 %x, 1")]
    assert [doubled(code) for code in (*codes, *codes)] == [42] * 4


@pytest.mark.parametrize("name", ["numba_gil_ensure", "NRT_Free", "Py_DecRef", "PyErr_SetString", "_Py_NoneStruct"])
def test_what_numba_calls_to_raise_is_there_without_numba(name: str) -> None:
    """Were it left open, LLVM would end the process."""
    assert doubled(made(f"call void @{name}()", f"declare void @{name}()")) == 42


def test_data_that_is_read_when_raising() -> None:
    assert doubled(made("%e = load i64, i64* @PyExc_RuntimeError", "@PyExc_RuntimeError = external global i64")) == 42


def test_the_memory_functions_of_c() -> None:
    declared = "declare i64 @memset(i64, i32, i64)\ndeclare i64 @llvm.smax.i64(i64, i64)"
    assert doubled(made("%a = call i64 @llvm.smax.i64(i64 %x, i64 0)", declared)) == 42


@pytest.mark.parametrize(
    ("called", "declared"),
    [
        ("%a = call i64 @somewhere(i64 %x)", "declare i64 @somewhere(i64)"),
        ("%a = call double @sin(double 1.0)", "declare double @sin(double)"),
        ("%a = call double @llvm.sin.f64(double 1.0)", "declare double @llvm.sin.f64(double)"),
        ("%a = load i64, i64* @data", "@data = external global i64"),
        ("%a = call i64 @numba_x.y()", "declare i64 @numba_x.y()"),
    ],
)
def test_what_may_not_be_there_is_not_made(called: str, declared: str) -> None:
    assert made(called, declared) is None


def test_text_that_llvm_refuses() -> None:
    assert make("define nonsense", "doubled", host()) is None


def test_a_function_that_is_not_there() -> None:
    assert make(DOUBLED.format(called="", declared=""), "tripled", host()) is None
