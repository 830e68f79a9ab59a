"""An experiment's parameters: every default once, with its unit, its meaning, and whether the paper states it.

A config is a frozen dataclass whose fields are made by `setting`, as options. The command line builds its options from
those fields, and config.json shows them.

Example:
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class ToyConfig:
    ...     epochs: int = setting(5000, origin="stated", about="passes over the data", least=1)
    ...     rate: float = setting(0.1, origin="ours", about="step size", above=0)
    >>> describe(ToyConfig(rate=0.5))["rate"]
    {'value': 0.5, 'origin': 'ours', 'unit': '', 'about': 'step size'}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from weightaudit.errors import UsageError
from weightaudit.options import Option, item_type, option, options_of
from weightaudit.text import printable

T = TypeVar("T")
Origin = Literal["stated", "ours"]

MAX_INTEGER = 10**18
"""Largest whole number of a setting: it fits 64 bits, and floats can be told from it."""


def setting(
    default: T,
    *,
    origin: Origin,
    about: str,
    unit: str = "",
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> T:
    """A dataclass field with its default and what `describe` and the command line say of it.

    ``origin`` is "stated" where the paper gives the value and "ours" where it does not. ``least ≤ value``,
    ``above < value`` and ``value ≤ most`` bound numbers, and every item of a tuple of numbers.
    """
    return option(default, help=about, panel="Settings", origin=origin, unit=unit, least=least, above=above, most=most)


def describe(config: Any) -> dict[str, dict[str, Any]]:
    """name → value, origin, unit and meaning of every setting of a config, in order, fit for JSON."""
    described = {}
    for name, known in options_of(config).items():
        value = getattr(config, name)
        described[name] = {
            "value": list(value) if isinstance(value, tuple) else value,
            "origin": known.origin,
            "unit": known.unit,
            "about": known.help,
        }
    return described


def configured(config_class: type[T], given: Mapping[str, str | bool]) -> T:
    """A checked config with the values somebody typed, by field name; tuples are comma-separated, "" is an empty text.

    UsageError for a value that is not of its field's type or breaks its bounds. A bool field takes a bool.
    """
    hints = get_type_hints(config_class)
    config = config_class(**{name: _parse(name, value, hints[name]) for name, value in given.items()})
    check(config)
    return config


def check(config: Any) -> None:
    """UsageError where a value is no finite number, lies outside its bounds, or a tuple is empty."""
    for name, known in options_of(config).items():
        value = getattr(config, name)
        items = value if isinstance(value, tuple) else (value,)
        if not items:
            raise UsageError(f"--{option_name(name)}", "it is empty", "Give at least one value")
        for item in items:
            # bool is an int to Python, but has no bounds.
            if isinstance(item, (int, float)) and not isinstance(item, bool):
                _check_number(name, item, known)


def option_name(field_name: str) -> str:
    """The command line's name of a field: ``step_size`` is ``step-size``."""
    return field_name.replace("_", "-")


def _parse(name: str, value: str | bool, hint: Any) -> Any:
    if isinstance(value, bool):
        return value
    kind, many = item_type(hint)
    if many:
        return tuple(_item(name, part.strip(), kind) for part in value.split(",") if part.strip())
    return _item(name, value, kind)


_CALLED = {int: "a whole number", float: "a number"}


def _item(name: str, text: str, kind: Any) -> Any:
    thing = f"--{option_name(name)} {printable(text)}"
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise UsageError(thing, "no such choice", f"Choose from {', '.join(get_args(kind))}")
        return text
    if kind is str:
        return text
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(thing, f"it is not {_CALLED[kind]}", "") from None
    if kind is int and abs(value) > MAX_INTEGER:
        raise UsageError(thing, "it is too large", f"At most {MAX_INTEGER}")
    return value


def _check_number(name: str, value: float, known: Option) -> None:
    thing = f"--{option_name(name)} {value}"
    if not math.isfinite(value):
        raise UsageError(thing, "it is not a finite number", known.help)
    if known.least is not None and value < known.least:
        raise UsageError(thing, f"it must be at least {known.least}", known.help)
    if known.above is not None and value <= known.above:
        raise UsageError(thing, f"it must be above {known.above}", known.help)
    if known.most is not None and value > known.most:
        raise UsageError(thing, f"it must be at most {known.most}", known.help)
