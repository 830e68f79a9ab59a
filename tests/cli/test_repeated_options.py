"""An option of one value that is given twice is refused by its name; one of many values may be given often."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from tests.support.running import CommandLine
from weightaudit.cli import app

COMMANDS: dict[str, Any] = getattr(typer.main.get_command(app), "commands", {})
OPTIONS = [
    (name, parameter)
    for name, command in COMMANDS.items()
    for parameter in command.params
    if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
]
SINGLE = [(name, one) for name, one in OPTIONS if not one.multiple]
BY_DEFAULT = {i for i, (name, _) in enumerate(SINGLE) if i % 6 == 0 or name != SINGLE[i - 1][0]}
"""One place refuses them all: the first of each command, and every sixth."""
MANY = {(name, one.name) for name, one in OPTIONS if one.multiple}


@pytest.mark.parametrize(
    ("command", "option"),
    [
        pytest.param(name, one, id=f"{name} {one.opts[0]}", marks=() if i in BY_DEFAULT else pytest.mark.slow)
        for i, (name, one) in enumerate(SINGLE)
    ],
)
def test_one_value(weightaudit: CommandLine, command: str, option: Any) -> None:
    for twice in ([option.opts[0], "1"] * 2, [f"{option.opts[0]}=1", option.opts[-1], "1"]):
        done = weightaudit(command, "a", "b", *twice)
        assert (done.code, done.stdout) == (2, "")
        said = f"weightaudit: Option '{option.opts[0]}' was given 2 times, and takes one value. See "
        assert done.stderr == f"{said}'weightaudit {command} --help'\n"


def test_those_of_many_values_are_known() -> None:
    known = {
        *(
            (name, option)
            for name in ("scan", "diff", "merge-check", "batch", "compare")
            for option in ("ignore", "severity")
        ),
        *((name, "out") for name in ("scan", "diff", "merge-check")),
        ("diff", "parents"),
    }
    assert known == MANY


def test_many_values(weightaudit: CommandLine, tmp_path: Any) -> None:
    words = ("--ignore", "dead-rows", "--ignore", "nonfinite", "--severity", "pickle=off", "--severity", "missing=info")
    done = weightaudit("scan", tmp_path / "none", *words, "-q", "-q")
    assert done.code == 3  # what is wrong is the model
    assert "no such file" in done.stderr
