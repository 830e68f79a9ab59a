"""numba whatever the working directory and the environment say: used as it is, or left for panels."""

from __future__ import annotations

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
import torch, weightaudit
from weightaudit.spectral.operators import dense
found = weightaudit.measure(torch.ones(6, 4))
print(dense.fused.reads("row_statistics", "float32"), round(found.spectral_norm ** 2))
"""
COMPILED = """
from weightaudit.spectral.native import function
function("gram_rows", "float64")
import numpy as np, weightaudit
print(weightaudit.measure(np.ones((2, 3)), method="krylov").max_abs)
"""


def python(program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(
        command, env={**env, **variables}, capture_output=True, text=True, check=False, timeout=60, encoding="utf-8"
    )


@pytest.mark.parametrize("kind", NUMBA_SETTINGS)
def test_a_settings_file_in_the_working_directory_is_not_read(tmp_path: Path, kind: str) -> None:
    """At the import of numba; and at each compilation it reads its settings again."""
    (tmp_path / ".numba_config.yaml").write_bytes(NUMBA_SETTINGS[kind])
    done = python(IMPORTED, str(tmp_path))
    assert (done.stdout, done.stderr) == ("0 '' True None ''\n", "")


def test_where_nothing_may_be_compiled_panels_measure() -> None:
    done = python(MEASURED, NUMBA_DISABLE_JIT="1")
    assert (done.stdout, done.stderr) == ("False 24\n", "")


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


def test_settings_that_the_kernels_do_without() -> None:
    done = python(
        COMPILED, NUMBA_CACHE_LOCATOR_CLASSES="nonsense", NUMBA_CACHE_DIR=os.devnull, NUMBA_THREADING_LAYER="x"
    )
    assert (done.stdout, done.stderr) == ("1.0\n", "")
