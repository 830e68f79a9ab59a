"""Versions are those of importlib.metadata, without it where a folder's name says them."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from weightaudit import version
from weightaudit.audit.scan import VERSIONED


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    yield
    version._folders.cache_clear()
    version._installed.cache_clear()


def test_versions_of_what_a_report_names() -> None:
    found = version.versions_of(VERSIONED)
    assert {name: found[name] for name in VERSIONED} == {name: importlib.metadata.version(name) for name in VERSIONED}


def test_of_several_the_first_counts_whatever_its_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in (("a", "Made_Up.lib-1.2+cpu"), ("b", "made_up_lib-3"), ("b", "other-0"), ("b", "odd-1-2")):
        (tmp_path / place / f"{name}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path / "a"), str(tmp_path / "b")])
    version._folders.cache_clear()
    version._installed.cache_clear()
    found = version.versions_of(["made-up-lib", "other", "odd", "absent"], absent="nowhere")
    assert [found[name] for name in ("made-up-lib", "other", "odd", "absent")] == ["1.2+cpu", "0", "nowhere", "nowhere"]
