"""Every command and every option says what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tests.support.running import CommandLine
from weightaudit.cli import app


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The command and all beneath it, by name."""
    yield name or "weightaudit", command
    for below, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {below}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_commands() -> None:
    assert set(COMMANDS) == {
        "weightaudit",
        "scan",
        "diff",
        "merge-check",
        "merge",
        "batch",
        "compare",
        "archs",
        "rules",
        "advise",
        "paper",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
        # Its parser takes words in brackets for markup, and shows none of them.
        assert "[" not in parameter.help
        assert parameter.help.endswith((".", ")"))


def test_the_options_of_a_scan_are_the_same_wherever_one_scans() -> None:
    options = {name: {one.name: one for one in COMMANDS[name].params} for name in ("scan", "diff", "batch", "compare")}
    shared = set.intersection(*map(set, options.values()))
    assert {"token", "roles", "layers", "memory", "tol", "seed", "ignore", "device"} <= shared
    for name in shared - {"out", "threads"}:  # a directory and a file; in a batch the cores are shared out
        help_texts = {(one[name].help, repr(one[name].default)) for one in options.values()}
        assert len(help_texts) == 1, name


def test_what_all_experiments_do_without_their_models(weightaudit: CommandLine) -> None:
    said = " ".join(weightaudit("paper", "--help").stdout.replace("│", " ").split())
    assert "All of them; those whose models or data are missing are skipped" in said
