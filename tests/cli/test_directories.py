"""Options that name a directory where others name a file: what is called like a file makes no directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.running import CommandLine


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["compare", "a", "b", "--out"], "--out"),
        (["compare", "--over", "step", "run", "--out"], "--out"),
        (["batch", "list.txt", "--out"], "--out"),
        (["batch", "--pairs", "list.txt", "--out"], "--out"),
        (["batch", "--merge", "one", "two", "--out"], "--out"),
        (["merge", "a", "b", "--out"], "--out"),
        (["paper", "lemmas", "--out"], "--out"),
        (["paper", "all", "--out"], "--out"),
        (["scan", "a", "--figures"], "--figures"),
    ],
)
def test_a_file_is_asked_for(
    weightaudit: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = weightaudit(*words, "cmp.HTML")
    assert (done.code, done.stdout) == (2, "")
    said = f"{option} is a directory here, and this is called like a file. Name a directory, such as cmp"
    assert done.stderr == f"weightaudit: 'cmp.HTML': {said}\n"
    assert not list(tmp_path.iterdir())


def test_one_that_is_there_is_used(weightaudit: CommandLine, tmp_path: Path, tiny_checkpoints: dict[str, Path]) -> None:
    (tmp_path / "run.html").mkdir()
    models = tmp_path / "list.txt"
    models.write_text(f"{tiny_checkpoints['gpt2']}\n")
    done = weightaudit("batch", models, "--out", tmp_path / "run.html", "--workers", "0", "--roles", "Q")
    assert done.code == 0, done.stderr
    assert (tmp_path / "run.html" / "index.html").is_file()
