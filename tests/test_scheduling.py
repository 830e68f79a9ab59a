"""Which tests pytest-xdist keeps in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("xdist")

from tests.support.scheduling import MODELS, ByFileAndLibrary

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("place", MODELS)
def test_what_builds_models_is_there(place: str) -> None:
    assert (ROOT / place).is_dir() if place.endswith("/") else (ROOT / place).is_file()


@pytest.mark.parametrize(
    ("test", "scope"),
    [
        ("tests/report/test_html.py::test_one[a::b]", "tests/report/test_html.py"),
        ("tests/architecture/test_proofs.py::test_one", "models"),
        ("tests/quantised/test_base_adapters.py::test_one", "models"),
        ("tests/quantised/test_fp8.py::test_one", "tests/quantised/test_fp8.py"),
    ],
)
def test_a_file_s_tests_stay_together_and_so_do_those_that_build_models(test: str, scope: str) -> None:
    assert ByFileAndLibrary.__new__(ByFileAndLibrary)._split_scope(test) == scope
