"""Versions are those of importlib.metadata, without it where pip has made the folder."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weightaudit import version
from weightaudit.audit.scan import VERSIONED

METADATA = "Metadata-Version: 2.1\nName: thing\nVersion: {}\n"


def told(folder: Path, said: str, file: str = "METADATA") -> None:
    """Metadata of a package of that version."""
    folder.mkdir(parents=True)
    (folder / file).write_text(METADATA.format(said))


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    yield
    version._folders.cache_clear()
    version._installed.cache_clear()


def test_versions_of_what_a_report_names() -> None:
    found = version.versions_of(VERSIONED)
    assert {name: found[name] for name in VERSIONED} == {name: importlib.metadata.version(name) for name in VERSIONED}


def test_of_several_the_first_counts_whatever_its_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in (("a", "Made_Up.lib-1.2+cpu"), ("b", "made_up_lib-3"), ("b", "other-0")):
        told(tmp_path / place / f"{name}.dist-info", name.rpartition("-")[2])
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path / "a"), str(tmp_path / "b")])
    version._folders.cache_clear()
    version._installed.cache_clear()
    found = version.versions_of(["made-up-lib", "other", "absent"], absent="nowhere")
    assert [found[name] for name in ("made-up-lib", "other", "absent")] == ["1.2+cpu", "0", "nowhere"]


def egg_first(place: Path) -> list[Path]:
    told(place / "a" / "thing.egg-info", "2.0", "PKG-INFO")
    return [place / "a", place / "b"]


def egg_itself(place: Path) -> list[Path]:
    told(place / "thing-2.0-py3.11.egg" / "EGG-INFO", "2.0", "PKG-INFO")
    return [place / "thing-2.0-py3.11.egg", place / "b"]


def archive(place: Path) -> list[Path]:
    with zipfile.ZipFile(place / "a.zip", "w") as file:
        file.writestr("thing-2.0.dist-info/METADATA", METADATA.format("2.0"))
    return [place / "a.zip", place / "b"]


def otherwise_written(place: Path) -> list[Path]:
    told(place / "a" / "thing-2.0rc1+cu_126.dist-info", "2.0-RC1+cu.126")
    return [place / "a", place / "b"]


@pytest.mark.parametrize("places", [egg_first, egg_itself, archive, otherwise_written])
def test_whatever_comes_first_the_version_is_that_of_importlib(
    places: Callable[[Path], list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(tmp_path / "b" / "thing-1.0.dist-info", "1.0")
    monkeypatch.setattr(sys, "path", [str(place) for place in places(tmp_path)])
    version._folders.cache_clear()
    version._installed.cache_clear()
    expected = importlib.metadata.version("thing")
    assert expected.startswith("2.0")
    assert version.versions_of(["thing"])["thing"] == expected


def test_what_an_uninstalled_package_leaves_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone-1.0.dist-info").mkdir()
    (tmp_path / "thing-1.0.dist-info").mkdir()
    told(tmp_path / "b" / "thing-2.0.dist-info", "2.0")
    monkeypatch.setattr(sys, "path", ["a\0b", str(tmp_path), str(tmp_path / "b")])
    version._folders.cache_clear()
    version._installed.cache_clear()
    assert version.versions_of(["thing"])["thing"] == "2.0"
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert version.versions_of(["gone"], absent="nowhere")["gone"] == "nowhere"
