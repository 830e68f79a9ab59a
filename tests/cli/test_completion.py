"""What a shell is offered when somebody presses Tab."""

from __future__ import annotations

import pytest

from tests.support.running import CommandLine
from weightaudit.cli.completion import ASKED_BY_A_SHELL, keep_help_on_one_line


@pytest.fixture
def offered(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> object:
    """``offered("scan --fo")``: the words that bash is offered for the last one, which may be empty."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv(ASKED_BY_A_SHELL, "complete_bash")
        monkeypatch.setenv("COMP_WORDS", f"weightaudit {line}")
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" "))))
        done = weightaudit()
        assert (done.code, done.stderr) == (0, "")
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("merge-c", ["merge-check"]),
        ("scan m --min", ["--min-coverage"]),
        ("scan m --format j", ["json", "junit"]),
        ("rules --format ", ["text", "json"]),
        ("scan m --fail-on w", ["warning"]),
        ("scan m --method ", ["auto", "exact", "krylov"]),
        ("scan m --roles POO", ["POOLER"]),
        ("scan m --roles M1,M2,GA", ["M1,M2,GATE"]),
        ("scan m --roles M1,M", ["M1,M2"]),
        ("scan m --ignore nonf", ["nonfinite", "nonfinite-scales"]),
        ("diff a b --ignore diff-nonf", ["diff-nonfinite"]),
        ("scan m --severity pickle=", ["pickle=error", "pickle=warning", "pickle=info", "pickle=off"]),
        ("scan m --severity dead-row", ["dead-rows="]),
        ("rules dead-r", ["dead-rows"]),
        ("archs xlm-roberta-", ["xlm-roberta-xl"]),
        ("batch @sm", ["@small"]),
        ("batch sm", []),
        ("paper figure", ["figure1", "figure2", "figure3"]),
        ("scan --tol 1 --tol 2 --revi", ["--revision"]),  # that it is wrong is told when the command is called
    ],
)
def test_words(offered: object, line: str, words: list[str]) -> None:
    assert callable(offered)
    assert offered(line) == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_its_script(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv(ASKED_BY_A_SHELL, f"source_{shell}")
    done = weightaudit()
    assert (done.code, done.stderr) == (0, "")
    assert f"{ASKED_BY_A_SHELL}=complete_{shell}" in done.stdout


def test_what_a_word_means_is_one_line(weightaudit: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ASKED_BY_A_SHELL, "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "weightaudit scan --fo")
    monkeypatch.setenv("COLUMNS", "20")
    word, meaning = weightaudit().stdout.rstrip("\n").split("\t")
    assert word == "--format"
    assert meaning.startswith("What stdout gets: text (a summary), github")
    unasked = {"COLUMNS": "20"}
    keep_help_on_one_line(unasked)
    assert unasked == {"COLUMNS": "20"}
