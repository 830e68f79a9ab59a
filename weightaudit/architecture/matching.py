"""Names of tensors → the rules of a family. Anchored: a name fits a template as a whole, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from weightaudit.architecture.schema import Family, IgnoreRule, MatrixRule
from weightaudit.architecture.templates import compile_template


@dataclass(frozen=True)
class Match:
    """The rule that a name fits, and the layer it names."""

    rule: MatrixRule | IgnoreRule
    layer: int | None


class Matcher:
    """A family's templates, compiled once for many names."""

    def __init__(self, family: Family) -> None:
        rules: tuple[MatrixRule | IgnoreRule, ...] = (*family.matrices, *family.ignored)
        self._patterns = [(compile_template(name, family.prefixes), rule) for rule in rules for name in rule.names]

    def match(self, name: str) -> Match | None:
        """The first rule that ``name`` fits; None where none does."""
        for pattern, rule in self._patterns:
            found = pattern.fullmatch(name)
            if found is not None:
                layer = found.groupdict().get("layer")
                return Match(rule, None if layer is None else int(layer))
        return None
