"""One tiny saved checkpoint a family, built when first asked for and shared by the whole room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.architecture.saved import Saved, read_saved
from tests.support.models import tiny_model


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Saved]:
    built: dict[str, Saved] = {}

    def get(family: str) -> Saved:
        if family not in built:
            directory = tmp_path_factory.mktemp(family)
            built[family] = read_saved(tiny_model(family, directory), directory)
        return built[family]

    return get
