"""numba whatever the working directory and the environment say: used as it is, or left for torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.traps import NUMBA_SETTINGS

IMPORTED = """
import os, sys
os.chdir(sys.argv[1])
import weightaudit.spectral.kernels
import numba
numba.core.config.reload_config()
settings = numba.core.config
print(settings.DISABLE_JIT, repr(settings.CACHE_DIR), settings.NUMBA_NUM_THREADS > 0, settings.CPU_FEATURES)
"""
MEASURED = """
import torch, weightaudit
from weightaudit.spectral import engine
found = weightaudit.measure(torch.ones(6, 4))
print(engine.fused is None, round(found.spectral_norm ** 2))
"""


def python(program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(
        command, env={**env, **variables}, capture_output=True, text=True, check=False, timeout=60, encoding="utf-8"
    )


@pytest.mark.parametrize("kind", [*NUMBA_SETTINGS, "a pipe"])
def test_a_settings_file_in_the_working_directory_is_not_read(tmp_path: Path, kind: str) -> None:
    """At the import of numba; and at each compilation it reads its settings again."""
    path = tmp_path / ".numba_config.yaml"
    if kind != "a pipe":
        path.write_bytes(NUMBA_SETTINGS[kind])
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("this system has no named pipes")
    done = python(IMPORTED, str(tmp_path))
    assert (done.stdout, done.stderr) == ("0 '' True None\n", "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NUMBA_DISABLE_JIT", "1"),
        ("NUMBA_NUM_THREADS", "0"),
        ("NUMBA_NUM_THREADS", "-1"),
        ("NUMBA_FUNCTION_CACHE_SIZE", "-1"),
        ("NUMBA_CPU_FEATURES", "nonsense"),
    ],
)
def test_with_settings_that_keep_numba_from_working_torch_measures(variable: str, value: str) -> None:
    done = python(MEASURED, **{variable: value})
    assert (done.stdout, done.stderr) == ("True 24\n", "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("NUMBA_CACHE_LOCATOR_CLASSES", "nonsense"), ("NUMBA_CACHE_DIR", "/proc/none"), ("NUMBA_THREADING_LAYER", "x")],
)
def test_settings_that_the_kernels_do_without(variable: str, value: str) -> None:
    done = python(MEASURED, **{variable: value})
    assert (done.stdout, done.stderr) == ("False 24\n", "")
