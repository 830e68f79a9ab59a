"""Which tests pytest-xdist keeps in one process."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

MODELS = (
    "tests/advice/test_lora.py",
    "tests/api/test_in_memory.py",
    "tests/architecture/",
    "tests/benchmarks/",
    "tests/merging/test_linear.py",
    "tests/quantised/test_base_adapters.py",
    "tests/training/",
)
"""Where many tests build models with transformers."""


class ByFileAndLibrary(LoadFileScheduling):
    """The tests of a file stay together, since they share what they build; and so do most that build models
    with transformers, of which a process loads five seconds' worth for the first.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "models" if nodeid.startswith(MODELS) else str(super()._split_scope(nodeid))
