"""The options that one line of a model list may carry, such as ``roles=Q,K``; they win over the command line's."""

from __future__ import annotations

from collections.abc import Iterable

from weightaudit.config import AuditConfig
from weightaudit.errors import UsageError
from weightaudit.options import options_of
from weightaudit.text import did_you_mean, printable


def with_options(words: Iterable[str], base: AuditConfig) -> AuditConfig:
    """``base`` with what ``words`` (``name=value`` each) say. Raises UsageError for the first that cannot be used."""
    known = [name for name, option in options_of(base).items() if option.in_lists]
    found: set[str] = set()
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(
                f"'{printable(word)}'",
                "it is no option",
                "Options are written name=value; a name with blanks needs double quotes",
            )
        if name not in known:
            hint = did_you_mean(name, known) + f"A line may set {', '.join(known)}"
            raise UsageError(f"'{printable(name)}'", "it is no option of a line", hint)
        if name in found:
            raise UsageError(f"'{name}'", "it is set twice", "Keep one of them")
        found.add(name)
        base = base.with_text(name, text)
    return base
