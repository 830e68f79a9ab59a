"""Models that hold a language model beside towers for images or sound: the language model is what is mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from weightaudit.architecture.schema import Family, IgnoreRule


@dataclass(frozen=True)
class Multimodal:
    """What ``multimodal.toml`` says: ``types`` is model type → the type of its language model where config.json does
    not say; ``ignored`` are rules for the towers and what joins them to it.
    """

    types: Mapping[str, str]
    prefixes: tuple[str, ...]
    ignored: tuple[IgnoreRule, ...]

    def around(self, family: Family) -> Family:
        """``family`` as it lies in such a model: behind more prefixes, the towers ignored by rules that name them."""
        prefixes = tuple(dict.fromkeys((*family.prefixes, *self.prefixes)))
        return replace(family, prefixes=prefixes, ignored=(*self.ignored, *family.ignored))


def tower_rules(towers: Mapping[str, Sequence[str]]) -> tuple[IgnoreRule, ...]:
    """Rule → the modules it ignores, whole."""
    return tuple(
        IgnoreRule(rule, tuple(f"{{prefix}}{module}{rest}" for module in modules for rest in ("", ".{rest}")))
        for rule, modules in towers.items()
    )
