"""Model lists that come with weightaudit: found by name in a clone and in a wheel."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.running import CommandLine
from weightaudit.batches import shipped_lists
from weightaudit.batches.shipped_lists import find_list
from weightaudit.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def test_every_list_of_the_repository_has_its_name() -> None:
    files = {path.stem: path.read_bytes() for path in (ROOT / "model_lists").glob("*.txt")}
    assert {"paper", "small"} <= files.keys()
    assert {name: find_list(f"@{name}").read_bytes() for name in files} == files


def test_a_wheel_has_them_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    monkeypatch.setattr(shipped_lists, "PACKAGE", tmp_path / "weightaudit")
    for folder in (tmp_path / wheel["force-include"]["model_lists"], tmp_path / "model_lists"):
        folder.mkdir(parents=True)
        (folder / "one.txt").write_text("gpt2\n")
    assert find_list("@one") == tmp_path / "weightaudit" / "model_lists" / "one.txt"


@pytest.mark.parametrize("written", ["@", "@Papre", "@../model_lists/paper", "@paper.txt", "@/etc/passwd", "@\x1b[2J"])
def test_a_name_that_no_list_has(written: str) -> None:
    with pytest.raises(UsageError) as error:
        find_list(written)
    assert "There are @gpt2-family, " in str(error.value)
    assert str(error.value).isprintable()


def test_the_name_that_was_meant() -> None:
    with pytest.raises(UsageError, match="Did you mean @paper"):
        find_list("@Papre")
    with pytest.raises(UsageError, match=r"name\. There are "):
        find_list("@")


def test_a_command_takes_a_name_and_a_file_of_that_name(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("@offline").write_text("./only-here\n")
    by_name = weightaudit("batch", "@offline", "--out", "shipped", "--workers", "0")
    assert "2 models, 2 failed" in by_name.stderr  # its models lie in the project's folder
    as_path = weightaudit("batch", "./@offline", "--out", "own", "--workers", "0")
    assert "only-here: failed" in as_path.stderr
    assert "<title>offline" in Path("shipped", "index.html").read_text("utf-8")
    unknown = weightaudit("batch", "@offlne", "--out", "none")
    assert (unknown.code, "Did you mean @offline?" in unknown.stderr) == (2, True)
    assert not Path("none").exists()
