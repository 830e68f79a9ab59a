"""What models are called: unique in the list, safe as folders, and no longer than needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batches.lists import entries_of
from weightaudit.batches.names import MAX_FOLDER_CHARS, names


def called(lines: list[object], folder: Path) -> list[tuple[str, str, str]]:
    return [(one.title, one.label, one.folder) for one in names(entries_of(lines, folder))]


def test_hub_models(tmp_path: Path) -> None:
    assert called(["gpt2", "openai-community/gpt2-xl", "gpt2@v1.0", "org/name@refs/pr/1"], tmp_path) == [
        ("gpt2", "", "gpt2"),
        ("openai-community/gpt2-xl", "", "openai-community--gpt2-xl"),
        ("gpt2@v1.0", "", "gpt2@v1.0"),
        ("org/name@refs/pr/1", "", "org--name@refs--pr--1"),
    ]


def test_directories_with_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a/run/step-1", "b/run/step-1", "b/run/step-2", "gpt2"):
        (tmp_path / name).mkdir(parents=True)
    lines = [tmp_path / "a/run/step-1", tmp_path / "b/run/step-1", tmp_path / "b/run/step-2"]
    assert called(list(lines), tmp_path) == [
        ("a/run/step-1", "a/run/step-1", "a--run--step-1"),
        ("b/run/step-1", "b/run/step-1", "b--run--step-1"),
        ("step-2", "", "step-2"),
    ]
    # A directory called as a Hub model is: the id keeps its name.
    hidden = called(["gpt2", tmp_path / "gpt2"], tmp_path)
    assert hidden[0] == ("gpt2", "", "gpt2")
    assert hidden[1][0] == hidden[1][1] == f"{tmp_path.name}/gpt2"


def test_lone_files_are_called_by_their_directory_too(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.safetensors").touch()
    line = tmp_path / "model" / "weights.safetensors"
    assert called([line], tmp_path) == [("model/weights.safetensors", "", "model--weights.safetensors")]


def test_one_model_under_several_options(tmp_path: Path) -> None:
    assert called(["gpt2 roles=Q,K", "gpt2", "gpt2 tol=0.001 seed=3", "gpt2@v1 roles=Q"], tmp_path) == [
        ("gpt2 (roles=Q,K)", "gpt2 (roles=Q,K)", "gpt2-roles-Q-K"),
        ("gpt2 (default options)", "gpt2 (default options)", "gpt2-default-options"),
        ("gpt2 (tol=0.001 seed=3)", "gpt2 (tol=0.001 seed=3)", "gpt2-tol-0.001-seed-3"),
        ("gpt2@v1", "", "gpt2@v1"),
    ]


@pytest.mark.parametrize("name", ["all.csv", "summary.csv", "batch.json", "index.html", "plotly.js", ".lock", "..."])
def test_folders_that_are_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(exist_ok=True)
    (folder,) = [folder for _, _, folder in called([tmp_path / name], tmp_path)]
    assert folder != name
    assert not folder.startswith(".")
    assert "/" not in folder


def test_folders_differ_where_case_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a-b").mkdir()
    folders = [folder for _, _, folder in called(["Org/Name", "org/name", '"./a b"', "./a-b"], tmp_path)]
    assert len({folder.casefold() for folder in folders}) == 4
    assert all(folder.replace("-", "").replace("@", "").isalnum() for folder in folders)


def test_long_names(tmp_path: Path) -> None:
    lines = [tmp_path / ("x" * 150 + end) for end in "ab"]
    folders = [folder for _, _, folder in called(list(lines), tmp_path)]
    assert len(set(folders)) == 2
    assert all(len(folder) <= MAX_FOLDER_CHARS + 9 for folder in folders)
