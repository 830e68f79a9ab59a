"""Command-line options made from a config's settings, so that each default lives once, in the config."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from weightaudit.options import Option, item_type, options_of
from weightaudit.paper.settings import option_name

Given = dict[str, str | bool]
"""What somebody typed, by field name; `weightaudit.paper.settings.configured` parses and checks it."""

_KINDS = {int: "INT", float: "FLOAT", str: "TEXT"}


def setting_options(config_class: type[Any], *, default: str = "") -> dict[str, inspect.Parameter]:
    """An option for every setting of a config, by field name; its value is None where it is not given.

    ``default`` says in words what an option means that is not given, instead of the config's own default.
    """
    hints = get_type_hints(config_class)
    defaults = config_class()
    return {
        name: _parameter(name, known, hints[name], default or f"{_origin(known)}: {_shown(getattr(defaults, name))}")
        for name, known in options_of(config_class).items()
    }


def with_settings(run: Callable[..., None], settings: Mapping[str, inspect.Parameter]) -> Callable[..., None]:
    """``run(given, *, …)`` as a function with an option for every setting, whose signature typer reads.

    ``run``'s first parameter gets the settings that were given; its others are options as they stand.
    """
    own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]

    def command(**asked: Any) -> None:
        given: Given = {name: asked.pop(name) for name in settings if asked[name] is not None}
        run(given, **{name: value for name, value in asked.items() if name not in settings})

    parameters = [*own, *settings.values()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _parameter(name: str, known: Option, hint: Any, default: str) -> inspect.Parameter:
    kind, many = item_type(hint)
    flag = f"--{option_name(name)}"
    unit = f", in {known.unit}" if known.unit else ""
    # The default stands in the text: typer would put it in parentheses, and cut off a long one.
    text = f"{known.help}{unit}. {default}."
    if kind is bool:
        option: Any = Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}", help=text, show_default=False)]
    else:
        word = "|".join(get_args(kind)) if get_origin(kind) is Literal else _KINDS[kind]
        metavar = f"{word},..." if many else word
        option = Annotated[str | None, typer.Option(flag, help=text, metavar=metavar, show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)


def _origin(known: Option) -> str:
    return known.origin.capitalize()


def _shown(default: Any) -> str:
    """A default as one would type it; the blanks let a long one be broken into lines."""
    if isinstance(default, tuple):
        return ", ".join(_shown(item) for item in default)
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, float):
        return f"{default:g}"
    return "none" if default is None else str(default)
