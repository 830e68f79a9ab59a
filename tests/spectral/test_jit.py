"""numba whatever the working directory and the environment say: used as it is, or left for panels."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.traps import NUMBA_SETTINGS

IMPORTED = """
import os, sys
os.chdir(sys.argv[1])
import weightaudit.spectral.kernels
import numba
numba.core.config.reload_config()
settings = numba.core.config
print(settings.DISABLE_JIT, repr(settings.CACHE_DIR), settings.NUMBA_NUM_THREADS > 0, settings.CPU_FEATURES,
    repr(settings.CHROME_TRACE))
"""
MEASURED = """
import numpy as np
from weightaudit.spectral import measure
from weightaudit.spectral.operators import dense
found = measure(np.ones((6, 4), np.float32))
print(dense.fused.reads("row_statistics", "float32"), round(found.spectral_norm ** 2))
"""
COMPILED = """
from weightaudit.spectral.native import function
gram_rows = function("gram_rows", "float64")
import numpy as np
A, X, Y = np.ones((1, 3)), np.ones((4, 3)), np.zeros((4, 3))
gram_rows(A.ctypes.data, 3, None, 0, 1, 3, X.ctypes.data, Y.ctypes.data, 1.0)
print(Y.mean())
"""
AT_HAND = """
import weightaudit.spectral.kernels
print(3.0)
"""
MEASURED_BY_ALL = """
import numpy as np
from weightaudit.spectral import measure
print(3 * measure(np.ones((2, 3)), method="krylov").max_abs)
"""
NOTICED = "broken"
"""Of settings one that numba would notice; the others, as well as this, if it read the file at all."""
REFUSED = """
for name, value in (("DISABLE_JIT", 1), ("CPU_FEATURES", "nonsense")):
    usual = getattr(settings, name)
    setattr(settings, name, value)
    del sys.modules["weightaudit.compiled.jit"]
    try:
        import weightaudit.compiled.jit
        print("imported")
    except ImportError as error:
        print(error)
    setattr(settings, name, usual)
    import weightaudit.compiled.jit
"""
REASONS = """\
numba: NUMBA_DISABLE_JIT is set, and Python itself cannot run what is written for numba
numba: LLVM would end the process over what NUMBA_CPU_FEATURES is set to
"""
DONE_WITHOUT = {"NUMBA_CACHE_LOCATOR_CLASSES": "nonsense", "NUMBA_THREADING_LAYER": "x"}


def python(program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(
        command, env={**env, **variables}, capture_output=True, text=True, check=False, timeout=60, encoding="utf-8"
    )


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind == NOTICED else pytest.mark.slow) for kind in NUMBA_SETTINGS],
)
def test_a_settings_file_in_the_working_directory_is_not_read(tmp_path: Path, kind: str) -> None:
    """At the import of numba; and at each compilation it reads its settings again. Others are refused."""
    (tmp_path / ".numba_config.yaml").write_bytes(NUMBA_SETTINGS[kind])
    done = python(IMPORTED + REFUSED, str(tmp_path), **DONE_WITHOUT)
    assert (done.stdout, done.stderr) == (f"0 '' True None ''\n{REASONS}", "")


@pytest.mark.slow
def test_where_nothing_may_be_compiled_panels_measure() -> None:
    done = python(MEASURED, NUMBA_DISABLE_JIT="1")
    assert (done.stdout, done.stderr) == ("False 24\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUMBA_NUM_THREADS", "0"),
        ("NUMBA_NUM_THREADS", "-1"),
        ("NUMBA_FUNCTION_CACHE_SIZE", "-1"),
        ("NUMBA_CPU_FEATURES", "nonsense"),
    ],
)
def test_settings_that_keep_numba_from_working_are_as_if_it_were_missing(variable: str, value: str) -> None:
    """`dense` leaves the work to panels then. Unchecked, the last of them ends the process."""
    done = python(COMPILED, **{variable: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: numba: ")


def test_numba_that_fails_to_be_imported_is_as_if_it_were_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With whatever error, as that of a setting that it checks then."""
    (tmp_path / "numba.py").write_text("raise ValueError('no threads')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("numba", "weightaudit.compiled.jit"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=r"^numba: no threads$"):
        importlib.import_module("weightaudit.compiled.jit")


@pytest.mark.slow
@pytest.mark.parametrize("program", [AT_HAND, COMPILED, MEASURED_BY_ALL])
def test_settings_that_the_kernels_do_without(program: str) -> None:
    done = python(program, NUMBA_CACHE_DIR=os.devnull, **DONE_WITHOUT)
    assert (done.stdout, done.stderr) == ("3.0\n", "")
