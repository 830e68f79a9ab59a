"""Names of tensors → the rules of a family. Anchored: a name fits a template as a whole, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from weightaudit.architecture.schema import Family, IgnoreRule, MatrixRule
from weightaudit.architecture.templates import compile_template

SHORT = {"enc": "encoder", "dec": "decoder", "H_module": "high", "L_module": "low"}
"""Stacks by what names in GGUF files, and HRM's, call them."""


def _all_hold(flags: tuple[str, ...], holds: Callable[[str], bool]) -> bool:
    return all(not holds(flag[4:]) if flag.startswith("not ") else holds(flag) for flag in flags)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


@dataclass(frozen=True)
class Match:
    """The rule that a name fits, and the layer, expert and stack it names."""

    rule: MatrixRule | IgnoreRule
    layer: int | None
    expert: int | None = None
    stack: str = ""


class Matcher:
    """A family's templates against many names. A pattern is compiled when a name first ends as it does."""

    def __init__(
        self,
        family: Family,
        holds: Callable[[str], bool] | None = None,
        before: str = "",
        stored: Collection[str] | None = None,
    ) -> None:
        """``holds`` says whether a flag of the config is true; without it every rule counts, whatever its flags.
        ``before`` may stand before any name (`repeated_prefix`). ``stored`` are all names of the checkpoint, by which
        rules count that need another tensor beside theirs; without it they all do.
        """
        self._family = family
        self._before = before
        self._stored = stored
        self._out = {id(rule) for rule in family.matrices if holds is not None and not _all_hold(rule.when, holds)}

    def match(self, name: str) -> Match | None:
        """The first rule that ``name`` fits; None where none does."""
        for way in self._family.ways.that_may_fit(name):
            rule = way.rule
            if not name.endswith(way.endings) or id(rule) in self._out:
                continue
            found = compile_template(way.template, self._family.prefixes).fullmatch(name)
            if found is not None and self._counts(rule, found):
                told = found.groupdict()
                pair = _number(told.get("pair"))
                layer = _number(told.get("layer")) if pair is None else pair // 2
                stack = told.get("stack") or (rule.stack if isinstance(rule, MatrixRule) else "")
                return Match(rule, layer, _number(told.get("expert")), SHORT.get(stack, stack))
        if self._before and name.startswith(self._before):
            return self.match(name[len(self._before) :])
        return None

    def _counts(self, rule: MatrixRule | IgnoreRule, found: re.Match[str]) -> bool:
        """Whether one of the tensors that a rule needs beside its own is stored in the same layer."""
        if self._stored is None or not isinstance(rule, MatrixRule) or not rule.beside:
            return True
        layer = found.string[: found.end("layer")]
        return any(f"{layer}.{other}" in self._stored for other in rule.beside)


def repeated_prefix(names: Collection[str], prefixes: Collection[str]) -> str:
    """The prefix of the family that all ``names`` have once more than usual, "" for none: a loader of the class takes
    such names, those without a prefix of their own too.

    Example:
        >>> repeated_prefix(["bert.bert.pooler.dense.weight", "bert.cls.predictions.bias"], ["bert."])
        'bert.'
    """
    for prefix in prefixes:
        carried = prefix.endswith(".") and all(name.startswith(prefix) for name in names)
        if carried and any(name.startswith(2 * prefix) for name in names):
            return prefix
    return ""
