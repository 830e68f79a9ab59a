"""The real checkpoint in PyTorch's old format that the PyPI package rxnmapper carries, where it is installed.

An ALBERT of 3 MB, saved from a GPU in 2020, with the training_args.bin of its trainer beside it. `make setup` installs
the package; ``python -m tests.support.rxnmapper`` prints where it is.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def rxnmapper_directory() -> Path | None:
    """Its model directory, found without importing the package (which would need much else)."""
    spec = importlib.util.find_spec("rxnmapper")
    if spec is None or not spec.submodule_search_locations:
        return None
    models = Path(spec.submodule_search_locations[0]) / "models" / "transformers"
    return next(models.glob("albert_*"), None)


needs_rxnmapper = pytest.mark.skipif(rxnmapper_directory() is None, reason="the package rxnmapper is not installed")

if __name__ == "__main__":  # for `make demo`
    print(rxnmapper_directory() or sys.exit("the package rxnmapper is not installed: run make setup"))
