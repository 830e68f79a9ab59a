"""The options that one line of a model list may carry, such as ``roles=Q,K``; they win over the command line's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError
from weightaudit.text import did_you_mean, printable

_FLAGS = {"yes": True, "true": True, "no": False, "false": False}


def with_options(words: Iterable[str], base: AuditConfig) -> AuditConfig:
    """``base`` with what ``words`` (``name=value`` each) say. Raises UsageError for the first that cannot be used."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(
                f"'{printable(word)}'",
                "it is no option",
                "Options are written name=value; a name with blanks needs double quotes",
            )
        reader = _readers().get(name)
        if reader is None:
            hint = did_you_mean(name, _readers()) + f"A line may set {', '.join(_readers())}"
            raise UsageError(f"'{printable(name)}'", "it is no option of a line", hint)
        if name in found:
            raise UsageError(f"'{name}'", "it is set twice", "Keep one of them")
        found[name] = reader(name, text)
    return replace(base, **found)


def _readers() -> dict[str, Callable[[str, str], Any]]:
    from weightaudit.audit.findings import check_ignored
    from weightaudit.audit.selection import parse_layers, parse_roles
    from weightaudit.audit.sizes import parse_bytes

    return {
        "roles": lambda name, text: parse_roles(text),
        "layers": lambda name, text: parse_layers(text),
        "method": lambda name, text: text,
        "tol": lambda name, text: _number(name, text, float),
        "delta": lambda name, text: _number(name, text, float),
        "seed": lambda name, text: _number(name, text, int),
        "spectrum": _flag,
        "ignore": lambda name, text: check_ignored(text),
        "device": lambda name, text: text,
        "memory": lambda name, text: parse_bytes(text),
        "download": _flag,
    }


def _number(name: str, text: str, kind: Callable[[str], float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{name} '{printable(text)}'", "it is no number", f"Write for example {name}=1") from None


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise UsageError(f"{name} '{printable(text)}'", "it is neither yes nor no", f"Write {name}=yes")
    return _FLAGS[text.lower()]
