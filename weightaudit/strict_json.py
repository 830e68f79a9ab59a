"""JSON that strangers wrote, read without surprises; and values that we write, made fit for it."""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from typing import Any

from weightaudit.errors import WeightauditError
from weightaudit.text import printable

MAX_VALUES = 16_000_000
"""Values in one JSON text, counted by the marks around them: a header of a million tensors has some 12 million. Empty
lists take thirty times their text in memory, so the bound on the text's length alone is not enough."""
MAX_DIGITS = 20
"""Of a whole number in a machine-made file: as many as the largest 64-bit one has."""
MAX_DEPTH = 100
"""Of lists and objects in each other, in a machine-made file; the safetensors library stops at 127."""
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Escapes that make a character in pairs only."""


def parse_object(
    data: bytes,
    *,
    thing: str,
    error: type[WeightauditError],
    hint: str,
    machine_made: bool = True,
    max_values: int | None = None,
) -> dict[str, Any]:
    """The JSON object in ``data``, or ``error`` about ``thing`` with the cause: see `parse_value`."""
    value = parse_value(data, thing=thing, error=error, hint=hint, machine_made=machine_made, max_values=max_values)
    if not isinstance(value, dict):
        raise error(thing, f"it holds a JSON {_kind(value)} where an object was expected", hint)
    return value


def parse_value(
    data: bytes,
    *,
    thing: str,
    error: type[WeightauditError],
    hint: str,
    machine_made: bool = True,
    half_pairs: bool = False,
    max_values: int | None = None,
) -> Any:
    """The JSON value in ``data``, or ``error`` about ``thing`` with the cause.

    ``machine_made`` files (headers, shard indexes) must not repeat a key nor hold NaN or Infinity, which JSON
    has not, nor half a surrogate pair, numbers beyond 64 bits or very deep nesting, which the safetensors library does
    not read, nor start with a byte-order mark: where readers disagree on what such a file says, none should be
    trusted. A config.json may, since infinities are written into it and people edit it by hand, in editors that add the
    mark; its last value wins, as in transformers. ``half_pairs`` lets half a surrogate pair pass: this package writes
    such where a file is called by bytes that are no text. ``max_values`` stands in for `MAX_VALUES`.
    """
    if machine_made and data.startswith(BOM_UTF8):
        raise error(thing, "it starts with a byte-order mark", hint)
    most = MAX_VALUES if max_values is None else max_values
    if sum(map(data.count, (b"[", b"{", b":", b","))) > most:
        raise error(thing, f"its JSON has more than {most} values", hint)
    try:
        text = data.removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as failure:
        raise error(thing, f"it is not UTF-8 text (byte {failure.start})", hint) from failure

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # None is meant
            raise error(thing, f"the key '{printable(twice)}' occurs twice in one JSON object", hint)
        return found

    def no_constant(word: str) -> Any:
        raise error(thing, f"it holds {word}, which is no JSON", hint)

    try:
        value = (
            json.loads(
                text, object_pairs_hook=unique, parse_constant=no_constant, parse_int=_whole, parse_float=_finite
            )
            if machine_made
            else json.loads(text)
        )
    except RecursionError as failure:
        raise error(thing, "its JSON is nested too deeply", hint) from failure
    except json.JSONDecodeError as failure:
        where = f"line {failure.lineno}, column {failure.colno}"
        raise error(thing, f"it is not valid JSON: {failure.msg.lower()} at {where}", hint) from failure
    except ValueError as failure:  # too many digits for us, or even for Python
        raise error(thing, "it is not valid JSON: a number is absurdly long or large", hint) from failure
    if machine_made:
        if _is_deep(value):
            raise error(thing, "its JSON is nested too deeply", hint)
        if not half_pairs and SURROGATE.search(text) and not _is_text(value):
            raise error(thing, "it holds half a surrogate pair, which is no text", hint)
    return value


def plain(value: Any) -> Any:
    """``value`` as strict JSON has it: tuples as lists, NumPy's scalars as Python's, what is not finite as None.

    Example:
        >>> plain({"ends": (0.5, math.inf)})
        {'ends': [0.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_deep(value: Any) -> bool:
    level: list[dict[str, Any] | list[Any]] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _is_text(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _whole(digits: str) -> int | float:
    if len(digits) > MAX_DIGITS:
        raise ValueError(digits)
    # "-0" is no whole number to the safetensors library, so it must not become a size or an offset here.
    return -0.0 if digits == "-0" else int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


def _kind(value: object) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")
