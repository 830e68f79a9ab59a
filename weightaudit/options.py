"""An option: a default, and all that is said of it, wherever it can be set.

A config is a frozen dataclass whose fields are made by `option`. The command line, model lists, Python's keywords, the
options in a report and the key of a finished scan are made from those fields: a new option is one field.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from weightaudit.text import listed

T = TypeVar("T")
Panel = Literal["Advice", "Outputs", "Selection", "Measurement", "Hub", "Findings", "Settings"]

_KEY = "weightaudit.option"


@dataclasses.dataclass(frozen=True)
class Option:
    """What is known of one option.

    ``help`` is a sentence for the command line, ``panel`` the group that it is shown in, ``default_text`` what its
    default means where that is None. ``parse`` makes its value of what people write (text, or values in Python) and
    raises UsageError; without one the value is as it is typed. ``choices`` are its only values; of a number, or of
    each item of several, ``least`` and ``most`` are allowed and ``above`` is not; ``unit`` is what it is counted in.
    ``many`` says that it may be given several times; ``may_have`` which words may follow what is else a flag of the
    command line, ``yes`` where none does. ``changes_results`` says that numbers or findings depend on it,
    ``judges`` that findings alone do, ``adds`` that options of a report name it only where it is set; ``in_lists``
    that a line of a model list may set it, ``in_settings`` that a file of settings may. ``envvar`` is an environment
    variable that sets it.
    ``origin`` says of an experiment's setting whether the paper states the value.
    """

    help: str
    panel: Panel
    default_text: str | None = None
    parse: Callable[[Any], Any] | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    many: bool = False
    may_have: tuple[str, ...] = ()
    changes_results: bool = False
    judges: bool = False
    adds: bool = False
    in_lists: bool = False
    in_settings: bool = False
    envvar: str | None = None
    origin: Literal["", "stated", "ours"] = ""

    @property
    def description(self) -> str:
        """``help`` and the choices there are, where nothing else shows them."""
        return f"{self.help} Choices are {listed(self.choices)}." if self.choices else self.help


def option(default: T, *, repr: bool = True, **about: Any) -> T:
    """A dataclass field with its ``default``; ``about`` is `Option`'s."""
    return dataclasses.field(default=default, repr=repr, metadata={_KEY: Option(**about)})


def options_of(config: Any) -> Mapping[str, Option]:
    """The options of a config, or of its class, by name, in order; TypeError for a field that is none (a bug)."""
    return _options_of(config if isinstance(config, type) else type(config))


@cache  # of a class they do not change, and each command asks for them many times
def _options_of(config: type[Any]) -> Mapping[str, Option]:
    found: dict[str, Option] = {}
    for field in dataclasses.fields(config):
        known = field.metadata.get(_KEY)
        if not isinstance(known, Option):
            raise TypeError(f"config field '{field.name}' is not made by option()")
        found[field.name] = known
    return MappingProxyType(found)


@cache  # to evaluate the annotations takes most of the time of a config that is made
def types_of(config_class: type[Any]) -> Mapping[str, type]:
    """The type of each option's value by name: ``X | None`` is X, and of choices it is str."""
    return MappingProxyType({name: _plain(hint) for name, hint in get_type_hints(config_class).items()})


def item_type(hint: Any) -> tuple[Any, bool]:
    """The type of a field's value, or of its items, by its hint, and whether it is a tuple. ``X | None`` is X."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    return (get_args(hint)[0], True) if get_origin(hint) is tuple else (hint, False)


def _plain(hint: Any) -> type:
    kind, several = item_type(hint)
    plain: type = tuple if several else str if get_origin(kind) is Literal else get_origin(kind) or kind
    return plain
