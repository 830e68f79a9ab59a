"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.forks import Forks, forks_in


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Processes in which the commands are known, and nothing was done: no library may have been loaded for that."""
    with forks_in(tmp_path_factory.mktemp("bare"), ["weightaudit.cli.commands"]) as runner:
        yield runner
