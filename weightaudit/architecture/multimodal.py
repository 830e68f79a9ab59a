"""Models that hold a language model beside towers for images or sound: the language model is what is mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from weightaudit.architecture.schema import Family, IgnoreRule


@dataclass(frozen=True)
class Multimodal:
    """What ``multimodal.toml`` says: ``types`` is model type → the type of its language model where config.json does
    not say; ``ignored`` are rules for the towers and what joins them to it, ``ignored_of`` more of them, by model type;
    ``layers`` is model type → another name of the list of its language model's layers.
    """

    types: Mapping[str, str]
    prefixes: tuple[str, ...]
    ignored: tuple[IgnoreRule, ...]
    layers: Mapping[str, str]
    ignored_of: Mapping[str, tuple[IgnoreRule, ...]]

    def around(self, family: Family, model_type: str) -> Family:
        """``family`` as it lies in such a model: behind more prefixes, the towers ignored by rules that name them."""
        prefixes = tuple(dict.fromkeys((*family.prefixes, *self.prefixes)))
        own = self.ignored_of.get(model_type, ())
        within = replace(family, prefixes=prefixes, ignored=(*own, *self.ignored, *family.ignored))
        other = self.layers.get(model_type)
        return _with_layers_called(other, within) if other else within


def _with_layers_called(other: str, family: Family) -> Family:
    """``family`` with ``layers.{layer}`` of its names called ``other`` too."""

    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.replace("layers.{layer}", f"{{layers|{other}}}.{{layer}}") for name in names)

    matrices = tuple(replace(rule, names=named(rule.names)) for rule in family.matrices)
    return replace(family, matrices=matrices, ignored=tuple(replace(r, names=named(r.names)) for r in family.ignored))


def tower_rules(towers: Mapping[str, Sequence[str]]) -> tuple[IgnoreRule, ...]:
    """Rule → the modules it ignores, whole."""
    return tuple(
        IgnoreRule(rule, tuple(f"{{prefix}}{module}{rest}" for module in modules for rest in ("", ".{rest}")))
        for rule, modules in towers.items()
    )
