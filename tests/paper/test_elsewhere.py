"""Experiments in a process that has loaded nothing but them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paper import small_runs


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", small_runs.__name__],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told == small_runs.texts()
    assert all(text.count("\n") > 50 for text in told.values())
