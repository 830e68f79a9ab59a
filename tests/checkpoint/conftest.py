"""A folder for files that are drawn, one after the other under one name."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With nothing else in it: to open a file, what lies beside it is listed, and that would be every test's folder."""
    return tmp_path_factory.mktemp("alone")
