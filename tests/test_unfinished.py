"""Names for the time being: what is there becomes what it is for, or goes, however the process ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weightaudit import unfinished


def test_it_becomes_its_target_or_goes(tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    with unfinished.becoming(target) as path:
        os.close(unfinished.create(path))
        assert (path.parent, target.exists()) == (tmp_path, False)
    assert list(tmp_path.iterdir()) == [target]
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), unfinished.becoming(target) as path:
        _write_and_be_interrupted(path)
    assert (list(tmp_path.iterdir()), target.read_text()) == ([target], "old")


def _write_and_be_interrupted(path: Path) -> None:
    path.write_text("new")
    raise KeyboardInterrupt


def test_a_second_name_of_its_target_goes_too(tmp_path: Path) -> None:
    """Renaming one name of a file to another of the same file does nothing at all, by POSIX."""
    target = tmp_path / "a"
    target.write_text("same")
    with unfinished.becoming(target) as path:
        os.link(target, path)
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_written_through_what_is_there_already(tmp_path: Path) -> None:
    with unfinished.temporary(tmp_path) as path:
        path.symlink_to(tmp_path / "victim")
        with pytest.raises(FileExistsError):
            unfinished.create(path)
    assert list(tmp_path.iterdir()) == []


def test_what_has_not_ended_is_removed_with_the_process(tmp_path: Path) -> None:
    with unfinished.temporary(tmp_path, ".incomplete") as path:
        path.write_text("half")
        assert path.suffix == ".incomplete"
        unfinished.remove_all()
        assert list(tmp_path.iterdir()) == []
        path.write_text("again")
    assert list(tmp_path.iterdir()) == []
