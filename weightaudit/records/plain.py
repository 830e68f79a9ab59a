"""Records as plain JSON values and back, nothing lost and nothing believed.

A record is an object of those fields that differ from their defaults. A number that JSON has none for is a text: "nan",
"inf", "-inf". What comes back is checked against the types of the fields, but for what may be anything: options, the
numbers of a summary.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
_ODD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NUMBER = "number"
"""Key of such a number where any value may stand."""
_MISSING: Any = dataclasses.MISSING


def to_plain(value: Any) -> Any:
    """``value``, a record or what one is made of, as JSON has it. TypeError for anything else (a bug)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        return {
            field.name: (_loosely if _is_loose(hints[field.name]) else to_plain)(content)
            for field in _fields(type(value))
            if not _same(content := getattr(value, field.name), _default(field))
        }
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    raise TypeError(f"a {type(value).__name__} is no part of a record")


def from_plain(kind: type[Record], said: Any) -> Record:
    """The record of that ``kind`` that ``said`` describes; ValueError, which names the field, where it is none."""
    record: Record = _record(kind, said)
    return record


def _record(kind: Any, said: Any) -> Any:
    if not isinstance(said, dict):
        raise ValueError(f"a {kind.__name__} is no object")
    fields = {field.name: field for field in _fields(kind)}
    if unknown := said.keys() - fields.keys():
        raise ValueError(f"a {kind.__name__} has no field {min(unknown)!r}")
    hints = _hints(kind)
    known = {name: _named(name, hints[name], value) for name, value in said.items()}
    if lacking := [name for name, field in fields.items() if name not in known and _default(field) is _MISSING]:
        raise ValueError(f"a {kind.__name__} lacks {lacking[0]}")
    return kind(**known)


def _named(name: str, hint: Any, value: Any) -> Any:
    try:
        return _value(hint, value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _value(hint: Any, said: Any) -> Any:
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return _loose(said)
    if origin in (Union, types.UnionType):
        if said is None and type(None) in inside:
            return None
        (inner,) = (one for one in inside if one is not type(None))
        return _value(inner, said)
    if origin is Literal:
        return _checked(said, isinstance(said, str) and said in inside, f"none of {', '.join(map(str, inside))}")
    if origin is tuple:
        _checked(said, isinstance(said, list), "no list")
        if inside[-1] is Ellipsis:
            return tuple(_value(inside[0], item) for item in said)
        _checked(said, len(said) == len(inside), f"no list of {len(inside)}")
        return tuple(_value(one, item) for one, item in zip(inside, said, strict=True))
    if origin is dict:
        _checked(said, isinstance(said, dict), "no object")
        return {_value(inside[0], key): _value(inside[1], item) for key, item in said.items()}
    if dataclasses.is_dataclass(hint):
        return _record(hint, said)
    if hint is float:
        if isinstance(said, str) and said in _ODD:
            return _ODD[said]
        return _checked(said, isinstance(said, (int, float)) and not isinstance(said, bool), "no number")
    if hint is int:
        return _checked(said, isinstance(said, int) and not isinstance(said, bool), "no whole number")
    if hint in (str, bool):
        return _checked(said, isinstance(said, hint), f"no {hint.__name__}")
    raise TypeError(f"no record has a field of type {hint}")


def _loose(said: Any) -> Any:
    """What has no type of its own: options, numbers of a summary."""
    if isinstance(said, list):
        return [_loose(item) for item in said]
    if isinstance(said, dict):
        odd = _ODD.get(said[_NUMBER]) if said.keys() == {_NUMBER} and isinstance(said[_NUMBER], str) else None
        return {key: _loose(item) for key, item in said.items()} if odd is None else odd
    return said


def _loosely(value: Any) -> Any:
    """The same written down: a number that JSON has none for is told from a text that reads so."""
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: str(value)}
    if isinstance(value, (list, tuple)):
        return [_loosely(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _loosely(item) for key, item in value.items()}
    return to_plain(value)


def _is_loose(hint: Any) -> bool:
    return hint is Any or Any in get_args(hint)


def _checked(said: Any, holds: bool, otherwise: str) -> Any:
    if not holds:
        raise ValueError(f"it is {otherwise}")
    return said


@cache
def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """The fields that are data: not how a matrix is read."""
    return tuple(field for field in dataclasses.fields(kind) if field.compare)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    # What is imported for types alone names no data: the reader of a matrix.
    return get_type_hints(kind, localns={"Reader": object})


def _default(field: dataclasses.Field[Any]) -> Any:
    made: Any = field.default_factory
    return field.default if made is _MISSING else made()


def _same(value: Any, default: Any) -> bool:
    """Whether ``value`` is the ``default``, NaN too. 0 is not False, nor 1.0 the number 1."""
    if isinstance(value, float) and isinstance(default, float):
        return value == default or (math.isnan(value) and math.isnan(default))
    return type(value) is type(default) and bool(value == default)
