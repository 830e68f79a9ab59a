"""A place for a hostile model, and the scan of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.attack import Attack
from tests.support.running import CommandLine


@pytest.fixture
def attack(weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attack:
    """``attack.refused(model, "cause")`` or ``attack.scanned(model)``, in an empty directory without settings."""
    monkeypatch.chdir(tmp_path)
    return Attack(weightaudit, tmp_path / "outputs")


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory for a model. Its path does not hold the test's name, and so no word that a message must."""
    return tmp_path_factory.mktemp("m")
