"""Values of the command line that are made without pydantic are those that typer would make."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer

from weightaudit.cli.plain_values import spare
from weightaudit.cli.strict_command import command_of

KINDS: dict[Any, list[Any]] = {
    str: ["gpt2", "", "é", "\udce9", None],
    int: [3, "3", "x", "0", None],
    float: [0.5, "0.5", "1", 1, "x", None],
    Path: ["out.csv", ".", "", "é", "a\0b", Path("out.csv"), None],
    Literal["text", "json"]: ["text", "json", "TEXT", "tex", None],
    list[str]: [(), ["a", "b"], ("é", "\udce9"), None],
    list[Path]: [(), ["a.csv", "b.csv"], None],
}


def outcome(made: Any, value: Any, parameter: Any, context: Any) -> tuple[str, Any]:
    """What comes of a value: itself with its type, or what is said of it."""
    try:
        result = made.coerce(value, param=parameter, ctx=context)
    except Exception as error:
        return type(error).__name__, str(error)
    return type(result).__name__, list(result) if isinstance(result, (list, tuple)) else result


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_values_and_messages_are_those_of_typer(kind: Any) -> None:
    def command(**given: Any) -> None: ...

    option = inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, typer.Option("--x")])
    command.__signature__ = inspect.Signature([option])  # type: ignore[attr-defined]
    command.__annotations__ = {"x": option.annotation}
    (parameter,) = command_of(command).params
    if not hasattr(parameter, "get_runtime_param"):
        pytest.skip("this version of typer makes values without pydantic")
    usual = parameter.get_runtime_param()
    spare([parameter])
    ours = parameter.get_runtime_param()
    assert ours is not usual
    for value in KINDS[kind]:
        assert outcome(ours, value, parameter, None) == outcome(usual, value, parameter, None), value


def test_a_path_that_cannot_be_read_is_left_to_typer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weightaudit.cli import plain_values

    (tmp_path / "secret.csv").touch()
    assert plain_values.plain(Path, str(tmp_path / "secret.csv")) == tmp_path / "secret.csv"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert not isinstance(plain_values.plain(Path, str(tmp_path / "secret.csv")), Path)


def test_a_command_in_plain_words_loads_no_pydantic(tmp_path: Path) -> None:
    words = ["scan", str(tmp_path / "none"), "--csv", "a.csv", "--out", "b.html", "--roles", "Q", "-q"]
    program = (
        "import sys\nfrom weightaudit.cli import app\n"
        f"try:\n    app({words!r}, standalone_mode=False)\nexcept BaseException as error:\n    print(error)\n"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "none" in done.stderr


@pytest.mark.parametrize("words", [["--version"], ["--bogus"], ["bogus"]])
def test_what_names_no_command_makes_none(words: list[str]) -> None:
    program = (
        "import sys\nfrom weightaudit.cli import app\n"
        f"try:\n    app({words!r}, standalone_mode=False)\nexcept BaseException as error:\n    print(error)\n"
        "print([name for name in sys.modules if name in ('email', 'weightaudit.cli.scan', 'weightaudit.config')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
