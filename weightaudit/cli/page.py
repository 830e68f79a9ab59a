"""docs/cli.md, from the commands: ``python -m weightaudit.cli.page > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import typer

from weightaudit.cli.commands import app

_HEAD = """# Command line

Generated from the commands in `weightaudit/cli` by `python -m weightaudit.cli.page`; do not edit.

stdout is data, stderr is progress, notes and errors. What the exit codes mean is in [auditing.md](auditing.md), which
files are read in [reading.md](reading.md), the words in [glossary.md](glossary.md).
`weightaudit COMMAND --help` says the same as this page.
"""


def page() -> str:
    """Return the page as Markdown."""
    root = typer.main.get_command(app)
    lines = [_HEAD, f"## weightaudit\n\n{root.help}"]
    lines += _tables(root.params)
    for name, command in _commands(root):
        lines += ["", f"## weightaudit {name}", "", *_section(name, command)]
    return "\n".join(lines) + "\n"


def _commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, command) of all commands below ``group``, in its order, each before those below it."""
    for name in group.list_commands(None):
        # As it is when it is called: a group may make a command's options only then.
        _, command, _ = group.resolve_command(None, [name])
        yield f"{above}{name}", command
        if hasattr(command, "list_commands"):
            yield from _commands(command, f"{above}{name} ")


def _section(name: str, command: Any) -> Iterator[str]:
    words = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    rest = getattr(command, "subcommand_metavar", None)
    usage = " ".join(["weightaudit", name, *([rest] if rest else ["[OPTIONS]", *words])])
    yield from ["```", usage, "```", "", _escaped(command.help)]
    if command.params:
        yield from _tables(command.params)


def _argument(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    word = parameter.name.upper()
    return word if parameter.required else f"[{word}]"


def _tables(parameters: list[Any]) -> Iterator[str]:
    """Yield a table of all ``parameters`` that are shown, or one for each help panel, in the order of their first."""
    shown = [one for one in parameters if not getattr(one, "hidden", False)]
    panels = [getattr(one, "rich_help_panel", None) or "" for one in shown]
    order = list(dict.fromkeys(panels))
    pairs = sorted(zip(panels, shown, strict=True), key=lambda pair: order.index(pair[0]))
    for panel, rows in groupby(pairs, key=lambda pair: pair[0]):
        yield from ["", f"**{panel}**"] if panel else []
        yield from ["", "| option | default | meaning |", "|---|---|---|"]
        yield from (_row(one) for _, one in rows)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = _argument(parameter)
    else:
        spelt = [*parameter.opts, *parameter.secondary_opts]
        names = " ".join([", ".join(spelt), *([parameter.metavar] if parameter.metavar else [])])
    environment = f" Also from the environment: `{parameter.envvar}`." if parameter.envvar else ""
    return f"| `{names.replace('|', '/')}` | {_default(parameter)} | {_escaped(parameter.help)}{environment} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return _escaped(parameter.show_default)
    value = parameter.default
    if not parameter.show_default or value is None or isinstance(value, bool):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _escaped(text: str) -> str:
    """Return ``text`` as Markdown that shows it as it is, in a table too."""
    for character in "\\|<*_[":
        text = text.replace(character, f"\\{character}")
    return text


if __name__ == "__main__":
    print(page(), end="")
