"""Towers for images and sound beside a language model: their layers, where these have the layout of towers.toml."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

from weightaudit.architecture.class_defaults import default_of, tower_type
from weightaudit.architecture.dimensions import MAX_SIZE, lookup
from weightaudit.architecture.expressions import evaluate, names_in
from weightaudit.architecture.schema import ANY, Dimension, MatrixRule


@dataclass(frozen=True)
class Tower:
    """Layers of one stack: ``configs`` are the keys of its own config, ``matrices`` its rules, sizes in its numbers."""

    stack: str
    configs: tuple[str, ...]
    matrices: tuple[MatrixRule, ...]


@dataclass(frozen=True)
class Found:
    """The towers of one model: rules, and the numbers told of each (``vision_hidden``) with where each came from."""

    matrices: tuple[MatrixRule, ...]
    values: Mapping[str, int]
    origins: Mapping[str, str]

    def told_of(self, stacks: Collection[str]) -> dict[str, int]:
        """The numbers of these stacks."""
        return {name: value for name, value in self.values.items() if name.partition("_")[0] in stacks}


@dataclass(frozen=True)
class Towers:
    """What ``towers.toml`` says; ``dimensions`` are read from a tower's own config."""

    dimensions: tuple[Dimension, ...]
    towers: tuple[Tower, ...]

    def of(self, config: Mapping[str, Any], model_type: str) -> Found:
        """The towers for which a config has a config of their own."""
        matrices: list[MatrixRule] = []
        values: dict[str, int] = {}
        origins: dict[str, str] = {}
        for tower in self.towers:
            key = next((key for key in tower.configs if isinstance(lookup(config, key), Mapping)), "")
            if not key:
                continue
            own = lookup(config, key)
            numbers, told = self._numbers(own, partial(_default, own, key, model_type))
            untold = [dimension.name for dimension in self.dimensions if dimension.name not in numbers]
            rules = [rule.without(untold) for rule in tower.matrices]
            matrices += [rule for rule in rules if len(rule.roles) == 1 or ANY not in rule.rows]  # others cannot be cut
            values |= {f"{tower.stack}_{name}": value for name, value in numbers.items()}
            origins |= {f"{tower.stack}_{name}": f"{key}.{origin}" for name, origin in told.items()}
        return Found(tuple(matrices), values, origins)

    def _numbers(
        self, config: Mapping[str, Any], default: Callable[[str], Any]
    ) -> tuple[dict[str, int], dict[str, str]]:
        """(value, origin) by dimension; what is no whole number tells nothing: another layout's config has lists."""
        values: dict[str, int] = {}
        origins: dict[str, str] = {}
        for dimension in self.dimensions:
            silent = not any(key in config for key in dimension.keys)
            source, how = (default, " by default") if silent else (config.get, "")
            found = next(((key, value) for key in dimension.keys if _is_size(value := source(key))), None)
            if found is not None:
                values[dimension.name], origins[dimension.name] = found[1], f"{found[0]} = {found[1]}{how}"
            elif dimension.rule and all(name in values for name in names_in(dimension.rule)):
                try:
                    values[dimension.name] = evaluate(dimension.rule, values)
                    origins[dimension.name] = dimension.followed
                except ValueError:
                    continue
        return values, origins


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIZE


def _default(config: Mapping[str, Any], within: str, model_type: str, key: str) -> Any:
    """The default value of a key of a tower's configuration class: of that which the model's class names for the config
    ``within`` it, or by the tower's own type.
    """
    own = tower_type(model_type, within) or config.get("model_type")
    return default_of(own, key) if isinstance(own, str) else None
