"""Which files are a model's: its folders are walked, and links in them, each once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from weightaudit.errors import OutputError
from weightaudit.model_files import MAX_DEPTH, ModelFiles


def test_links_in_circles_are_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    (model / "inner").mkdir(parents=True)
    for i in range(20):
        (model / f"again{i}").symlink_to(model)
        (model / "inner" / f"up{i}").symlink_to("..")
    entered = Counter[str]()
    scandir = os.scandir

    def counted(path: str) -> object:
        entered[os.path.realpath(path)] += 1
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    ModelFiles.of([model])
    assert set(entered.values()) == {1}
    assert {os.path.realpath(model), os.path.realpath(model / "inner")} <= entered.keys()


def test_a_link_brings_a_deep_folder_near(tmp_path: Path) -> None:
    """What lies too deep to be looked at on one way is found on a shorter one, in whatever order they are walked."""
    model = tmp_path / "model"
    deep = model.joinpath(*"abcdef"[: MAX_DEPTH + 1])
    deep.mkdir(parents=True)
    (deep / "report.csv").write_text("a model's own table")
    (tmp_path / "other.csv").hardlink_to(deep / "report.csv")
    ModelFiles.of([model]).check(tmp_path / "other.csv", tmp_path / "other.csv")
    (model / "z").symlink_to(deep)
    with pytest.raises(OutputError, match="it is a file of the model"):
        ModelFiles.of([model]).check(tmp_path / "other.csv", tmp_path / "other.csv")


def test_what_lies_in_a_folder_behind_a_link_is_the_models(tmp_path: Path) -> None:
    model, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    model.mkdir()
    (elsewhere / "inner").mkdir(parents=True)
    (model / "link").symlink_to(elsewhere)
    for place in (elsewhere, elsewhere / "inner"):
        with pytest.raises(OutputError, match="in a model's folder only reports are written"):
            ModelFiles.of([model]).check(place / "notes.txt", place / "notes.txt")
    ModelFiles.of([model]).check(tmp_path / "notes.txt", tmp_path / "notes.txt")


def test_a_name_that_no_file_can_have_is_no_file_of_the_model(tmp_path: Path) -> None:
    # A baseline's comes from a file of settings, where it may have any character.
    ModelFiles.of([tmp_path], read=["base\0line.json"]).check(tmp_path / "other.csv", tmp_path / "other.csv")
