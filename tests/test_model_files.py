"""Which files are a model's: its folders are walked, and links in them, each once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from weightaudit.errors import OutputError
from weightaudit.model_files import MAX_DEPTH, NO_MODELS, ModelFiles


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


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("hub/blobs/a.csv", True),
        ("elsewhere/models--org--name/snapshots/a.csv", True),  # wherever a cache lies
        ("link/a.csv", True),  # into the cache
        ("hub/models--org--name/snapshots/away/a.csv", True),  # by the cache, out of it
        ("up/by/away/a.csv", True),  # by three links, the second into the cache
        ("hub/a.csv", False),
        ("elsewhere/models--org--name/a.csv", False),
        ("plain/a.csv", False),  # by a link to a folder that is none of the cache's
    ],
)
def test_no_way_to_an_output_leads_through_the_cache(
    path: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for folder in ("hub/blobs", "hub/models--org--name/snapshots", "elsewhere/models--org--name/snapshots", "folder"):
        (tmp_path / folder).mkdir(parents=True)
    snapshots = tmp_path / "hub" / "models--org--name" / "snapshots"
    for link, target in (("link", "hub/blobs"), ("by", snapshots), ("plain", "folder"), ("up", ".")):
        (tmp_path / link).symlink_to(target)
    (snapshots / "away").symlink_to("../../../folder")
    assert (tmp_path / path).parent.is_dir()
    target = Path(os.path.realpath(tmp_path / path))
    if refused:
        with pytest.raises(OutputError, match="it lies in the Hugging Face cache"):
            NO_MODELS.check(tmp_path / path, target)
    else:
        NO_MODELS.check(tmp_path / path, target)
