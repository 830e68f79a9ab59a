"""What people write where they choose what to scan: roles, layers, amounts of memory, rules, numbers, flags."""

from __future__ import annotations

import hashlib
import math
import operator
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from weightaudit.errors import UsageError
from weightaudit.stored import read_plain
from weightaudit.text import plural, printable

MAX_LAYER = 99_999
"""Largest layer number accepted; far above any model, small enough to hold a range of them."""
UNITS = {
    "": 1,
    "B": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
WRITTEN = re.compile(r"\s*(?P<number>\d{1,30}(?:\.\d{1,30})?)\s*(?P<unit>[KMGT]?I?)B?\s*", re.IGNORECASE | re.ASCII)
"""More digits than any amount has are no amount: they would be infinite."""
_FLAGS = {"yes": True, "true": True, "no": False, "false": False}
_NUMBERS: dict[type, tuple[type, str]] = {int: (Integral, "whole number"), float: (Real, "number")}
"""The kinds of numbers: what is one in Python, whatever library it comes from, and what it is called."""


def parse_roles(roles: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """``"Q,K"`` or ``["Q", "K"]`` → ``("Q", "K")``, upper case, each once; None stays None (all roles).

    Raises UsageError for an empty list.
    """
    if roles is None:
        return None
    words = roles.split(",") if isinstance(roles, str) else list(roles)
    names = tuple(dict.fromkeys(str(word).strip().upper() for word in words if str(word).strip()))
    if not names:
        raise UsageError("roles", "the list is empty", "Write for example --roles Q,K,M1.")
    return names


def parse_layers(layers: str | int | Iterable[int] | None) -> tuple[int, ...] | None:
    """``"0-2,5"``, ``5`` or ``range(3)`` → sorted layer numbers, each once; None stays None (all layers).

    Raises UsageError for anything that is no such list, for backward ranges and for numbers out of reason.
    """
    if layers is None:
        return None
    if isinstance(layers, str):
        numbers = {number for piece in layers.split(",") for number in _parse_range(layers, piece)}
    else:
        numbers = {_whole(n) for n in (layers if isinstance(layers, Iterable) else [layers])}
    if not numbers:
        raise UsageError("layers", "the list is empty", "Write for example --layers 0-5,11.")
    return tuple(sorted(numbers))


def _whole(number: object) -> int:
    """A layer number in whatever integer type it comes (numpy's too)."""
    try:
        whole = operator.index(number)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        whole = -1
    if isinstance(number, bool) or not 0 <= whole <= MAX_LAYER:
        raise UsageError(f"layers {number!r}", "not a layer number", f"Layers count from 0 to {MAX_LAYER}.")
    return whole


def _parse_range(whole: str, piece: str) -> range:
    first, dash, last = (word.strip() for word in piece.partition("-"))
    ends = (first, last) if dash else (first, first)
    if not all(end.isascii() and end.isdigit() and len(end) <= len(str(MAX_LAYER)) for end in ends):
        raise UsageError(
            f"layers '{printable(whole)}'",
            f"'{printable(piece.strip())}' is no layer number and no range",
            f"Write numbers from 0 to {MAX_LAYER} and ranges, for example 0-5,11.",
        )
    start, stop = int(ends[0]), int(ends[1])
    if stop < start:
        raise UsageError(f"layers '{printable(whole)}'", "the range runs backwards", f"Write {stop}-{start}.")
    return range(start, stop + 1)


def parse_bytes(memory: str | int | None) -> int | None:
    """``"2GB"``, ``"512 MiB"`` or ``2_000_000_000`` → bytes; None stays None.

    Raises UsageError for what is no amount, and for none at all.

    Example:
        >>> parse_bytes("1.5 GiB")
        1610612736
    """
    if memory is None:
        return None
    found = WRITTEN.fullmatch(str(memory))
    factor = UNITS.get(found["unit"].upper()) if found else None
    if found is None or factor is None or not (nbytes := int(float(found["number"]) * factor)):
        raise UsageError(
            f"memory '{printable(str(memory))}'", "that is no amount of memory", "Write for example 2GB or 512MiB"
        )
    return nbytes


def parse_ids(ids: str | Iterable[str] | None) -> tuple[str, ...]:
    """``"untrained, pickle"`` or several such texts → lower-case ids, each once; None is none."""
    words = ",".join([ids] if isinstance(ids, str) else map(str, ids or ())).split(",")
    return tuple(dict.fromkeys(word.strip().lower() for word in words if word.strip()))


def parse_selectors(selectors: str | Iterable[str] | None) -> tuple[str, ...]:
    """``"untrained:POOLER, Pickle"`` or several such texts → each once, the id in lower case; None is none.

    Example:
        >>> parse_selectors(["Untrained:POOLER,pickle", "dead-rows:tensor=*.W"])
        ('untrained:POOLER', 'pickle', 'dead-rows:tensor=*.W')
    """
    words = ",".join([selectors] if isinstance(selectors, str) else map(str, selectors or ())).split(",")
    parts = [word.strip().partition(":") for word in words if word.strip()]
    return tuple(dict.fromkeys(f"{id.strip().lower()}{colon}{where.strip()}" for id, colon, where in parts))


def parse_severities(chosen: str | Iterable[str] | Mapping[str, str] | None) -> tuple[str, ...]:
    """``"untrained=error, pickle=off"``, several such texts or a mapping → each as ``selector=severity``; None is none.

    Example:
        >>> parse_severities({"untrained:POOLER": "Info"})
        ('untrained:POOLER=info',)
    """
    if isinstance(chosen, Mapping):
        chosen = [f"{selector}={severity}" for selector, severity in chosen.items()]
    words = ",".join([chosen] if isinstance(chosen, str) else map(str, chosen or ())).split(",")
    parts = [word.rpartition("=") for word in words if word.strip()]
    return tuple(
        f"{selector}{equals}{severity.strip().lower()}"
        for left, equals, severity in parts
        for selector in parse_selectors(left) or ("",)
    )


def parse_baseline(path: str | None) -> str | None:
    """The path of a report; an empty one is none. UsageError for what is no text."""
    return as_typed("baseline", path, str) or None


def parse_base(model: str | os.PathLike[str] | None) -> str | None:
    """The model that another was made from; an empty text is none. UsageError for what is no text."""
    return as_typed("base", os.fspath(model) if isinstance(model, os.PathLike) else model, str) or None


MAX_SPEC = 256 * 1024
"""Bytes of a spec; the longest that is shipped has some 30,000."""


@dataclass(frozen=True)
class SpecFile:
    """An architecture spec of the user's own, as it was read: ``name`` is the file's, without its folder.

    As text it is its name and the hash of its content, which is how reports, and keys of finished scans, know it.
    """

    name: str
    text: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} (sha256 {hashlib.sha256(self.text.encode()).hexdigest()[:16]})"


def parse_spec(path: str | os.PathLike[str] | SpecFile | None) -> SpecFile | None:
    """The spec in the file at ``path``, read now; an empty text is none. UsageError where it cannot be read."""
    if path is None or isinstance(path, SpecFile):
        return path
    named = as_typed("spec", os.fspath(path) if isinstance(path, os.PathLike) else path, str)
    if not named:
        return None
    shown = f"spec {printable(named, 1000)}"
    try:
        text = read_plain(named, limit=MAX_SPEC, follow=True).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(shown, f"it is no UTF-8 text: byte {error.start} is none", "Name a TOML file") from error
    except (OSError, ValueError) as error:
        cause = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(shown, printable(cause), "Name a TOML file as docs/adding-a-family.md describes it") from error
    return SpecFile(printable(os.path.basename(named)), text)


def parse_spectrum(asked: str | bool | None) -> Any:
    """``"yes"``, ``"no"`` or ``"full"`` in any case, or True or False as they are; None is False. UsageError for any
    other.
    """
    if asked is None or isinstance(asked, bool):
        return bool(asked)
    word = asked.strip().lower() if isinstance(asked, str) else ""
    if word != "full" and word not in _FLAGS:
        wrong = f"{printable(repr(asked))} is none of yes, no and full"
        raise UsageError("spectrum", wrong, "Write --spectrum, or --spectrum full for every singular value")
    return _FLAGS.get(word, word)


def parse_share(share: str | float | None) -> float | None:
    """``"0.9"`` or ``0.9`` → a number from 0 to 1; None stays None. UsageError for any other."""
    try:
        number = None if share is None else float(share)
    except (TypeError, ValueError):
        number = -1.0
    if number is not None and (isinstance(share, bool) or not 0 <= number <= 1):
        raise UsageError(
            f"min-coverage '{printable(str(share))}'", "it is no share from 0 to 1", "Write for example 0.9"
        )
    return number


def parse_weights(weights: str | Iterable[float] | None, models: int) -> tuple[float, ...]:
    """``"0.5,0.5"`` or ``[0.5, 0.5]`` → ``(0.5, 0.5)``: a finite weight for each of so many models; None is 1 each.

    Raises UsageError for anything that is no number, and for another number of weights.
    """
    if weights is None:
        return (1.0,) * models
    words = weights.split(",") if isinstance(weights, str) else list(weights)
    found = tuple(_weight(word) for word in words)
    if len(found) != models:
        cause = f"{plural(len(found), 'weight')} for {plural(models, 'model')}"
        raise UsageError("weights", cause, "Give one for each model, in their order")
    return found


def _weight(word: str | float) -> float:
    try:
        weight = float(word)
    except (TypeError, ValueError):
        weight = math.nan
    if not math.isfinite(weight):
        raise UsageError(f"weight {printable(str(word))}", "it is not a finite number", "Write for example 0.5,0.5")
    return weight


def parse_value(name: str, text: str, kind: type) -> str | bool | float:
    """``text`` as a ``kind`` of value: bool, int, float or str. UsageError, about the option ``name``."""
    if kind is bool:
        if text.lower() not in _FLAGS:
            raise UsageError(f"{name} '{printable(text)}'", "it is neither yes nor no", f"Write {name}=yes")
        return _FLAGS[text.lower()]
    if kind is str:
        return text
    try:
        number: float = kind(text)
    except ValueError:
        called = _NUMBERS[kind][1]
        raise UsageError(f"{name} '{printable(text)}'", f"it is no {called}", f"Write for example {name}=1") from None
    return number


def as_typed(name: str, value: Any, kind: type) -> Any:
    """``value`` of Python as the plain ``kind`` of the option ``name``, None as it is.

    Raises UsageError for what is of another kind; numbers out of bounds are for those to refuse who know them.
    """
    if value is None:
        return None
    if kind is bool and not isinstance(value, bool):
        raise UsageError(name, f"{printable(repr(value))} is neither True nor False", "It is an option of two values")
    if kind is str and not isinstance(value, str):
        raise UsageError(name, f"{printable(repr(value))} is no text", f"Write for example {name}='…'")
    if kind not in _NUMBERS:
        return value
    accepted, called = _NUMBERS[kind]
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise UsageError(name, f"{printable(repr(value))} is no {called}", f"Write for example {name}=1")
    return kind(value)
